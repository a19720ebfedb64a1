/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/relay.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct relay {
    struct loop *loop; /* borrowed */
    struct relay_end in, out;
    struct loop_source *in_source, *out_source; /* owned; NULL while not watched */
    relay_fn *fn;
    void *user;
    uint64_t total;
    uint64_t limit; /* UINT64_MAX until known */
    size_t start, len;
    bool in_ended, out_broken, done;
    uint8_t buffer[RELAY_BUFFER_SIZE];
};

void relay_end_close(struct relay_end *e)
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

int relay_end_open(int fd, bool write, struct relay_end *ret, mvm_error **err)
{
    struct relay_end e = { .fd = fd };
    struct stat st;
    char link[32];
    int again;

    if (fstat(fd, &st) < 0) {
        int r = mvm_fail(err, MVM_E_SYS, errno, "look at descriptor %d", fd);

        relay_end_close(&e);
        return r;
    }
    e.socket = S_ISSOCK(st.st_mode);
    e.blocking = is_terminal_master(&st);
    if (!e.socket && !e.blocking && !S_ISREG(st.st_mode)) {
        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d",
                        fd); /* fits: a number of at most 10 digits */
        again = open(link, (write ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (again >= 0) {
            relay_end_close(&e);
            e.fd = again;
        } else {
            e.blocking = true;
        }
    }
    *ret = e;
    return 0;
}

static ssize_t end_read(const struct relay_end *e, void *data, size_t len)
{
    return e->socket ? recv(e->fd, data, len, MSG_DONTWAIT) : read(e->fd, data, len);
}

static ssize_t end_write(const struct relay_end *e, const void *data, size_t len)
{
    if (e->socket)
        return send(e->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    /* poll(2) promises room for PIPE_BUF bytes, so that a write of no more does not block. */
    return write(e->fd, data, e->blocking && len > PIPE_BUF ? PIPE_BUF : len);
}

static void relay_fill(struct relay *r)
{
    size_t room = RELAY_BUFFER_SIZE - r->len;
    ssize_t n;

    if (r->start > 0) {
        memmove(r->buffer, r->buffer + r->start, r->len);
        r->start = 0;
    }
    if (room > r->limit - r->total)
        room = (size_t) (r->limit - r->total);
    if (room == 0)
        return;
    n = end_read(&r->in, r->buffer + r->len, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* Any other error ends the stream as an end of file does: a terminal that hung up gives EIO. */
    if (n <= 0) {
        r->in_ended = true;
        r->fn(r->user, r, RELAY_INPUT_ENDED);
        return;
    }
    r->len += (size_t) n;
    r->total += (uint64_t) n;
}

static void relay_flush(struct relay *r)
{
    while (r->len > 0 && !r->out_broken) {
        ssize_t n = end_write(&r->out, r->buffer + r->start, r->len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            r->out_broken = true;
            r->fn(r->user, r, RELAY_OUTPUT_BROKEN);
            break;
        }
        r->start += (size_t) n;
        r->len -= (size_t) n;
        if (r->out.blocking)
            return;
    }
    if (r->out_broken)
        r->len = 0;
    if (r->len == 0)
        r->start = 0;
}

static void relay_update(struct relay *r);

static void relay_on_in(void *user, uint32_t events)
{
    struct relay *r = user;

    (void) events;
    relay_fill(r);
    if (!r->out.blocking)
        relay_flush(r);
    relay_update(r);
}

static void relay_on_out(void *user, uint32_t events)
{
    struct relay *r = user;

    (void) events;
    relay_flush(r);
    relay_update(r);
}

/* Watches @fd for @events or not at all: epoll tells of hang-ups even where nothing is asked for,
 * and a full buffer behind a broken peer would spin. */
static void relay_watch(struct relay *r, struct loop_source **source, int fd, uint32_t events,
                        loop_fd_fn *fn)
{
    if (!events) {
        loop_remove(*source);
        *source = NULL;
    } else if (!*source && loop_add_fd(r->loop, fd, events, fn, r, source, NULL) < 0) {
        /* No memory or no watch left: the stream ends here rather than hang. */
        *source = NULL;
        r->in_ended = r->out_broken = true;
        r->len = 0;
    }
}

static void relay_update(struct relay *r)
{
    bool more = !r->in_ended && r->total < r->limit;

    if (r->done)
        return;
    relay_watch(r, &r->in_source, r->in.fd, more && r->len < RELAY_BUFFER_SIZE ? EPOLLIN : 0,
                relay_on_in);
    relay_watch(r, &r->out_source, r->out.fd, r->len > 0 ? EPOLLOUT : 0, relay_on_out);
    if ((r->in_ended || r->total >= r->limit) && r->len == 0) {
        r->done = true;
        r->fn(r->user, r, RELAY_DONE);
    }
}

int relay_new(struct loop *loop, struct relay_end in, struct relay_end out, relay_fn *fn,
              void *user, struct relay **ret, mvm_error **err)
{
    struct relay *r = calloc(1, sizeof(*r));

    if (!r) {
        relay_end_close(&in);
        relay_end_close(&out);
        return mvm_fail_nomem(err);
    }
    r->loop = loop;
    r->in = in;
    r->out = out;
    r->fn = fn;
    r->user = user;
    r->limit = UINT64_MAX;
    *ret = r;
    relay_update(r);
    return 0;
}

void relay_free(struct relay *r)
{
    if (!r)
        return;
    loop_remove(r->in_source);
    loop_remove(r->out_source);
    relay_end_close(&r->in);
    relay_end_close(&r->out);
    free(r);
}

uint64_t relay_total(const struct relay *r)
{
    return r->total;
}

uint64_t relay_written(const struct relay *r)
{
    return r->total - r->len;
}

void relay_set_total(struct relay *r, uint64_t total)
{
    r->limit = total > r->total ? total : r->total;
    relay_update(r);
}

bool relay_is_done(const struct relay *r)
{
    return r->done;
}
