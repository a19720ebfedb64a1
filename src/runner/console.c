/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/console.h"

#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Bytes at the end of the console log in which the last line is looked for. */
#define CONSOLE_TAIL_MAX 4096

void console_last_line(const char *path, char *out, size_t size)
{
    mvm_autoclose int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char raw[CONSOLE_TAIL_MAX + 1];
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    ssize_t n = 0;
    char *line;

    if (end > 0)
        n = pread(fd, raw, CONSOLE_TAIL_MAX, end > CONSOLE_TAIL_MAX ? end - CONSOLE_TAIL_MAX : 0);
    if (n < 0)
        n = 0;
    while (n > 0 && (raw[n - 1] == '\n' || raw[n - 1] == '\r' || raw[n - 1] == '\0'))
        n--;
    raw[n] = '\0';
    line = strrchr(raw, '\n');
    log_escape(line ? line + 1 : raw, out, size);
}

struct console {
    int from_fd; /* owned; -EBADF once at its end */
    int file_fd; /* owned */
    struct loop_source *source;
    const struct log *log;
    uint64_t written;
};

static void console_end(struct console *c)
{
    loop_remove(c->source);
    c->source = NULL;
    if (c->from_fd >= 0)
        (void) close(steal_fd(&c->from_fd));
}

static void console_keep(struct console *c, const char *data, size_t len)
{
    mvm_autoerror mvm_error *err = NULL;
    size_t room = (size_t) (CONSOLE_LOG_MAX - c->written);

    if (room == 0)
        return;
    len = len < room ? len : room;
    c->written += len;
    if (io_write_all(c->file_fd, data, len, &err) < 0) {
        log_warning(c->log, "console", "%s", mvm_error_message(err));
        c->written = CONSOLE_LOG_MAX; /* a full disk: the VM goes on without its log */
    } else if (c->written == CONSOLE_LOG_MAX) {
        log_warning(c->log, "console", "more than %u bytes: the rest is dropped", CONSOLE_LOG_MAX);
    }
}

/* False when there is nothing more for now. */
static bool console_take(struct console *c)
{
    char data[4096];
    ssize_t n;

    if (c->from_fd < 0)
        return false;
    n = recv(c->from_fd, data, sizeof(data), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0)
        console_end(c);
    else
        console_keep(c, data, (size_t) n);
    return n > 0;
}

static void on_console(void *user, uint32_t events)
{
    (void) events;
    (void) console_take(user);
}

void console_drain(struct console *c)
{
    /* Bounded: a machine that still runs could write for ever. */
    for (unsigned i = 0; i < 64 && c && console_take(c); i++)
        continue;
}

void console_finish(struct console *c)
{
    while (c && console_take(c))
        continue;
}

int console_new(struct loop *loop, int from_fd, const char *path, const struct log *log,
                struct console **ret, mvm_error **err)
{
    mvm_autoclose int held = from_fd;
    struct console *c;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600), r;

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s'", path);
    c = calloc(1, sizeof(*c));
    if (!c) {
        (void) close(fd);
        return mvm_fail_nomem(err);
    }
    c->from_fd = steal_fd(&held);
    c->file_fd = fd;
    c->log = log;
    r = loop_add_fd(loop, c->from_fd, EPOLLIN, on_console, c, &c->source, err);
    if (r < 0)
        console_free(c);
    else
        *ret = c;
    return r;
}

void console_free(struct console *c)
{
    if (!c)
        return;
    console_end(c);
    (void) close(c->file_fd);
    free(c);
}
