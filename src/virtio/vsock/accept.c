/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that begin on the host. Clients wait in the backlog of their socket until the guest's
 * driver is there, and while there are as many connections as may be.
 *
 * A client of a hybrid socket first writes one line. It is peeked at, so that not one byte behind
 * it is taken away from the stream.
 */
#include "virtio/vsock/device-internal.h"

#include "base/scan.h"

#include <sys/epoll.h>
#include <sys/socket.h>

/* Connections a round and listener. */
#define ACCEPT_BATCH 64

/* The agent listens before it makes its one connection to the host: until that has come, a client
 * of its would be refused by the guest. A reset of the device changes nothing of that. Before the
 * connection it is still to come; after it no second one will be let in, so a client would wait for
 * ever: the guest is asked, and refuses whom its agent does not serve any more. */
static bool agent_is_due(const struct vsock_device *v, uint32_t port)
{
    for (size_t i = 0; i < v->ports->n; i++) {
        const struct vsock_serve *s = &v->ports->items[i];

        if (s->kind == VSOCK_SERVE_ONCE && s->port == port && !v->once_used[i])
            return true;
    }
    return false;
}

static bool may_accept(const struct vsock_device *v, const struct vsock_serve *s)
{
    return v->up && !v->accept_failed && v->n_resets < VSOCK_RESETS_PAUSE &&
           conn_has_place(v, s->kind == VSOCK_SERVE_AGENT) &&
           (s->kind != VSOCK_SERVE_AGENT || !agent_is_due(v, s->port)) &&
           (s->kind != VSOCK_SERVE_HYBRID || v->n_lines < VSOCK_LINES_MAX);
}

void listeners_update(struct vsock_device *v)
{
    for (size_t i = 0; i < v->n_listeners; i++) {
        struct listener *l = &v->listeners[i];
        const bool open = may_accept(v, l->serve);

        if (open != l->open && loop_set_events(l->source, open ? EPOLLIN : 0, NULL) == 0)
            l->open = open;
    }
}

/* Asks the guest for a connection to @port. */
static void ask_guest(struct conn *c, uint32_t port)
{
    conn_set_address(c, port, conn_free_port(c->device, port));
    conn_set_state(c, CONN_GUEST_WAIT);
    conn_set_deadline(c, VSOCK_HANDSHAKE_MS); /* begins anew when the request is sent */
    conn_owe(c, OWE_REQUEST);
}

static void take_client(struct listener *l, int fd)
{
    const struct vsock_serve *s = l->serve;
    const bool hybrid = s->kind == VSOCK_SERVE_HYBRID;
    struct conn *c = conn_new(l->device, hybrid ? CONN_LINE : CONN_GUEST_WAIT, fd);

    if (!c || host_watch(c, false) < 0) {
        refuse(l->device, "memory", s->port, 0, "a client of the host cannot be served");
        if (c)
            conn_free(c);
        return;
    }
    c->is_agent = s->kind == VSOCK_SERVE_AGENT;
    l->device->n_agents += c->is_agent;
    c->is_hybrid = hybrid;
    if (hybrid)
        conn_set_deadline(c, VSOCK_LINE_MS);
    else
        ask_guest(c, s->port);
}

static void clients_ready(void *user, uint32_t events)
{
    struct listener *l = user;
    struct vsock_device *v = l->device;

    (void) events;
    for (unsigned n = 0; n < ACCEPT_BATCH && may_accept(v, l->serve); n++) {
        int fd = accept4(l->serve->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            take_client(l, fd);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            if (errno != EAGAIN) {
                refuse(v, "descriptors", l->serve->port, 0, "accept: %s", strerror(errno));
                v->accept_failed = true; /* the socket stays readable: look again later */
            }
            break;
        }
    }
    listeners_update(v);
}

int listeners_new(struct vsock_device *v, mvm_error **err)
{
    int r = 0;

    v->listeners = mem_array(v->ports->n, sizeof(v->listeners[0]));
    if (!v->listeners)
        return mvm_fail_nomem(err);
    for (size_t i = 0; r == 0 && i < v->ports->n; i++) {
        const struct vsock_serve *s = &v->ports->items[i];
        struct listener *l = &v->listeners[v->n_listeners];

        if (s->kind == VSOCK_SERVE_CONNECT || s->kind == VSOCK_SERVE_ONCE)
            continue;
        *l = (struct listener){ .device = v, .serve = s };
        r = loop_add_fd(v->loop, s->fd, 0, clients_ready, l, &l->source, err);
        if (r == 0)
            v->n_listeners++;
    }
    return r;
}

void listeners_free(struct vsock_device *v)
{
    for (size_t i = 0; i < v->n_listeners; i++)
        loop_remove(v->listeners[i].source);
    free(steal_ptr(&v->listeners));
    v->n_listeners = 0;
}

static bool port_is_reserved(const struct vsock_device *v, uint64_t port)
{
    for (size_t i = 0; i < v->ports->n; i++)
        if (v->ports->items[i].kind == VSOCK_SERVE_AGENT && v->ports->items[i].port == port)
            return true;
    return false;
}

/* What was read of the line is taken away first: a close with unread data is a reset to the client,
 * not an end. */
static void refuse_line(struct conn *c, const char *reason, const char *what)
{
    char line[VSOCK_LINE_MAX];

    (void) recv(c->fd, line, sizeof(line), MSG_DONTWAIT);
    refuse(c->device, reason, 0, 0, "a client of the hybrid socket %s", what);
    conn_free(c);
}

/* "CONNECT <port>", without its end. */
static bool parse_line(const char *line, size_t len, uint64_t *ret)
{
    static const char word[] = "CONNECT ";
    const size_t skip = sizeof(word) - 1;

    if (len > 0 && line[len - 1] == '\r')
        len--;
    return len > skip && memcmp(line, word, skip) == 0 &&
           scan_u64(line + skip, len - skip, VSOCK_PORT_ANY - 1, ret) && *ret > 0;
}

void line_ready(struct conn *c, bool ended)
{
    char line[VSOCK_LINE_MAX];
    ssize_t n = recv(c->fd, line, sizeof(line), MSG_PEEK | MSG_DONTWAIT);
    const char *end = n > 0 ? memchr(line, '\n', (size_t) n) : NULL;
    uint64_t port = 0;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_free(c); /* gone without a word */
    } else if (!end && (size_t) n == sizeof(line)) {
        refuse_line(c, "bad-line", "wrote a line that is too long");
    } else if (!end && ended) {
        refuse_line(c, "bad-line", "wrote a line without its end");
    } else if (!end) {
        return; /* the next byte is the next event */
    } else if (!parse_line(line, (size_t) (end - line), &port)) {
        refuse_line(c, "bad-line", "wrote something else than CONNECT <port>");
    } else if (port_is_reserved(c->device, port)) {
        refuse_line(c, "port-reserved", "asked for the agent's port");
    } else {
        (void) recv(c->fd, line, (size_t) (end - line) + 1, MSG_DONTWAIT); /* what was peeked at */
        ask_guest(c, (uint32_t) port);
    }
}
