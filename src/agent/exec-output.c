/* SPDX-License-Identifier: Apache-2.0 */
/* A program's stdout or stderr on its way to the caller's descriptor. */
#include "agent/exec-internal.h"

#include "agent/wire.h"

#include <sys/epoll.h>

/* Bytes that are written before their room is granted again: half of the window, so that the guest
 * can go on meanwhile. */
#define GRANT_MIN (AGENT_WINDOW / 2)

static int output_grant(struct exec_output *o, mvm_error **err)
{
    const struct agent_input m = { .kind = AGENT_INPUT_WINDOW,
                                   .number = o->number,
                                   .bytes = o->written };
    int r;

    if (o->written < GRANT_MIN || !o->exec->call || o->exec->state != EXEC_RUNNING)
        return 0;
    r = exec_send(o->exec, &m, err);
    if (r < 0)
        return r;
    o->window += o->written;
    o->written = 0;
    return 0;
}

static void output_drop(struct exec_output *o)
{
    o->written += (uint32_t) (o->buffer.len - o->start);
    o->delivered = o->received;
    strbuf_reset(&o->buffer);
    o->start = 0;
}

/* Nobody reads any more: the program is to get its SIGPIPE. */
static int output_broken(struct exec_output *o, mvm_error **err)
{
    const struct agent_input m = { .kind = AGENT_INPUT_OUTPUT_CLOSED, .number = o->number };

    o->closed = true;
    output_drop(o);
    return o->exec->call && o->exec->state == EXEC_RUNNING ? exec_send(o->exec, &m, err) : 0;
}

/* Writes what goes. With a blocking end only after a poll, and once. */
static int output_flush(struct exec_output *o, bool polled, mvm_error **err)
{
    while (o->start < o->buffer.len && (polled || !o->end.blocking)) {
        ssize_t n = stream_end_write(&o->end, o->buffer.data + o->start, o->buffer.len - o->start);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return output_broken(o, err);
        o->start += (size_t) n;
        o->written += (uint32_t) n;
        o->delivered += (uint64_t) n;
        if (o->end.blocking)
            break;
    }
    if (o->start == o->buffer.len)
        output_drop(o);
    return output_grant(o, err);
}

static void on_output_writable(void *user, uint32_t events);

/* Watched while there is something to write: epoll tells of a hang-up even where nothing is asked.
 */
static int output_watch(struct exec_output *o, mvm_error **err)
{
    if (o->buffer.len == 0) {
        loop_remove(o->source);
        o->source = NULL;
        return 0;
    }
    return o->source ? 0
                     : loop_add_fd(o->exec->loop, o->end.fd, EPOLLOUT, on_output_writable, o,
                                   &o->source, err);
}

static void on_output_writable(void *user, uint32_t events)
{
    struct exec_output *o = user;
    struct exec_client *e = o->exec;
    mvm_error *err = NULL;
    int r;

    (void) events;
    r = output_flush(o, true, &err);
    if (r == 0)
        r = output_watch(o, &err);
    if (r < 0) {
        output_drop(o);
        (void) output_watch(o, NULL); /* takes it out */
        exec_fail(e, r, err);
    }
    exec_check_end(e);
}

int exec_output_take(struct exec_output *o, struct bytes_view data, mvm_error **err)
{
    int r;

    if (data.len > o->window)
        return mvm_fail(err, MVM_E_FORMAT, 0, "stream %u: %zu bytes where %u were granted",
                        o->number, data.len, o->window);
    o->window -= (uint32_t) data.len;
    o->received += data.len;
    if (o->end.fd < 0 || o->closed) {
        o->delivered += data.len;
        o->written += (uint32_t) data.len;
        return output_grant(o, err);
    }
    /* What was written makes room: the buffer never holds more than the window. */
    if (o->start > 0) {
        o->buffer.len -= o->start;
        memmove(o->buffer.data, o->buffer.data + o->start, o->buffer.len);
        o->start = 0;
    }
    if (data.len > 0)
        strbuf_add(&o->buffer, data.data, data.len);
    r = strbuf_check(&o->buffer, "output", err);
    if (r == 0)
        r = output_flush(o, false, err);
    return r < 0 ? r : output_watch(o, err);
}
