/* SPDX-License-Identifier: Apache-2.0 */
/* The receive ring: packets for the guest. */
#include "virtio/vsock/device-internal.h"

#include <sys/socket.h>

/* Receive buffers that one system call fills, which is also a connection's turn: 64 KiB with Linux'
 * 4 KiB buffers. */
#define TURN_CHAINS 16
#define TURN_IOVS 64
/* Turns a round. */
#define TURNS_A_ROUND 256

enum turn {
    TURN_DONE,    /* nothing more until something happens */
    TURN_AGAIN,   /* there may be more */
    TURN_STARVED, /* the guest has to give buffers first */
    TURN_BROKEN,  /* the ring cannot be trusted */
    TURN_GONE,    /* the connection is no more */
};

/* The next receive buffer: it has only parts that we write, and room behind a header. */
static int next_buffer(struct vsock_device *v, unsigned ahead, struct vchain *chain)
{
    int r = vqueue_peek(v->rx, ahead, chain);

    if (r == 1 && (chain->n_out > 0 || iov_total(chain->iov, chain->n_in) <= VSOCK_HEADER_SIZE))
        r = MVM_E_FORMAT;
    return r;
}

static enum turn buffer_turn(int r)
{
    return r < 0 ? TURN_BROKEN : TURN_STARVED;
}

static struct vsock_packet packet_of(struct conn *c, enum vsock_op op)
{
    c->passed_told = c->passed;
    c->owes &= (uint8_t) ~OWE_CREDIT; /* each packet tells */
    return (struct vsock_packet){ .src_cid = VSOCK_CID_HOST,
                                  .dst_cid = VSOCK_CID_GUEST,
                                  .src_port = c->host_port,
                                  .dst_port = c->guest_port,
                                  .type = VSOCK_TYPE_STREAM,
                                  .op = (uint16_t) op,
                                  .buf_alloc = c->window,
                                  .fwd_cnt = c->passed };
}

/* Takes the next buffer for a packet without data. TURN_DONE: sent. */
static enum turn send_bare(struct vsock_device *v, const struct vsock_packet *p)
{
    struct iovec iov[VSOCK_CHAIN_MAX];
    struct vchain chain = { .iov = iov, .max = ARRAY_SIZE(iov) };
    uint8_t raw[VSOCK_HEADER_SIZE];
    int r = next_buffer(v, 0, &chain);

    if (r <= 0)
        return buffer_turn(r);
    vsock_packet_encode(p, raw);
    (void) iov_write(chain.iov, chain.n_in, raw, sizeof(raw)); /* fits: next_buffer() */
    vqueue_take(v->rx);
    vqueue_put(v->rx, chain.head, sizeof(raw));
    return TURN_DONE;
}

static enum turn send_resets(struct vsock_device *v)
{
    enum turn t = TURN_DONE;

    while (v->n_resets > 0 && t == TURN_DONE) {
        const struct reset *reset = &v->resets[v->resets_at];
        const struct vsock_packet p = { .src_cid = reset->cid,
                                        .dst_cid = VSOCK_CID_GUEST,
                                        .src_port = reset->host_port,
                                        .dst_port = reset->guest_port,
                                        .type = reset->type,
                                        .op = VSOCK_OP_RST };

        t = send_bare(v, &p);
        if (t == TURN_DONE) {
            v->n_resets--;
            /* An empty queue begins anew, so that only what is used of it costs memory. */
            v->resets_at = v->n_resets ? (v->resets_at + 1) % VSOCK_RESETS_MAX : 0;
        }
    }
    return t;
}

/* Some receive buffers side by side. */
struct batch {
    struct iovec room[TURN_IOVS];        /* for data, of all of them */
    struct iovec header[TURN_CHAINS][2]; /* where each one's header goes */
    uint16_t head[TURN_CHAINS];
    uint32_t size[TURN_CHAINS]; /* room for data in each */
    unsigned n, n_room;
};

/* Gathers buffers for up to @max bytes. A header that lies in more than two pieces is no Linux
 * driver's, and not worth more memory here. */
static int batch_fill(struct vsock_device *v, uint32_t max, struct batch *b)
{
    struct iovec iov[VSOCK_CHAIN_MAX];
    struct vchain chain = { .iov = iov, .max = ARRAY_SIZE(iov) };
    int r = 0;

    b->n = b->n_room = 0;
    while (b->n < TURN_CHAINS && max > 0) {
        uint64_t room;
        unsigned used;

        r = next_buffer(v, b->n, &chain);
        if (r <= 0 || (b->n > 0 && b->n_room + chain.n_in > TURN_IOVS))
            break;
        room = iov_total(chain.iov, chain.n_in) - VSOCK_HEADER_SIZE;
        if (room > max)
            room = max;
        memset(b->header[b->n], 0, sizeof(b->header[b->n]));
        used = iov_slice(chain.iov, chain.n_in, 0, VSOCK_HEADER_SIZE, b->header[b->n], 2);
        if (iov_total(b->header[b->n], used) < VSOCK_HEADER_SIZE)
            return MVM_E_FORMAT;
        b->n_room += iov_slice(chain.iov, chain.n_in, VSOCK_HEADER_SIZE, (size_t) room,
                               b->room + b->n_room, TURN_IOVS - b->n_room);
        b->head[b->n] = chain.head;
        b->size[b->n++] = (uint32_t) room;
        max -= (uint32_t) room;
    }
    return b->n > 0 ? 1 : r;
}

/* Puts headers in front of @len bytes that were read, and gives the buffers to the guest. */
static void batch_use(struct vsock_device *v, struct conn *c, const struct batch *b, size_t len)
{
    for (unsigned i = 0; i < b->n && len > 0; i++) {
        struct vsock_packet p = packet_of(c, VSOCK_OP_RW);
        uint8_t raw[VSOCK_HEADER_SIZE];

        p.len = len < b->size[i] ? (uint32_t) len : b->size[i];
        vsock_packet_encode(&p, raw);
        (void) iov_write(b->header[i], 2, raw, sizeof(raw)); /* fits: batch_fill() */
        vqueue_take(v->rx);
        vqueue_put(v->rx, b->head[i], VSOCK_HEADER_SIZE + p.len);
        c->sent += p.len;
        len -= p.len;
    }
}

/* No more data comes from the host: its half is shut. Both are where nobody is there to read. */
static void host_ended(struct conn *c)
{
    c->host_end = true;
    c->readable = false;
    conn_owe(c, OWE_SHUTDOWN);
    if (c->host_hup)
        host_is_deaf(c);
}

static enum turn send_data(struct vsock_device *v, struct conn *c)
{
    uint32_t credit = credit_left(c);
    struct batch b;
    struct msghdr mh = { .msg_iov = b.room };
    ssize_t n;
    int r;

    if (credit == 0) {
        if (!c->asked) /* once until it moves */
            conn_owe(c, OWE_ASK);
        c->asked = true;
        return TURN_DONE;
    }
    r = batch_fill(v, credit, &b);
    if (r <= 0)
        return buffer_turn(r);
    mh.msg_iovlen = b.n_room;
    do
        n = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        batch_use(v, c, &b, (size_t) n);
        return TURN_AGAIN;
    }
    if (n == 0) {
        host_ended(c);
        return TURN_AGAIN;
    }
    if (errno == EAGAIN) {
        c->readable = false;
        return TURN_DONE;
    }
    conn_reset(c); /* the peer died with our data unread */
    return TURN_GONE;
}

/* One packet of those that are owed. */
static enum turn send_owed(struct vsock_device *v, struct conn *c)
{
    static const struct {
        uint8_t owed;
        enum vsock_op op;
    } order[] = { { OWE_REQUEST, VSOCK_OP_REQUEST },
                  { OWE_RESPONSE, VSOCK_OP_RESPONSE },
                  { OWE_SHUTDOWN, VSOCK_OP_SHUTDOWN },
                  { OWE_CREDIT, VSOCK_OP_CREDIT_UPDATE },
                  { OWE_ASK, VSOCK_OP_CREDIT_REQUEST } };
    struct vsock_packet p;
    enum turn t;
    size_t i = 0;

    while (!(c->owes & order[i].owed))
        i++;
    p = packet_of(c, order[i].op);
    if (order[i].owed == OWE_SHUTDOWN)
        p.flags = (c->host_end ? VSOCK_SHUT_SEND : 0) | (c->host_deaf ? VSOCK_SHUT_RCV : 0);
    t = send_bare(v, &p);
    if (t != TURN_DONE) {
        if (order[i].owed == OWE_CREDIT)
            c->owes |= OWE_CREDIT; /* packet_of() took it for told */
        return t;
    }
    c->owes &= (uint8_t) ~order[i].owed;
    if (order[i].owed == OWE_REQUEST)
        conn_set_deadline(c, VSOCK_HANDSHAKE_MS);
    if (order[i].owed == OWE_SHUTDOWN) {
        c->shut_told |= (uint8_t) p.flags;
        if (c->shut_told == VSOCK_SHUT_BOTH) {
            conn_set_state(c, CONN_CLOSING);
            conn_set_deadline(c, VSOCK_CLOSE_MS);
        }
    }
    return TURN_AGAIN;
}

static enum turn conn_turn(struct vsock_device *v, struct conn *c)
{
    if (c->owes)
        return send_owed(v, c);
    if (c->state == CONN_OPEN && c->readable && !c->host_end && !(c->shut_guest & VSOCK_SHUT_RCV))
        return send_data(v, c);
    return TURN_DONE;
}

static enum turn take_turns(struct vsock_device *v)
{
    enum turn t = send_resets(v);

    for (unsigned n = 0; t == TURN_DONE && v->ready_first; n++) {
        struct conn *c = v->ready_first;

        if (n == TURNS_A_ROUND)
            return TURN_AGAIN;
        conn_unready(c);
        t = conn_turn(v, c);
        if (t == TURN_AGAIN || t == TURN_STARVED || (t == TURN_DONE && c->owes))
            conn_ready(c);
        if (t == TURN_AGAIN || t == TURN_GONE)
            t = TURN_DONE;
    }
    return t == TURN_DONE && v->n_resets > 0 ? send_resets(v) : t;
}

bool to_guest_run(struct vsock_device *v)
{
    enum turn t = take_turns(v);

    if (t == TURN_BROKEN) {
        log_error(v->log, "vsock", "the guest's receive ring is broken: the device needs a reset");
        v->transport->broke(v->transport->user, VSOCK_QUEUE_RX);
        return false;
    }
    if (vqueue_publish(v->rx))
        v->transport->notify(v->transport->user, VSOCK_QUEUE_RX);
    return t == TURN_AGAIN;
}
