/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stream-end.h"

#include "base/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

void stream_end_close(struct stream_end *e)
{
    if (e->fd >= 0)
        (void) close(e->fd);
    e->fd = -EBADF;
}

/* The side of a terminal that a terminal emulator holds. Its device is the multiplexer, which gives
 * a new terminal to each open: pts(4), Documentation/admin-guide/devices.txt. */
static bool is_terminal_master(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(5, 2);
}

int stream_end_open(int fd, bool write, struct stream_end *ret, mvm_error **err)
{
    struct stream_end e = { .fd = fd };
    struct stat st;
    char link[32];
    int again;

    if (fstat(fd, &st) < 0) {
        int r = mvm_fail(err, MVM_E_SYS, errno, "look at descriptor %d", fd);

        stream_end_close(&e);
        return r;
    }
    e.socket = S_ISSOCK(st.st_mode);
    e.blocking = is_terminal_master(&st);
    if (!e.socket && !e.blocking && !S_ISREG(st.st_mode)) {
        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d",
                        fd); /* fits: a number of at most 10 digits */
        again = open(link, (write ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (again >= 0) {
            stream_end_close(&e);
            e.fd = again;
        } else {
            e.blocking = true;
        }
    }
    *ret = e;
    return 0;
}

ssize_t stream_end_read(const struct stream_end *e, void *data, size_t len)
{
    return e->socket ? recv(e->fd, data, len, MSG_DONTWAIT) : read(e->fd, data, len);
}

/* write(2) without SIGPIPE: a pipe has no MSG_NOSIGNAL, and what a library's caller does about
 * signals is the caller's. Blocked in this thread, the signal becomes pending and is taken out,
 * unless it was pending before. */
static ssize_t write_quietly(int fd, const void *data, size_t len)
{
    sigset_t broken, before, pending;
    ssize_t n;
    int saved;

    (void) sigemptyset(&broken); /* none of these can fail with a valid signal */
    (void) sigaddset(&broken, SIGPIPE);
    (void) sigpending(&pending);
    (void) pthread_sigmask(SIG_BLOCK, &broken, &before);
    n = write(fd, data, len);
    saved = errno;
    if (n < 0 && saved == EPIPE && !sigismember(&pending, SIGPIPE))
        (void) sigtimedwait(&broken, NULL, &(struct timespec){ .tv_sec = 0 });
    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return n;
}

ssize_t stream_end_write(const struct stream_end *e, const void *data, size_t len)
{
    if (e->socket)
        return send(e->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    /* poll(2) promises room for PIPE_BUF bytes, so that a write of no more does not block. */
    return write_quietly(e->fd, data, e->blocking && len > PIPE_BUF ? PIPE_BUF : len);
}
