/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio socket device (virtio 1.2, 5.10): stream connections between ports of the guest and
 * UNIX sockets of the host.
 *
 * Credit. Each side says how many bytes it can hold for a connection, and counts what it passed on;
 * the other never has more than that under way. Counters wrap at 2^32. From the host to the guest
 * we read a socket straight into the guest's receive buffers, as many bytes as the guest has
 * credit, so nothing is ever held here. From the guest to the host data goes straight from its
 * buffers into the socket; what the socket does not take is held, at most the window that we
 * promised, and goes on when the socket is writable.
 *
 * Back-pressure. A connection whose guest program or host peer does not read stalls by itself: no
 * credit, or a full window. A guest that gives no receive buffers stalls what goes to the guest.
 * Connections that have something to send wait in one list and take turns, each with a few buffers
 * a turn. Resets for connections that we do not have are queued, and while too many are, no more of
 * the guest's packets are taken, since each may ask for another.
 *
 * Ends. A shutdown of one half is passed on as such, both ways. The guest's shutdown of both halves
 * is answered with a reset at once, and what it sent before still goes to the host; so it does when
 * the guest is reset, and for a while after the end of the machine. When the host's
 * peer is gone, the guest is told that both halves are shut once all data is in its buffers, and
 * has some seconds to confirm.
 *
 * Thread-safety: the thread of the loop.
 */
#ifndef VIRTIO_VSOCK_DEVICE_H
#define VIRTIO_VSOCK_DEVICE_H

#include "base/log.h"
#include "base/loop.h"
#include "virtio/vqueue.h"
#include "virtio/vsock/ports.h"

/* Connections at once, as many as the guest has receive buffers. One above is reset, and one from
 * the host is not accepted yet. */
#define VSOCK_CONNECTIONS_MAX 1024
/* Further ones that only an "agent:" may open: a guest that uses all the others up stays reachable.
 */
#define VSOCK_AGENT_RESERVE 32
/* Bytes that we promise to hold for the host's side of a connection. The large window serves some
 * bulk transfers at full speed; beyond WINDOW_BUDGET bytes promised, new connections get the small
 * one. */
#define VSOCK_WINDOW_LARGE (256u << 10)
#define VSOCK_WINDOW_SMALL (32u << 10)
#define VSOCK_WINDOW_BUDGET (16u << 20)
/* All that the process may have, its windows full: 16 MiB + 1056 * 32 KiB, and as much again as
 * half of it for what a growing buffer leaves behind. Set as RLIMIT_DATA. */
#define VSOCK_MEMORY_MAX (80ull << 20)

/* The rings, by their numbers (virtio 1.2, 5.10.2); the event ring stays with the machine. */
#define VSOCK_QUEUE_RX 0
#define VSOCK_QUEUE_TX 1
#define VSOCK_QUEUES 2

/* How the guest is reached; vhost-user in the program. */
struct vsock_transport {
    void (*notify)(void *user, unsigned queue);
    void (*broke)(void *user, unsigned queue); /* needs reset: stops all queues before it returns */
    void *user;
};

struct vsock_device;

/* @ports: borrowed; its descriptors are the device's from now on. @log, @transport: borrowed. Takes
 * the loop's idle callback. */
int vsock_device_new(struct loop *loop, const struct vsock_ports *ports,
                     const struct vsock_transport *transport, const struct log *log,
                     struct vsock_device **ret, mvm_error **err);
void vsock_device_free(struct vsock_device *v);
/* Fewer connections at once than VSOCK_CONNECTIONS_MAX, the agents' apart, so that there are always
 * descriptors for those. */
void vsock_device_limit(struct vsock_device *v, unsigned connections);
MVM_DEFINE_AUTO(vsock_device, vsock_device_free)

/* @vq: borrowed until vsock_device_stopped(). All connections end for the guest when one of the
 * queues stops; what it sent before goes on to the host. */
void vsock_device_started(struct vsock_device *v, unsigned queue, struct vqueue *vq);
void vsock_device_stopped(struct vsock_device *v, unsigned queue);

/* The machine is gone for good, its queues stopped. Stops the loop once the host has all that the
 * guest sent, or some time has passed. */
void vsock_device_finish(struct vsock_device *v);

struct vsock_usage {
    unsigned connections;
    uint64_t promised; /* sum of the windows */
    uint64_t held;     /* bytes of data in buffers */
};
void vsock_device_usage(const struct vsock_device *v, struct vsock_usage *ret);

#endif
