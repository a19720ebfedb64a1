/* SPDX-License-Identifier: Apache-2.0 */
/* The host's side of a connection: a UNIX stream socket. Its events come once for each change (edge
 * triggered), and @readable remembers them, so that a connection that waits for the guest costs no
 * call. */
#include "virtio/vsock/device-internal.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

static void host_event(void *user, uint32_t events);

int host_watch(struct conn *c, bool writable)
{
    const uint32_t events = EPOLLET | EPOLLIN | EPOLLRDHUP | (writable ? EPOLLOUT : 0);

    if (c->source)
        return loop_set_events(c->source, events, NULL);
    return loop_add_fd(c->device->loop, c->fd, events, host_event, c, &c->source, NULL);
}

/* The half that carried the guest's data is over. */
static void end_sending(struct conn *c)
{
    if (c->state == CONN_FLUSH)
        conn_free(c);
    else if (c->shut_guest & VSOCK_SHUT_SEND)
        (void) shutdown(c->fd,
                        SHUT_WR); /* fails when the peer is gone already, which is told apart */
}

void host_is_deaf(struct conn *c)
{
    if (c->state == CONN_FLUSH) {
        conn_free(c);
        return;
    }
    if (c->state != CONN_OPEN || c->host_deaf)
        return;
    c->host_deaf = true;
    c->passed = c->received; /* lost, as what a closed socket still gets */
    held_drop(c);
    conn_owe(c, OWE_SHUTDOWN);
}

static void host_writable(struct conn *c)
{
    const size_t before = c->held_len;

    if (before == 0)
        return;
    if (!held_flush(c)) {
        host_is_deaf(c);
        return;
    }
    if (c->state == CONN_FLUSH && c->held_len < before)
        conn_set_deadline(c, VSOCK_FLUSH_MS);
    if (c->held_len == 0) {
        (void) host_watch(c, false); /* taking an event away cannot fail */
        end_sending(c);
    }
}

/* A guest that shut its receiving half reads nothing any more, so that the end behind what it did
 * not read would never be found. */
static void end_unread(struct conn *c)
{
    if (c->state != CONN_OPEN || c->host_end || !c->host_hup || !(c->shut_guest & VSOCK_SHUT_RCV))
        return;
    c->host_end = true;
    conn_owe(c, OWE_SHUTDOWN);
    host_is_deaf(c);
}

static void host_event(void *user, uint32_t events)
{
    struct conn *c = user;

    if (c->state == CONN_LINE) {
        line_ready(c, (events & (EPOLLRDHUP | EPOLLHUP)) != 0);
        return;
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        c->readable = true;
        if (c->state == CONN_OPEN)
            conn_ready(c);
    }
    if (events & EPOLLHUP)
        c->host_hup = true;
    end_unread(c);
    if (c->host_hup && c->host_end)
        host_is_deaf(c);
    else if (events & (EPOLLOUT | EPOLLHUP))
        host_writable(c);
}

static void hold(struct conn *c, const struct iovec *iov, unsigned n, size_t sent)
{
    if (held_add(c, iov, n, sent) < 0 || host_watch(c, true) < 0) {
        refuse(c->device, "memory", c->guest_port, c->host_port, "nowhere to keep its data");
        conn_reset(c);
    }
}

void host_send(struct conn *c, const struct iovec *iov, unsigned n, size_t len)
{
    const struct msghdr mh = { .msg_iov = (struct iovec *) iov, .msg_iovlen = n };
    ssize_t sent = 0;

    if (c->host_deaf) {
        credit_passed(c, (uint32_t) len);
        return;
    }
    if (c->held_len == 0) {
        do
            sent = sendmsg(c->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        if (sent < 0 && !held_may_wait(c, errno)) {
            host_is_deaf(c);
            return;
        }
        if (sent < 0)
            sent = 0;
        credit_passed(c, (uint32_t) sent);
    }
    if ((size_t) sent < len)
        hold(c, iov, n, (size_t) sent);
}

void host_flush(struct conn *c)
{
    conn_drop_address(c);
    conn_unready(c);
    c->owes = 0;
    if (c->held_len == 0) {
        conn_free(c);
        return;
    }
    conn_set_state(c, CONN_FLUSH);
    conn_set_deadline(c, VSOCK_FLUSH_MS);
}

void host_shut(struct conn *c)
{
    const struct reset reset = { .cid = VSOCK_CID_HOST,
                                 .guest_port = c->guest_port,
                                 .host_port = c->host_port,
                                 .type = VSOCK_TYPE_STREAM };

    if (c->shut_guest != VSOCK_SHUT_BOTH) {
        if (c->shut_guest & VSOCK_SHUT_RCV)
            (void) shutdown(c->fd, SHUT_RD); /* the host's next write fails with EPIPE; and it is an
                                              * event, which tells a hangup of before anew */
        if (c->held_len == 0)
            end_sending(c);
        return;
    }
    reset_queue(c->device, &reset); /* the guest hears at once that it is done */
    host_flush(c);
}

/* "OK <port>\n" fits into a socket that nothing was written to. */
static bool greet(const struct conn *c)
{
    char line[32];
    int n = snprintf(line, sizeof(line), "OK %u\n", c->host_port);

    return n > 0 && send(c->fd, line, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL) == n;
}

void host_opened(struct conn *c)
{
    if (c->is_hybrid && !greet(c)) {
        conn_reset(c);
        return;
    }
    conn_set_state(c, CONN_OPEN);
    conn_set_deadline(c, 0);
    c->readable = true;
    conn_ready(c);
}

/* Where the guest's connections to @port go: 1 with @ret_path or @ret_fd, or 0 and why not. */
static int find_target(struct vsock_device *v, uint32_t port, char path[VSOCK_PATH_MAX + 1],
                       int *ret_fd, const char **ret_why)
{
    const struct vsock_serve *hybrid = NULL;
    bool reserved = false, used = false;

    for (size_t i = 0; i < v->ports->n; i++) {
        const struct vsock_serve *s = &v->ports->items[i];

        if (s->kind == VSOCK_SERVE_HYBRID)
            hybrid = s;
        else if (s->port != port)
            continue;
        else if (s->kind == VSOCK_SERVE_CONNECT)
            return snprintf(path, VSOCK_PATH_MAX + 1, "%s", s->path) > 0;
        else if (s->kind == VSOCK_SERVE_AGENT)
            reserved = true;
        else if (s->kind == VSOCK_SERVE_ONCE && !v->once_used[i]) {
            v->once_used[i] = true;
            *ret_fd = s->fd;
            return 1;
        } else if (s->kind == VSOCK_SERVE_ONCE)
            used = true;
    }
    *ret_why = used ? "port-used" : reserved ? "port-reserved" : "no-such-port";
    if (used || reserved || !hybrid)
        return 0;
    return snprintf(path, VSOCK_PATH_MAX + 1, "%s_%u", hybrid->path, port) > 0; /* fits: ports.h */
}

/* 0, or the errno. */
static int try_connect(int fd, const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    memcpy(un.sun_path, path, strlen(path) + 1); /* fits: VSOCK_PATH_MAX */
    return connect(fd, (const struct sockaddr *) &un, sizeof(un)) < 0 ? errno : 0;
}

static struct conn *open_conn(struct vsock_device *v, enum conn_state state, int fd,
                              uint32_t guest_port, uint32_t host_port)
{
    struct conn *c = conn_new(v, state, fd);

    if (!c) {
        refuse(v, "memory", guest_port, host_port, "nowhere to keep it");
        return NULL;
    }
    conn_set_address(c, guest_port, host_port);
    if (state == CONN_OPEN && host_watch(c, false) < 0) {
        refuse(v, "descriptors", guest_port, host_port, "cannot watch the socket");
        conn_free(c);
        return NULL;
    }
    c->readable = state == CONN_OPEN; /* perhaps: the first look tells */
    return c;
}

static const char *connect_reason(int error)
{
    return error == ENOENT || error == ENOTDIR ? "host-absent"
           : error == ECONNREFUSED             ? "host-refused"
                                               : "host-error";
}

static struct conn *connect_path(struct vsock_device *v, const char *path, uint32_t guest_port,
                                 uint32_t host_port)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = fd < 0 ? errno : try_connect(fd, path);
    struct conn *c;

    if (fd < 0) {
        refuse(v, "descriptors", guest_port, host_port, "%s", strerror(error));
        return NULL;
    }
    if (error && error != EAGAIN) {
        (void) close(fd);
        refuse(v, connect_reason(error), guest_port, host_port, "'%s': %s", path, strerror(error));
        return NULL;
    }
    c = open_conn(v, error ? CONN_HOST_WAIT : CONN_OPEN, fd, guest_port, host_port);
    if (c && error)
        conn_set_deadline(c, VSOCK_CONNECT_WAIT_MS);
    return c;
}

struct conn *host_connect(struct vsock_device *v, uint32_t guest_port, uint32_t host_port)
{
    char path[VSOCK_PATH_MAX + 1];
    const char *why = NULL;
    int fd = -EBADF;

    if (!conn_has_place(v, false)) {
        refuse(v, "limit", guest_port, host_port, "%u connections at once are the most",
               v->conns_max);
        return NULL;
    }
    if (!find_target(v, host_port, path, &fd, &why)) {
        refuse(v, why, guest_port, host_port, "not for the guest");
        return NULL;
    }
    if (fd >= 0)
        return open_conn(v, CONN_OPEN, fd, guest_port, host_port);
    return connect_path(v, path, guest_port, host_port);
}

/* Tries a full host socket again. */
static void connect_again(struct conn *c, bool last)
{
    struct vsock_device *v = c->device;
    char path[VSOCK_PATH_MAX + 1];
    const char *why = NULL;
    int fd = -EBADF;
    int error = find_target(v, c->host_port, path, &fd, &why) ? try_connect(c->fd, path) : ENOENT;

    if (error == EAGAIN && !last)
        return;
    if (error == 0 && host_watch(c, false) == 0) {
        conn_set_state(c, CONN_OPEN);
        conn_set_deadline(c, 0);
        c->readable = true;
        conn_owe(c, OWE_RESPONSE);
        return;
    }
    refuse(v, error == EAGAIN ? "host-full" : connect_reason(error), c->guest_port, c->host_port,
           "'%s': %s", path, strerror(error));
    conn_reset(c);
}

void host_tick(struct conn *c, uint64_t now_ms)
{
    const bool late = now_ms >= c->deadline_ms;

    if (c->state == CONN_HOST_WAIT) {
        connect_again(c, late);
        return;
    }
    if (c->state == CONN_OPEN) {
        conn_set_deadline(c, 0); /* for nothing else than this */
        host_writable(c);
        return;
    }
    if (!late) {
        if (c->starved)
            host_writable(c); /* left by the guest, its deadline goes on */
        return;
    }
    if (c->state == CONN_GUEST_WAIT)
        refuse(c->device, "timeout", c->guest_port, c->host_port, "the guest does not answer");
    else if (c->state == CONN_LINE)
        refuse(c->device, "timeout", 0, 0, "a client of the hybrid socket wrote no line");
    else if (c->state == CONN_FLUSH)
        refuse(c->device, "timeout", c->guest_port, c->host_port,
               "%zu bytes that nobody on the host reads are dropped", c->held_len);
    conn_reset(c);
}
