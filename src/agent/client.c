/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream may still bring something though its call has ended: it was given up, or the guest ended
 * it while we were sending, which a server may answer with a response of its own. Such frames are
 * dropped. Frames for a stream that was never ours are a broken peer's.
 */
#include "agent/client-internal.h"

#include <sys/epoll.h>
#include <sys/socket.h>

struct loop *agent_client_loop(const struct agent_client *c)
{
    return c->loop;
}

static void client_disconnect(struct agent_client *c)
{
    loop_remove(c->source);
    c->source = NULL;
    if (c->fd >= 0)
        (void) close(c->fd);
    c->fd = -EBADF;
}

void call_unlink(struct agent_call *call)
{
    struct agent_call **at = &call->client->calls;

    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    call->client->n_calls--;
    loop_remove(call->timer);
}

void client_leave(struct agent_client *c)
{
    if (--c->busy > 0 || !c->freed)
        return;
    ttrpc_parser_deinit(&c->parser);
    strbuf_deinit(&c->out);
    free(c);
}

void agent_client_free(struct agent_client *c)
{
    if (!c)
        return;
    c->busy++;
    c->freed = c->broken = true;
    client_disconnect(c);
    while (c->calls) {
        struct agent_call *call = c->calls;

        call_unlink(call);
        free(call);
    }
    client_leave(c);
}

/* Of a call that has ended, or was given up: what still comes for it is of no use. */
static bool is_late(const struct agent_client *c, uint32_t stream)
{
    return stream % 2 == 1 && stream < c->next_stream;
}

static void call_end(struct agent_call *call, int r, struct bytes_view payload,
                     const mvm_error *err)
{
    const struct agent_call_handler *handler = call->handler;
    void *user = call->user;

    call_unlink(call);
    free(call);
    handler->ended(user, r, payload, err);
}

void call_fail(struct agent_call *call, int r, const mvm_error *err)
{
    call_end(call, r, (struct bytes_view){ .len = 0 }, err);
}

/* Ends the connection and everything on it. Takes @why over. */
static void client_break(struct agent_client *c, mvm_error *why)
{
    mvm_autoerror mvm_error *reason = why;

    if (c->broken)
        return;
    c->broken = true;
    client_disconnect(c);
    while (c->calls && !c->freed) {
        mvm_autoerror mvm_error *err = NULL;
        int r = mvm_fail(&err, MVM_E_NET, 0, "the connection to the guest's agent ended: %s",
                         mvm_error_message(reason));

        call_end(c->calls, r, (struct bytes_view){ .len = 0 }, err);
    }
    if (c->closed && !c->freed)
        c->closed(c->user, reason);
}

size_t client_queued(const struct agent_client *c)
{
    return c->out.len - c->sent;
}

/* Sends what the socket takes. False when it failed, with errno. */
static bool client_flush(struct agent_client *c)
{
    while (client_queued(c) > 0) {
        ssize_t n = send(c->fd, c->out.data + c->sent, client_queued(c),
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        c->sent += (size_t) n;
    }
    strbuf_reset(&c->out);
    c->sent = 0;
    return true;
}

static uint32_t client_events(const struct agent_client *c)
{
    return EPOLLIN | (client_queued(c) > 0 ? EPOLLOUT : 0);
}

int client_push(struct agent_client *c, mvm_error **err)
{
    if (c->out.failed) {
        int r = c->out.failed == MVM_E_NOMEM ? MVM_E_NOMEM : MVM_E_BUSY;

        c->out.failed = 0; /* the frame left nothing behind */
        return r == MVM_E_NOMEM
                   ? mvm_fail_nomem(err)
                   : mvm_fail(err, r, 0, "the guest's agent does not read: %zu bytes wait",
                              client_queued(c));
    }
    (void) client_flush(c);
    return loop_set_events(c->source, client_events(c), err);
}

struct strbuf *client_out(struct agent_client *c)
{
    if (c->sent > 0) {
        c->out.len -= c->sent;
        memmove(c->out.data, c->out.data + c->sent, c->out.len);
        c->sent = 0;
    }
    return &c->out;
}

static struct agent_call *find_call(const struct agent_client *c, uint32_t stream)
{
    struct agent_call *call = c->calls;

    while (call && call->stream != stream)
        call = call->next;
    return call;
}

static void take_response(struct agent_call *call, struct bytes_view payload)
{
    mvm_autoerror mvm_error *err = NULL;
    struct ttrpc_response m = { .code = TTRPC_OK };
    int r = ttrpc_response_decode(payload.data, payload.len, &m, &err);

    if (r == 0)
        r = agent_status_check(m.code, m.message, &err);
    call_end(call, r, r == 0 ? m.payload : (struct bytes_view){ .len = 0 }, err);
}

static int take_data(struct agent_call *call, uint8_t flags, struct bytes_view payload,
                     mvm_error **err)
{
    struct agent_client *c = call->client;
    mvm_autoerror mvm_error *why = NULL;
    uint32_t stream = call->stream;
    int r = 0;

    if (call->streams == AGENT_STREAMS_NONE || call->remote_closed)
        return mvm_fail(err, MVM_E_FORMAT, 0, "data on stream %u, where none may come", stream);
    call->remote_closed = flags & TTRPC_REMOTE_CLOSED;
    if (!(flags & TTRPC_NO_DATA))
        r = call->handler->message(call->user, payload, &why);
    /* The handler may have given its call up. */
    if (r < 0 && !c->freed && find_call(c, stream) == call)
        call_fail(call, r, why);
    return 0;
}

/* Negative: the connection is to be ended. */
static int take_frame(struct agent_client *c, const struct ttrpc_header *h,
                      struct bytes_view payload, mvm_error **err)
{
    struct agent_call *call = find_call(c, h->stream);

    if (h->type == TTRPC_REQUEST)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a request on stream %u from the guest", h->stream);
    if (!call && is_late(c, h->stream))
        return 0;
    if (!call)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a frame for stream %u, which has no call",
                        h->stream);
    if (h->type == TTRPC_DATA)
        return take_data(call, h->flags, payload, err);
    take_response(call, payload);
    return 0;
}

static void client_take_frames(struct agent_client *c)
{
    while (!c->broken) {
        mvm_error *err = NULL;
        struct ttrpc_header h;
        struct bytes_view payload;
        int r = ttrpc_parser_next(&c->parser, &h, &payload, &err);
        struct agent_call *call = r == MVM_E_LIMIT ? find_call(c, h.stream) : NULL;

        if (r == 0)
            return;
        if (call) {
            call_fail(call, r, err);
            mvm_error_free(err);
            continue;
        }
        if (r > 0)
            r = take_frame(c, &h, payload, &err);
        if (r < 0)
            client_break(c, err);
    }
}

static void client_receive(struct agent_client *c)
{
    mvm_error *err = NULL;
    size_t len = 0;
    uint8_t *room = ttrpc_parser_room(&c->parser, &len);
    ssize_t n;

    if (!room) {
        (void) mvm_fail_nomem(&err);
        client_break(c, err);
        return;
    }
    n = recv(c->fd, room, len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        (void) mvm_fail(&err, MVM_E_NET, n < 0 ? errno : 0, "%s",
                        n < 0 ? "read from the guest's agent" : "the guest's agent closed it");
        client_break(c, err);
        return;
    }
    ttrpc_parser_filled(&c->parser, (size_t) n);
    client_take_frames(c);
}

/* Tells those who wait for it that there is room again. */
static void client_tell_room(struct agent_client *c)
{
    for (struct agent_call *call = c->calls; call && client_queued(c) < AGENT_SEND_HIGH / 2;) {
        if (!call->wants_room) {
            call = call->next;
            continue;
        }
        call->wants_room = false;
        call->handler->room(call->user);
        call = c->calls; /* the list may have changed */
    }
}

static void on_event(void *user, uint32_t events)
{
    struct agent_client *c = user;
    mvm_error *err = NULL;

    c->busy++;
    if ((events & EPOLLOUT) && !client_flush(c)) {
        (void) mvm_fail(&err, MVM_E_NET, errno, "write to the guest's agent");
        client_break(c, err);
    }
    if (!c->broken && (events & ~(uint32_t) EPOLLOUT))
        client_receive(c);
    if (!c->broken)
        client_tell_room(c);
    if (!c->broken && loop_set_events(c->source, client_events(c), &err) < 0)
        client_break(c, err);
    client_leave(c);
}

int agent_client_new(struct loop *loop, int fd, agent_closed_fn *closed, void *user,
                     struct agent_client **ret, mvm_error **err)
{
    mvm_autoclose int owned = fd;
    mvm_auto(agent_client) c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return mvm_fail_nomem(err);
    c->loop = loop;
    c->fd = -EBADF;
    c->next_stream = 1;
    c->closed = closed;
    c->user = user;
    c->out = (struct strbuf) STRBUF_INIT(AGENT_SEND_MAX);
    ttrpc_parser_init(&c->parser, AGENT_FRAME_MAX);
    r = loop_add_fd(loop, fd, EPOLLIN, on_event, c, &c->source, err);
    if (r < 0)
        return r;
    c->fd = steal_fd(&owned);
    *ret = steal_ptr(&c);
    return 0;
}
