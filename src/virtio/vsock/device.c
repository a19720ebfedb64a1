/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vsock/device-internal.h"

#include "base/clock.h"

static void tick(void *user)
{
    struct vsock_device *v = user;
    const uint64_t now = clock_now_ms();
    struct conn *next;

    v->ticking = false;
    v->accept_failed = false;
    if (v->finish_ms && now >= v->finish_ms)
        loop_stop(v->loop);
    for (struct conn *c = v->conns; c; c = next) {
        next = c->next; /* a tick ends its own connection at most */
        if (c->deadline_ms)
            host_tick(c, now);
    }
}

static void tick_update(struct vsock_device *v)
{
    if (!v->ticking && (v->n_timed > 0 || v->accept_failed)) {
        loop_set_timer(v->tick, VSOCK_TICK_MS);
        v->ticking = true;
    }
}

/* Asks for what is worth being woken for. False: it is there already. */
static bool rings_wait(struct vsock_device *v)
{
    /* While too many resets wait none of the guest's packets is taken: a receive buffer helps, and
     * nothing else. */
    if (v->n_resets >= VSOCK_RESETS_PAUSE)
        return vqueue_wait(v->rx);
    if (v->tx->avail_idx != v->tx->next_avail || !vqueue_wait(v->tx))
        return false;
    if (!v->up || v->ready_first || v->n_resets > 0)
        return vqueue_wait(v->rx);
    vqueue_ignore(v->rx); /* more buffers than we need: no news */
    return true;
}

/* The driver fills its receive ring when it is ready to hear of connections. */
static void look_for_driver(struct vsock_device *v)
{
    struct iovec iov[VSOCK_CHAIN_MAX];
    struct vchain chain = { .iov = iov, .max = ARRAY_SIZE(iov) };

    if (!v->up && vqueue_peek(v->rx, 0, &chain) != 0) {
        v->up = true; /* or broken, which shows when it is used */
        log_info(v->log, "vsock", "the guest's driver is ready");
    }
}

/* After each round of events: all that they gave to do on the rings, in one go. */
static bool work(void *user)
{
    struct vsock_device *v = user;
    bool more = false;

    if (v->rx && v->tx) {
        vqueue_ignore(v->tx); /* we look anyway */
        look_for_driver(v);
        more = from_guest_run(v);
    }
    if (v->rx && v->tx)
        more |= to_guest_run(v);
    if (v->rx && v->tx && !more)
        more = !rings_wait(v);
    listeners_update(v);
    tick_update(v);
    if (v->finish_ms && !v->conns)
        loop_stop(v->loop);
    return more && v->rx && v->tx;
}

/* The guest's side of all connections is gone. What it sent is still the host's. */
static void drop_guest(struct vsock_device *v)
{
    struct conn *next;

    for (struct conn *c = v->conns; c; c = next) {
        next = c->next;
        if (c->state != CONN_FLUSH)
            host_flush(c);
    }
    v->n_resets = v->resets_at = 0;
    v->up = false;
}

static void drop_all(struct vsock_device *v)
{
    unsigned n = 0;

    for (const struct conn *c = v->conns; c; c = c->next)
        n += c->held_len > 0;
    if (n > 0)
        log_warning(v->log, "vsock",
                    "%llu bytes of %u connections that nobody on the host reads are dropped",
                    (unsigned long long) v->held, n);
    while (v->conns)
        conn_free(v->conns);
}

int vsock_device_new(struct loop *loop, const struct vsock_ports *ports,
                     const struct vsock_transport *transport, const struct log *log,
                     struct vsock_device **ret, mvm_error **err)
{
    mvm_auto(vsock_device) v = calloc(1, sizeof(*v));
    int r;

    if (!v)
        return mvm_fail_nomem(err);
    v->loop = loop;
    v->ports = ports;
    v->transport = transport;
    v->log = log;
    v->conns_max = VSOCK_CONNECTIONS_MAX;
    v->resets = mem_array(VSOCK_RESETS_MAX, sizeof(v->resets[0]));
    v->once_used = mem_array(ports->n, sizeof(v->once_used[0]));
    if (!v->resets || !v->once_used)
        return mvm_fail_nomem(err);
    r = loop_add_timer(loop, -1, tick, v, &v->tick, err);
    if (r == 0)
        r = listeners_new(v, err);
    if (r < 0)
        return r;
    loop_set_idle(loop, work, v);
    *ret = steal_ptr(&v);
    return 0;
}

void vsock_device_free(struct vsock_device *v)
{
    if (!v)
        return;
    drop_all(v);
    listeners_free(v);
    loop_set_idle(v->loop, NULL, NULL);
    loop_remove(v->tick);
    free(v->resets);
    free(v->once_used);
    free(v);
}

void vsock_device_limit(struct vsock_device *v, unsigned connections)
{
    v->conns_max = connections < VSOCK_CONNECTIONS_MAX ? connections : VSOCK_CONNECTIONS_MAX;
}

void vsock_device_started(struct vsock_device *v, unsigned queue, struct vqueue *vq)
{
    *(queue == VSOCK_QUEUE_RX ? &v->rx : &v->tx) = vq;
}

void vsock_device_stopped(struct vsock_device *v, unsigned queue)
{
    /* A machine that stops takes the receive ring first: the other's index is still ours to move.
     */
    if (queue == VSOCK_QUEUE_RX && v->rx && v->tx)
        from_guest_drain(v);
    *(queue == VSOCK_QUEUE_RX ? &v->rx : &v->tx) = NULL;
    drop_guest(v);
}

void vsock_device_finish(struct vsock_device *v)
{
    drop_guest(v);
    if (v->held > 0)
        log_info(v->log, "vsock", "the machine is gone: %llu bytes still go to the host",
                 (unsigned long long) v->held);
    v->finish_ms = clock_now_ms() + VSOCK_FLUSH_MS;
}

void vsock_device_usage(const struct vsock_device *v, struct vsock_usage *ret)
{
    *ret = (struct vsock_usage){ .connections = v->n_conns,
                                 .promised = v->promised,
                                 .held = v->held };
}
