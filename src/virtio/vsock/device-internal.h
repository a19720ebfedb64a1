/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the device share: a connection, the table of them, and who does what. */
#ifndef VIRTIO_VSOCK_DEVICE_INTERNAL_H
#define VIRTIO_VSOCK_DEVICE_INTERNAL_H

#include "virtio/vsock/device.h"
#include "virtio/vsock/packet.h"

/* Milliseconds. A guest's connect() waits 2 s by default: it hears of a full host socket before. */
#define VSOCK_CONNECT_WAIT_MS 1500
/* The guest's kernel answers a request by itself; a software machine under load takes its time. */
#define VSOCK_HANDSHAKE_MS 5000
/* A hybrid client writes its line at once. */
#define VSOCK_LINE_MS 5000
/* As Linux' VSOCK_CLOSE_TIMEOUT. */
#define VSOCK_CLOSE_MS 8000
/* How long what a guest left behind waits for a host's reader that reads nothing; and, once the
 * machine is gone, for all readers together. */
#define VSOCK_FLUSH_MS 60000
/* How often deadlines are looked at, and tried again what has no event: full host sockets, and a
 * kernel without memory. */
#define VSOCK_TICK_MS 20

/* Clients of a hybrid socket that have not written their line yet. */
#define VSOCK_LINES_MAX 64
/* "CONNECT 4294967295\n" has 19 bytes; blanks and "\r" are let pass. */
#define VSOCK_LINE_MAX 32

/* Resets for packets that belong to no connection: as many as this may wait, and beyond it there is
 * room for each connection's own. */
#define VSOCK_RESETS_PAUSE 1024
#define VSOCK_RESETS_MAX (VSOCK_RESETS_PAUSE + 1 + VSOCK_CONNECTIONS_MAX + VSOCK_AGENT_RESERVE)

/* Chains of a ring: a header and some pages. Linux uses 2 to 18. */
#define VSOCK_CHAIN_MAX 64
#define VSOCK_BUCKETS 1024

enum conn_state {
    CONN_LINE,       /* a hybrid client writes its line; no guest port yet */
    CONN_HOST_WAIT,  /* the guest asked; the host socket's backlog is full */
    CONN_GUEST_WAIT, /* the guest was asked, or will be */
    CONN_OPEN,
    CONN_CLOSING, /* the guest was told that both halves are shut; the host's socket is gone */
    CONN_FLUSH,   /* the guest is done; what it sent goes to the host. No guest port any more */
};

/* Packets that are owed to the guest, in the order in which they go. */
#define OWE_REQUEST 1u
#define OWE_RESPONSE 2u
#define OWE_SHUTDOWN 4u
#define OWE_CREDIT 8u
#define OWE_ASK 16u /* for credit */

struct conn {
    struct vsock_device *device;  /* borrowed */
    struct conn *next, *previous; /* all connections */
    struct conn *bucket_next;     /* while @hashed */
    struct conn *ready_next, *ready_previous;
    enum conn_state state;
    bool hashed, is_ready, is_agent, is_hybrid;
    uint32_t guest_port, host_port;
    int fd;                     /* owned; the host's socket, never waited for; -EBADF: gone */
    struct loop_source *source; /* owned */
    uint64_t deadline_ms;       /* 0: none */

    uint8_t owes;
    bool readable;      /* the socket may have data, or its end */
    bool host_hup;      /* its peer is gone, or both halves are shut; there may be data left */
    bool host_end;      /* it gave its end */
    bool host_deaf;     /* it takes no more */
    bool starved;       /* the kernel had no memory for it, and has no event for when it has */
    uint8_t shut_guest; /* halves that the guest shut */
    uint8_t shut_told;  /* halves that the guest was told are shut here */

    /* To the guest. */
    uint32_t sent, peer_window, peer_passed;
    bool asked; /* for credit, since it last moved */
    /* From the guest: received - passed bytes are held. */
    uint32_t window, received, passed, passed_told;
    char *held; /* owned; NULL: nothing held */
    size_t held_at, held_len, held_cap;
};

struct reset {
    uint64_t cid; /* the one that the guest called us by */
    uint32_t guest_port, host_port;
    uint16_t type;
};

struct listener {
    struct vsock_device *device;     /* borrowed */
    const struct vsock_serve *serve; /* borrowed */
    struct loop_source *source;      /* owned */
    bool open;
};

struct refusals {
    uint64_t since_ms;
    unsigned told, untold;
};

struct vsock_device {
    struct loop *loop;                       /* borrowed */
    const struct vsock_transport *transport; /* borrowed */
    const struct log *log;                   /* borrowed */
    const struct vsock_ports *ports;         /* borrowed */
    struct vqueue *rx, *tx;                  /* borrowed; NULL while stopped */
    bool up;                                 /* the driver gave a receive buffer */
    bool accept_failed;                      /* out of descriptors: until the next tick */
    struct loop_source *tick;                /* owned */
    bool ticking;
    uint64_t
        finish_ms; /* the machine is gone: the loop ends then, or once nothing is left; 0: not */

    struct conn *conns; /* owned list */
    struct conn *buckets[VSOCK_BUCKETS];
    struct conn *ready_first, *ready_last;
    unsigned conns_max, n_conns, n_agents, n_lines, n_timed;
    uint64_t promised, held;
    uint32_t next_host_port;

    struct reset *resets; /* owned, VSOCK_RESETS_MAX */
    size_t resets_at, n_resets;
    struct listener *listeners; /* owned */
    size_t n_listeners;
    bool *once_used; /* owned: one an entry of @ports */
    struct refusals refusals;
};

/* conn.c: the table. @fd goes over, also on failure; NULL when there is no memory. */
struct conn *conn_new(struct vsock_device *v, enum conn_state state, int fd);
/* Closes the host's socket, and forgets the connection. */
void conn_free(struct conn *c);
void conn_set_address(struct conn *c, uint32_t guest_port, uint32_t host_port);
void conn_drop_address(struct conn *c);
struct conn *conn_find(const struct vsock_device *v, uint32_t guest_port, uint32_t host_port);
uint32_t conn_free_port(struct vsock_device *v, uint32_t guest_port);
void conn_set_state(struct conn *c, enum conn_state state);
void conn_set_deadline(struct conn *c, int ms); /* 0: none */
/* Whether there may be one more; agents have places of their own. */
bool conn_has_place(const struct vsock_device *v, bool agent);
/* Puts it at the end of those that have something for the guest. */
void conn_ready(struct conn *c);
void conn_unready(struct conn *c);
void conn_owe(struct conn *c, uint8_t what);
/* Ends it, and tells the guest. */
void conn_reset(struct conn *c);

/* credit.c */
/* What the guest's header says; false: it cannot be true. */
bool credit_update(struct conn *c, const struct vsock_packet *p);
/* Bytes that the guest has room for. */
uint32_t credit_left(const struct conn *c);
/* @len bytes came; false: more than the window. */
bool credit_received(struct conn *c, uint32_t len);
/* @len bytes went on to the host. This and credit_update() owe the guest a word when it is worth
 * one. */
void credit_passed(struct conn *c, uint32_t len);

/* held.c: bytes that the host's socket did not take. MVM_E_NOMEM. */
int held_add(struct conn *c, const struct iovec *iov, unsigned n, size_t skip);
/* Writes as much as it takes. False: the socket takes no more at all. */
bool held_flush(struct conn *c);
/* Whether a write that failed so may be tried again: at the socket's event, or at the next tick. */
bool held_may_wait(struct conn *c, int error);
void held_drop(struct conn *c);

/* refusal.c: one line in the log, of which there are not too many. */
void refuse(struct vsock_device *v, const char *reason, uint32_t guest_port, uint32_t host_port,
            const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* resets: for a packet that belongs to no connection, and for ended ones. */
void reset_queue(struct vsock_device *v, const struct reset *reset);

/* from-guest.c, to-guest.c: work on a ring. True: there is more to do without waiting. */
bool from_guest_run(struct vsock_device *v);
/* What is in the ring before it stops, and no more than it has room for. */
void from_guest_drain(struct vsock_device *v);
bool to_guest_run(struct vsock_device *v);

/* host.c */
/* The guest asks for a connection to @host_port. NULL: refused, and told. */
struct conn *host_connect(struct vsock_device *v, uint32_t guest_port, uint32_t host_port);
/* Passes on what the guest sent. Ends the connection where it has to. */
void host_send(struct conn *c, const struct iovec *iov, unsigned n, size_t len);
/* The guest shut what @c->shut_guest says. */
void host_shut(struct conn *c);
/* The guest has done with it, or is gone: what it sent goes on to the host. */
void host_flush(struct conn *c);
/* The guest answered the request. */
void host_opened(struct conn *c);
/* The host takes no more of the guest's data. */
void host_is_deaf(struct conn *c);
void host_tick(struct conn *c, uint64_t now_ms);
/* Watches the host's socket, for @writable too. */
int host_watch(struct conn *c, bool writable);

/* accept.c */
int listeners_new(struct vsock_device *v, mvm_error **err);
void listeners_free(struct vsock_device *v);
/* Opens or closes the doors as the device can take more, or not. */
void listeners_update(struct vsock_device *v);
/* A hybrid client's socket has something to read; @ended: nothing comes after that. */
void line_ready(struct conn *c, bool ended);

#endif
