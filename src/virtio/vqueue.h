/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split virtqueue (virtio 1.2, 2.7).
 *
 * The driver writes descriptors and the available ring, we the used ring, all in guest memory.
 * vqueue_peek() looks at the next chains without taking them, so that a caller can gather some for
 * one system call; vqueue_take() takes those that it used, vqueue_put() gives them back, and
 * vqueue_publish() shows the driver all that was given back since the last time, and tells whether
 * it wants a notification for that. Indices are free running 16-bit numbers.
 *
 * A descriptor is copied once and judged by the copy. A ring that breaks the rules gives
 * MVM_E_FORMAT or MVM_E_LIMIT from then on: the device that it belongs to needs a reset.
 *
 * Thread-safety: one thread.
 */
#ifndef VIRTIO_VQUEUE_H
#define VIRTIO_VQUEUE_H

#include "virtio/gmem.h"

#include <stdbool.h>
#include <sys/uio.h>

#define VIRTIO_RING_F_INDIRECT_DESC 28
#define VIRTIO_RING_F_EVENT_IDX 29
#define VIRTIO_F_VERSION_1 32
#define VIRTIO_BIT(n) (1ULL << (n))

/* virtio 1.2, 2.7: the maximum queue size is 32768. */
#define VQUEUE_SIZE_MAX 32768

struct vqueue {
    const struct gmem *gm; /* borrowed */
    const uint8_t *desc, *avail;
    uint8_t *used;
    uint16_t size;       /* a power of two; 0: not set up */
    uint16_t next_avail; /* the first chain that was not taken */
    uint16_t avail_idx;  /* the driver's, as read last */
    uint16_t used_idx;   /* behind the last that was given back */
    uint16_t shown_idx;  /* what the driver sees of it */
    bool event_idx, indirect;
    bool broken;
};

/* Where a ring lies, in the peer's addresses. */
struct vqueue_place {
    uint64_t desc, avail, used;
    uint16_t size;
};

/* The buffers of a chain: first those that the device reads, then those that it writes. */
struct vchain {
    struct iovec *iov; /* the caller's array */
    unsigned max;      /* its size: a longer chain is MVM_E_LIMIT, which also ends one that loops */
    unsigned n_out, n_in;
    uint16_t head;
};

/* @base: the index to go on from. @features: what the driver and we agreed on. */
int vqueue_start(struct vqueue *vq, const struct gmem *gm, const struct vqueue_place *place,
                 uint16_t base, uint64_t features, mvm_error **err);
/* After the memory table changed: finds the ring again. */
int vqueue_move(struct vqueue *vq, const struct vqueue_place *place, mvm_error **err);

/* The chain that comes @ahead after the next one. 1, or 0 when there is none (yet). */
int vqueue_peek(struct vqueue *vq, unsigned ahead, struct vchain *c);
static inline void vqueue_take(struct vqueue *vq)
{
    vq->next_avail++;
}
/* @written: bytes written into the chain's buffers. */
void vqueue_put(struct vqueue *vq, uint16_t head, uint32_t written);
/* True when the driver is to be notified. */
bool vqueue_publish(struct vqueue *vq);
/* Asks the driver for a notification at the next chain that it adds. False: one is there already.
 */
bool vqueue_wait(struct vqueue *vq);
/* Lets the driver know that none is needed, where it cannot tell from the event index. */
void vqueue_ignore(struct vqueue *vq);

/* Bytes in all of @n buffers. */
uint64_t iov_total(const struct iovec *iov, unsigned n);
/* Copies up to @len bytes from the start of the buffers, or to it; gives the count. */
size_t iov_read(const struct iovec *iov, unsigned n, void *data, size_t len);
size_t iov_write(const struct iovec *iov, unsigned n, const void *data, size_t len);
/* The buffers of @iov without the first @skip bytes and of at most @len bytes, appended to @ret,
 * which has @room; gives how many there were. */
unsigned iov_slice(const struct iovec *iov, unsigned n, size_t skip, size_t len, struct iovec *ret,
                   unsigned room);

#endif
