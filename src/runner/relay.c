/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/relay.h"

#include <sys/epoll.h>

struct relay {
    struct loop *loop; /* borrowed */
    struct stream_end in, out;
    struct loop_source *in_source, *out_source; /* owned; NULL while not watched */
    relay_fn *fn;
    void *user;
    size_t start, len;
    bool in_ended, out_broken, done;
    uint8_t buffer[RELAY_BUFFER_SIZE];
};

static void relay_fill(struct relay *r)
{
    size_t room = RELAY_BUFFER_SIZE - r->len;
    ssize_t n;

    if (r->start > 0) {
        memmove(r->buffer, r->buffer + r->start, r->len);
        r->start = 0;
    }
    if (room == 0)
        return;
    n = stream_end_read(&r->in, r->buffer + r->len, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* Any other error ends the stream as an end of file does: a terminal that hung up gives EIO. */
    if (n <= 0) {
        r->in_ended = true;
        r->fn(r->user, r, RELAY_INPUT_ENDED);
        return;
    }
    r->len += (size_t) n;
}

static void relay_flush(struct relay *r)
{
    while (r->len > 0 && !r->out_broken) {
        ssize_t n = stream_end_write(&r->out, r->buffer + r->start, r->len);

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
    bool more = !r->in_ended && r->len < RELAY_BUFFER_SIZE;

    if (r->done)
        return;
    relay_watch(r, &r->in_source, r->in.fd, more ? EPOLLIN : 0, relay_on_in);
    relay_watch(r, &r->out_source, r->out.fd, r->len > 0 ? EPOLLOUT : 0, relay_on_out);
    if (r->in_ended && r->len == 0) {
        r->done = true;
        r->fn(r->user, r, RELAY_DONE);
    }
}

int relay_new(struct loop *loop, struct stream_end in, struct stream_end out, relay_fn *fn,
              void *user, struct relay **ret, mvm_error **err)
{
    struct relay *r = calloc(1, sizeof(*r));

    if (!r) {
        stream_end_close(&in);
        stream_end_close(&out);
        return mvm_fail_nomem(err);
    }
    r->loop = loop;
    r->in = in;
    r->out = out;
    r->fn = fn;
    r->user = user;
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
    stream_end_close(&r->in);
    stream_end_close(&r->out);
    free(r);
}
