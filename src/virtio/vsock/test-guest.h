/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's driver for tests of the device: rings in a memory of its own, no machine in between. */
#ifndef VIRTIO_VSOCK_TEST_GUEST_H
#define VIRTIO_VSOCK_TEST_GUEST_H

#include "virtio/vsock/device-internal.h"

#include "virtio/test-ring.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#define GUEST_MEMORY (16u << 20)
#define GUEST_RX_SIZE 128
#define GUEST_TX_SIZE 256
/* A receive buffer as Linux': header and 4 KiB, in two descriptors. */
#define GUEST_RX_BUFFERS 64
#define GUEST_RX_AT 0x40000u
#define GUEST_RX_DATA 4096u
#define GUEST_TX_BUFFERS 100
#define GUEST_TX_AT 0x100000u
#define GUEST_TX_STEP (68u << 10)
#define GUEST_WINDOW (256u << 10)

struct guest {
    struct test_memory memory;
    struct gmem gm;
    struct test_ring rx, tx;
    struct vqueue rx_vq, tx_vq;
    struct loop *loop;
    struct vsock_ports ports;
    struct vsock_transport transport;
    struct vsock_device *device;
    struct log log;
    unsigned rx_given, tx_next, broke, notified[2];
    bool refill; /* gives each receive buffer back once it is read */
    char folder[32];
    char last_line[512];
};

static inline void guest_log(void *user, enum log_level level, const char *module,
                             const char *message)
{
    struct guest *g = user;

    (void) level;
    (void) module;
    (void) snprintf(g->last_line, sizeof(g->last_line), "%s", message);
}

static inline void guest_notified(void *user, unsigned queue)
{
    ((struct guest *) user)->notified[queue]++;
}

static inline void guest_broke(void *user, unsigned queue)
{
    struct guest *g = user;

    (void) queue;
    g->broke++;
    vsock_device_stopped(g->device, VSOCK_QUEUE_RX);
    vsock_device_stopped(g->device, VSOCK_QUEUE_TX);
}

/* Puts a receive buffer into the ring. */
static inline void guest_give(struct guest *g, unsigned i)
{
    const uint64_t at = TEST_BASE + GUEST_RX_AT + i * 8192ull;

    test_ring_desc(&g->rx, 2 * i, at, VSOCK_HEADER_SIZE, TEST_F_WRITE | TEST_F_NEXT, 2 * i + 1);
    test_ring_desc(&g->rx, 2 * i + 1, at + 64, GUEST_RX_DATA, TEST_F_WRITE, 0);
    test_ring_offer(&g->rx, (uint16_t) (2 * i));
}

static inline void guest_give_all(struct guest *g)
{
    for (; g->rx_given < GUEST_RX_BUFFERS; g->rx_given++)
        guest_give(g, g->rx_given);
}

static inline int guest_start(struct guest *g)
{
    const uint64_t features = VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX);
    struct vqueue_place place;

    memset(g->memory.mem, 0, GUEST_RX_AT);
    g->rx = (struct test_ring){ .memory = &g->memory, .at = 0, .size = GUEST_RX_SIZE };
    g->tx = (struct test_ring){ .memory = &g->memory, .at = 0x10000, .size = GUEST_TX_SIZE };
    g->rx_given = 0;
    place = test_ring_place(&g->rx);
    if (vqueue_start(&g->rx_vq, &g->gm, &place, 0, features, NULL) < 0)
        return -1;
    place = test_ring_place(&g->tx);
    if (vqueue_start(&g->tx_vq, &g->gm, &place, 0, features, NULL) < 0)
        return -1;
    vsock_device_started(g->device, VSOCK_QUEUE_RX, &g->rx_vq);
    vsock_device_started(g->device, VSOCK_QUEUE_TX, &g->tx_vq);
    return 0;
}

/* @words: of the command line, NULL-ended. */
static inline int guest_init(struct guest *g, char *const *words)
{
    struct gmem_spec spec;

    g->log = (struct log){ .sink = guest_log, .user = g, .level = LOG_LEVEL_DEBUG };
    g->transport = (struct vsock_transport){ guest_notified, guest_broke, g };
    g->refill = true;
    if (test_memory_init(&g->memory, GUEST_MEMORY) < 0)
        return -1;
    spec = test_memory_spec(&g->memory);
    if (gmem_map(&g->gm, &spec, 1, NULL) < 0 || loop_new(&g->loop, NULL) < 0 ||
        vsock_ports_decode(words, &g->ports, NULL) < 0 ||
        vsock_device_new(g->loop, &g->ports, &g->transport, &g->log, &g->device, NULL) < 0)
        return -1;
    return guest_start(g);
}

static inline void guest_deinit(struct guest *g)
{
    vsock_device_free(g->device);
    loop_free(g->loop);
    vsock_ports_deinit(&g->ports);
    gmem_deinit(&g->gm);
    test_memory_deinit(&g->memory);
}

static inline void guest_stop_loop(void *user)
{
    loop_stop(user);
}

/* Lets the device do what there is to do. A millisecond, so that what is due already comes before
 * the end. */
static inline void guest_step(struct guest *g)
{
    for (int i = 0; i < 2; i++) {
        struct loop_source *timer = NULL;

        if (loop_add_timer(g->loop, 1, guest_stop_loop, g->loop, &timer, NULL) < 0 ||
            loop_run(g->loop, NULL) < 0)
            return;
        loop_remove(timer);
    }
}

/* Offers a packet. The device does not run yet. */
static inline void guest_offer(struct guest *g, const struct vsock_packet *p, const void *data,
                               uint32_t len)
{
    const unsigned i = g->tx_next++ % GUEST_TX_BUFFERS;
    const size_t at = GUEST_TX_AT + (size_t) i * GUEST_TX_STEP;

    vsock_packet_encode(p, g->memory.mem + at);
    if (len > 0)
        memcpy(g->memory.mem + at + VSOCK_HEADER_SIZE, data, len);
    test_ring_desc(&g->tx, 2 * i, TEST_BASE + at, VSOCK_HEADER_SIZE, len ? TEST_F_NEXT : 0,
                   2 * i + 1);
    test_ring_desc(&g->tx, 2 * i + 1, TEST_BASE + at + VSOCK_HEADER_SIZE, len, 0, 0);
    test_ring_offer(&g->tx, (uint16_t) (2 * i));
}

static inline struct vsock_packet guest_packet(uint32_t port, uint32_t host_port, enum vsock_op op)
{
    return (struct vsock_packet){ .src_cid = VSOCK_CID_GUEST,
                                  .dst_cid = VSOCK_CID_HOST,
                                  .src_port = port,
                                  .dst_port = host_port,
                                  .type = VSOCK_TYPE_STREAM,
                                  .op = (uint16_t) op,
                                  .buf_alloc = GUEST_WINDOW };
}

/* Offers and runs. */
static inline void guest_send(struct guest *g, uint32_t port, uint32_t host_port, enum vsock_op op,
                              const void *data, uint32_t len)
{
    struct vsock_packet p = guest_packet(port, host_port, op);

    p.len = len;
    guest_offer(g, &p, data, len);
    guest_step(g);
}

/* The next packet for the guest; @data may be NULL, else it has room for GUEST_RX_DATA bytes. */
static inline bool guest_take(struct guest *g, struct vsock_packet *ret, void *data)
{
    const uint8_t *buffer;
    uint32_t head, len;

    if (!test_ring_take(&g->rx, &head, &len))
        return false;
    buffer = g->memory.mem + GUEST_RX_AT + (head / 2) * 8192ul;
    vsock_packet_decode(buffer, ret);
    if (data)
        memcpy(data, buffer + 64, ret->len <= GUEST_RX_DATA ? ret->len : 0);
    if (len != VSOCK_HEADER_SIZE + ret->len)
        ret->op = 0; /* what the ring says is not what the header says */
    if (g->refill)
        guest_give(g, head / 2);
    return true;
}

#endif
