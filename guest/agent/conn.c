/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/conn.h"

#include "guest/agent/dispatch.h"

#include <sys/epoll.h>
#include <sys/socket.h>

static size_t conn_waiting(const struct conn *c)
{
    return c->out.len - c->sent;
}

bool conn_has_room(const struct conn *c)
{
    return !c->dead && conn_waiting(c) < CONN_QUEUE_ROOM;
}

void conn_kick(struct conn *c)
{
    loop_set_timer(c->kick, 0);
}

static void conn_die(struct conn *c)
{
    c->dead = true;
    conn_kick(c);
}

void conn_respond(struct conn *c, uint32_t stream, enum ttrpc_code code, const char *text,
                  struct bytes_view payload)
{
    const struct ttrpc_response response = {
        .code = (int32_t) code,
        .message = { .data = (const uint8_t *) text, .len = strlen(text) },
        .payload = payload,
    };

    ttrpc_response_frame(&response, stream, &c->out);
    conn_kick(c);
}

static void conn_flush(struct conn *c)
{
    while (!c->dead && !c->connecting && conn_waiting(c) > 0) {
        ssize_t n = send(c->fd, c->out.data + c->sent, conn_waiting(c), MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            conn_die(c);
        if (n < 0)
            break;
        c->sent += (size_t) n;
    }
    if (c->out.failed) /* out of memory: the client would miss a part of its stream */
        conn_die(c);
    else if (conn_waiting(c) == 0)
        strbuf_reset(&c->out);
    else if (c->sent > c->out.len / 2)
        memmove(c->out.data, c->out.data + c->sent, c->out.len - c->sent + 1);
    else
        return;
    c->out.len -= c->out.len > 0 ? c->sent : 0;
    c->sent = 0;
}

/* Takes the frames that have come, until there is none or the queue is too full for answers. */
static void conn_take_frames(struct conn *c)
{
    c->paused = false;
    while (!c->dead) {
        mvm_autoerror mvm_error *why = NULL;
        struct ttrpc_header h;
        struct bytes_view payload;
        int r;

        if (conn_waiting(c) >= CONN_QUEUE_STOP) {
            c->paused = true;
            return;
        }
        r = ttrpc_parser_next(&c->parser, &h, &payload, &why);
        if (r == 0)
            return;
        if (r == MVM_E_LIMIT)
            dispatch_too_long(c, &h);
        else if (r < 0 || !dispatch_frame(c, &h, payload))
            conn_die(c);
    }
}

/* One read a turn: the other connections have their own. */
static void conn_receive(struct conn *c)
{
    size_t room = 0;
    uint8_t *to = ttrpc_parser_room(&c->parser, &room);
    ssize_t n = to ? recv(c->fd, to, room, 0) : -1;

    if (n > 0) {
        ttrpc_parser_filled(&c->parser, (size_t) n);
        conn_take_frames(c);
    } else if (!to || n == 0 || (errno != EAGAIN && errno != EINTR)) {
        conn_die(c); /* who cannot send any more cannot be served: windows would not come */
    }
}

static void conn_connected(struct conn *c)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0) {
        conn_die(c);
        return;
    }
    c->connecting = false;
    c->ends_machine = c->server->failure != NULL;
}

static void on_socket(void *user, uint32_t events)
{
    struct conn *c = user;

    if (c->connecting)
        conn_connected(c);
    else if (c->paused && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        conn_die(c); /* as conn_receive() at the end, which is not read so far */
    else if (events & ~(uint32_t) EPOLLOUT)
        conn_receive(c);
    conn_kick(c);
}

/* Those after the first that still has something go first next time. */
static void conn_rotate_calls(struct conn *c)
{
    struct call *first = c->calls, **at = &c->calls;

    if (!first || !first->next)
        return;
    c->calls = first->next;
    first->next = NULL;
    while (*at)
        at = &(*at)->next;
    *at = first;
}

static void conn_give_room(struct conn *c)
{
    for (struct call *call = c->calls; call && conn_has_room(c); call = call->next) {
        mvm_autoerror mvm_error *why = NULL;

        if (!call->done && call->type->room && call->type->room(call, &why) < 0)
            call_fail_error(call, why);
    }
    conn_rotate_calls(c);
}

void conn_sweep(struct conn *c)
{
    for (struct call **at = &c->calls; *at;) {
        struct call *call = *at;

        if (!call->done && !c->dead) {
            at = &call->next;
            continue;
        }
        *at = call->next;
        c->n_calls--;
        dispatch_free_call(call);
    }
}

static void conn_watch(struct conn *c)
{
    /* Of a paused one the end is all that counts: vsock tells that alone of a peer that has gone
     * while bytes of it wait to be read, and room to write never comes again. */
    uint32_t events = c->connecting ? 0 : c->paused ? EPOLLRDHUP : EPOLLIN;

    if (c->connecting || conn_waiting(c) > 0)
        events |= EPOLLOUT;
    if (loop_set_events(c->source, events, NULL) < 0)
        c->dead = true; /* out of memory in the kernel */
}

/* The end of a turn in which something happened to the connection. */
static void conn_service(void *user)
{
    struct conn *c = user;

    conn_flush(c);
    if (c->paused && conn_waiting(c) < CONN_QUEUE_STOP)
        conn_take_frames(c);
    if (conn_has_room(c))
        conn_give_room(c);
    conn_flush(c);
    conn_sweep(c);
    conn_watch(c);
    if (c->dead)
        conn_free(c);
    else if (c->ends_machine && conn_waiting(c) == 0)
        server_farewell(c->server);
}

int conn_new(struct server *s, int fd, bool connecting, struct conn **ret, mvm_error **err)
{
    struct conn *c = calloc(1, sizeof(*c));
    int r;

    if (!c) {
        (void) close(fd);
        return mvm_fail_nomem(err);
    }
    *c = (struct conn){ .server = s, .fd = fd, .connecting = connecting };
    c->ends_machine = s->failure && !connecting;
    c->out = (struct strbuf) STRBUF_INIT(CONN_QUEUE_MAX);
    ttrpc_parser_init(&c->parser, AGENT_FRAME_MAX);
    r = loop_add_fd(s->loop, fd, connecting ? EPOLLOUT : EPOLLIN, on_socket, c, &c->source, err);
    if (r == 0)
        r = loop_add_timer(s->loop, -1, conn_service, c, &c->kick, err);
    if (r < 0) {
        c->ends_machine = false;
        conn_free(c);
        return r;
    }
    c->next = s->conns;
    s->conns = c;
    s->n_conns++;
    *ret = c;
    return 0;
}

void conn_free(struct conn *c)
{
    if (!c)
        return;
    for (struct conn **at = &c->server->conns; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            c->server->n_conns--;
            break;
        }
    c->dead = true;
    conn_sweep(c);
    loop_remove(c->source);
    loop_remove(c->kick);
    (void) close(c->fd);
    ttrpc_parser_deinit(&c->parser);
    strbuf_deinit(&c->out);
    if (c->ends_machine)
        c->server->machine->end(c->server->machine->user);
    free(c);
}
