/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/guest-port.h"

#include "base/io.h"
#include "base/strbuf.h"

#include <sys/epoll.h>
#include <sys/socket.h>

struct guest_port {
    int fd; /* owned; -EBADF once ended */
    struct loop *loop;
    struct loop_source *source; /* owned */
    guest_port_fn *fn;
    guest_port_end_fn *end_fn;
    void *user;
    struct strbuf queue; /* encoded messages not yet sent */
    size_t in_len;
    uint8_t in[2 * PORT_FRAME_MAX];
};

static void port_end(struct guest_port *p, const mvm_error *reason)
{
    loop_remove(p->source);
    p->source = NULL;
    (void) close(steal_fd(&p->fd));
    p->end_fn(p->user, reason);
}

/* Hands out each whole message; false once the guest broke the protocol. */
static bool port_parse(struct guest_port *p)
{
    size_t at = 0;

    for (;;) {
        mvm_autoerror mvm_error *err = NULL;
        struct port_message m;
        int n = port_decode(p->in + at, p->in_len - at, &m, &err);

        if (n < 0) {
            port_end(p, err);
            return false;
        }
        if (n == 0)
            break;
        at += (size_t) n;
        p->fn(p->user, &m);
    }
    memmove(p->in, p->in + at, p->in_len - at);
    p->in_len -= at;
    return true;
}

static void port_flush(struct guest_port *p)
{
    while (p->queue.len > 0) {
        ssize_t n = send(p->fd, p->queue.data, p->queue.len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break; /* full: later; broken: the read side tells */
        memmove(p->queue.data, p->queue.data + n, p->queue.len - (size_t) n);
        p->queue.len -= (size_t) n;
    }
    (void) loop_set_events(p->source, p->queue.len ? EPOLLIN | EPOLLOUT : EPOLLIN,
                           NULL); /* the watch exists */
}

static void port_on_event(void *user, uint32_t events)
{
    struct guest_port *p = user;
    ssize_t n;

    if (events & EPOLLOUT)
        port_flush(p);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    n = recv(p->fd, p->in + p->in_len, sizeof(p->in) - p->in_len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        port_end(p, NULL);
        return;
    }
    p->in_len += (size_t) n;
    (void) port_parse(p);
}

int guest_port_new(struct loop *loop, int fd, guest_port_fn *fn, guest_port_end_fn *end_fn,
                   void *user, struct guest_port **ret, mvm_error **err)
{
    mvm_autoclose int held = fd;
    mvm_auto(guest_port) p = calloc(1, sizeof(*p));
    int r;

    if (!p)
        return mvm_fail_nomem(err);
    p->fd = steal_fd(&held);
    p->loop = loop;
    p->fn = fn;
    p->end_fn = end_fn;
    p->user = user;
    p->queue = (struct strbuf) STRBUF_INIT(GUEST_PORT_QUEUE_MAX);
    r = loop_add_fd(loop, p->fd, EPOLLIN, port_on_event, p, &p->source, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&p);
    return 0;
}

void guest_port_free(struct guest_port *p)
{
    if (!p)
        return;
    loop_remove(p->source);
    if (p->fd >= 0)
        (void) close(p->fd);
    strbuf_deinit(&p->queue);
    free(p);
}

bool guest_port_send(struct guest_port *p, const struct port_message *m)
{
    uint8_t frame[PORT_FRAME_MAX];
    size_t n;

    if (!p || p->fd < 0)
        return false;
    n = port_encode(m, frame);
    if (n > p->queue.max - p->queue.len)
        return false;
    strbuf_add(&p->queue, frame, n);
    port_flush(p);
    return !p->queue.failed;
}
