/* SPDX-License-Identifier: Apache-2.0 */
/* The transmit ring: packets of the guest. */
#include "virtio/vsock/device-internal.h"

/* Chains a round: then others have their turn. */
#define FROM_GUEST_BATCH 256
/* The most that a packet may hold (VIRTIO_VSOCK_MAX_PKT_BUF_SIZE of Linux). */
#define PACKET_DATA_MAX (64u << 10)
#define GATHER_MAX 64
#define GATHER_BYTES_MAX (256u << 10)

/* Data of one connection that follow each other in the ring: one system call sends them. The
 * buffers are the guest's until the chains are shown as used, after the last of them is sent. */
struct gather {
    struct conn *conn;
    struct iovec iov[GATHER_MAX];
    unsigned n;
    size_t len;
};

static void gather_send(struct gather *g)
{
    if (g->conn)
        host_send(g->conn, g->iov, g->n, g->len);
    g->conn = NULL;
    g->n = 0;
    g->len = 0;
}

/* Whether data of @c would go with what is gathered. */
static bool gather_fits(const struct gather *g, const struct conn *c, unsigned n, size_t len)
{
    return g->conn == c && g->n + n <= GATHER_MAX && g->len + len <= GATHER_BYTES_MAX;
}

static void gather_add(struct gather *g, struct conn *c, const struct iovec *iov, unsigned n,
                       size_t len)
{
    g->conn = c;
    memcpy(g->iov + g->n, iov, n * sizeof(*iov));
    g->n += n;
    g->len += len;
}

static void answer_reset(struct vsock_device *v, const struct vsock_packet *p)
{
    const struct reset reset = {
        .cid = p->dst_cid, .guest_port = p->src_port, .host_port = p->dst_port, .type = p->type
    };

    if (p->op != VSOCK_OP_RST)
        reset_queue(v, &reset);
}

static void take_request(struct vsock_device *v, const struct vsock_packet *p)
{
    struct conn *c = host_connect(v, p->src_port, p->dst_port);

    if (!c) {
        answer_reset(v, p);
        return;
    }
    c->peer_window = p->buf_alloc;
    c->peer_passed = p->fwd_cnt;
    c->sent = p->fwd_cnt; /* 0 with Linux; whoever starts elsewhere means the same */
    if (c->state == CONN_OPEN)
        conn_owe(c, OWE_RESPONSE);
}

static void take_violation(struct gather *g, struct conn *c, const char *reason, const char *what)
{
    if (g->conn == c)
        *g = (struct gather){ .conn = NULL };
    refuse(c->device, reason, c->guest_port, c->host_port, "%s", what);
    conn_reset(c);
}

static void take_shutdown(struct conn *c, const struct vsock_packet *p)
{
    c->shut_guest |= (uint8_t) (p->flags & VSOCK_SHUT_BOTH);
    if (c->state == CONN_OPEN)
        host_shut(c);
    else if (c->state != CONN_CLOSING || c->shut_guest == VSOCK_SHUT_BOTH)
        conn_reset(c);
}

static void take_data(struct gather *g, struct conn *c, const struct iovec *iov, unsigned n,
                      uint32_t len)
{
    if (c->state == CONN_CLOSING)
        return; /* it did not know yet */
    if (c->state != CONN_OPEN || (c->shut_guest & VSOCK_SHUT_SEND)) {
        take_violation(g, c, "protocol", "data before or after the connection");
        return;
    }
    if (!credit_received(c, len)) {
        take_violation(g, c, "credit", "more data than the window");
        return;
    }
    if (len > 0)
        gather_add(g, c, iov, n, len);
}

/* A packet of a connection that we have. @iov: its data. */
static void take_known(struct gather *g, struct conn *c, const struct vsock_packet *p,
                       const struct iovec *iov, unsigned n)
{
    /* A reset comes from who knows nothing of the connection any more, its counters included. */
    if (p->op != VSOCK_OP_RST && !credit_update(c, p)) {
        take_violation(g, c, "credit", "passed on more than it got");
        return;
    }
    if (c->state == CONN_OPEN && c->readable)
        conn_ready(c); /* there may be room now */
    switch (p->op) {
    case VSOCK_OP_RW:
        take_data(g, c, iov, n, p->len);
        return;
    case VSOCK_OP_CREDIT_UPDATE:
        return;
    case VSOCK_OP_CREDIT_REQUEST:
        conn_owe(c, OWE_CREDIT);
        return;
    case VSOCK_OP_SHUTDOWN:
        take_shutdown(c, p);
        return;
    case VSOCK_OP_RST:
        if (c->state == CONN_GUEST_WAIT)
            refuse(c->device, "guest-refused", c->guest_port, c->host_port,
                   "nobody listens in the guest");
        conn_free(c);
        return;
    case VSOCK_OP_RESPONSE:
        if (c->state == CONN_GUEST_WAIT && !(c->owes & OWE_REQUEST)) {
            host_opened(c);
            return;
        }
        break;
    default:
        break;
    }
    take_violation(g, c, "protocol", "an operation out of its place");
}

/* Whether it is for one of our connections at all. */
static bool check_addresses(struct vsock_device *v, const struct vsock_packet *p)
{
    if (p->src_cid != VSOCK_CID_GUEST) {
        refuse(v, "bad-cid", p->src_port, p->dst_port, "from CID %llu, which is not the guest's",
               (unsigned long long) p->src_cid);
        return false; /* nobody to answer */
    }
    if (p->dst_cid != VSOCK_CID_HOST) {
        refuse(v, "bad-cid", p->src_port, p->dst_port, "to CID %llu: there is the host's, %d",
               (unsigned long long) p->dst_cid, VSOCK_CID_HOST);
        answer_reset(v, p);
        return false;
    }
    if (p->type != VSOCK_TYPE_STREAM) {
        refuse(v, "bad-type", p->src_port, p->dst_port, "type %u: there are streams only", p->type);
        answer_reset(v, p); /* virtio 1.2, 5.10.6.4.2 */
        return false;
    }
    return true;
}

static void take_packet(struct vsock_device *v, struct gather *g, const struct vsock_packet *p,
                        const struct iovec *iov, unsigned n)
{
    struct conn *c = check_addresses(v, p) ? conn_find(v, p->src_port, p->dst_port) : NULL;

    /* Before a byte of this packet counts: sending may end the connection, or take all that came
     * for passed on. */
    if (g->conn && (p->op != VSOCK_OP_RW || !gather_fits(g, c, n, p->len))) {
        gather_send(g);
        c = c ? conn_find(v, p->src_port, p->dst_port) : NULL;
    }
    if (c)
        take_known(g, c, p, iov, n);
    else if (p->src_cid != VSOCK_CID_GUEST || p->dst_cid != VSOCK_CID_HOST ||
             p->type != VSOCK_TYPE_STREAM)
        return; /* answered already */
    else if (p->op == VSOCK_OP_REQUEST)
        take_request(v, p);
    else
        answer_reset(v, p);
}

static void take_chain(struct vsock_device *v, struct gather *g, const struct vchain *chain)
{
    uint8_t raw[VSOCK_HEADER_SIZE];
    struct iovec iov[VSOCK_CHAIN_MAX];
    struct vsock_packet p;
    uint64_t total = iov_total(chain->iov, chain->n_out);
    unsigned n;

    if (iov_read(chain->iov, chain->n_out, raw, sizeof(raw)) < sizeof(raw)) {
        refuse(v, "bad-header", 0, 0, "a packet of %llu bytes", (unsigned long long) total);
        return;
    }
    vsock_packet_decode(raw, &p);
    if (p.len > PACKET_DATA_MAX || p.len > total - sizeof(raw)) {
        struct conn *c = p.src_cid == VSOCK_CID_GUEST && p.dst_cid == VSOCK_CID_HOST
                             ? conn_find(v, p.src_port, p.dst_port)
                             : NULL;

        refuse(v, "bad-header", p.src_port, p.dst_port, "%u bytes of data in a packet of %llu",
               p.len, (unsigned long long) total);
        gather_send(g);
        if (c && conn_find(v, p.src_port, p.dst_port) == c)
            conn_reset(c);
        return;
    }
    n = iov_slice(chain->iov, chain->n_out, sizeof(raw), p.len, iov, ARRAY_SIZE(iov));
    take_packet(v, g, &p, iov, n);
}

/* 1: there may be more; 0; MVM_E_*: the ring is broken. */
static int take_batch(struct vsock_device *v)
{
    struct iovec iov[VSOCK_CHAIN_MAX];
    struct vchain chain = { .iov = iov, .max = ARRAY_SIZE(iov) };
    struct gather g = { .conn = NULL };
    unsigned done = 0;
    int r = 0;

    while (done < FROM_GUEST_BATCH && v->n_resets < VSOCK_RESETS_PAUSE) {
        r = vqueue_peek(v->tx, 0, &chain);
        if (r <= 0)
            break;
        vqueue_take(v->tx);
        take_chain(v, &g, &chain);
        vqueue_put(v->tx, chain.head, 0);
        done++;
    }
    gather_send(&g);
    if (r < 0)
        return r;
    if (vqueue_publish(v->tx))
        v->transport->notify(v->transport->user, VSOCK_QUEUE_TX);
    return done == FROM_GUEST_BATCH;
}

bool from_guest_run(struct vsock_device *v)
{
    int r = take_batch(v);

    if (r < 0) {
        log_error(v->log, "vsock", "the guest's transmit ring is broken: the device needs a reset");
        v->transport->broke(v->transport->user, VSOCK_QUEUE_TX);
    }
    return r > 0;
}

void from_guest_drain(struct vsock_device *v)
{
    /* A guest that runs on may add more; a ring that is broken gives no more. */
    for (unsigned n = 0; n < v->tx->size && take_batch(v) > 0; n += FROM_GUEST_BATCH)
        ;
}
