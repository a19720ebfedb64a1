/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vqueue.h"

#include "base/le.h"

/* virtio 1.2, 2.7.5, 2.7.6 and 2.7.8: the layout of the three parts. */
#define DESC_SIZE 16
#define AVAIL_FLAGS 0
#define AVAIL_IDX 2
#define AVAIL_RING 4
#define USED_FLAGS 0
#define USED_IDX 2
#define USED_RING 4
#define USED_ELEM 8

#define DESC_F_NEXT 1
#define DESC_F_WRITE 2
#define DESC_F_INDIRECT 4
#define AVAIL_F_NO_INTERRUPT 1
#define USED_F_NO_NOTIFY 1

struct vdesc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

/* The table that a chain walks: the ring's own, or an indirect one. */
struct vtable {
    const uint8_t *desc;
    uint32_t count;
};

static uint16_t shared_get(const uint8_t *p, int order)
{
    const uint16_t *at = (const void *) p; /* aligned: vqueue_move() checked it */

    return le16toh(order == __ATOMIC_ACQUIRE ? __atomic_load_n(at, __ATOMIC_ACQUIRE)
                                             : __atomic_load_n(at, __ATOMIC_RELAXED));
}

static void shared_put(uint8_t *p, uint16_t value)
{
    __atomic_store_n((uint16_t *) (void *) p, htole16(value), __ATOMIC_RELEASE);
}

int vqueue_move(struct vqueue *vq, const struct vqueue_place *place, mvm_error **err)
{
    const uint64_t n = place->size;

    vq->size = 0;
    if (n == 0 || n > VQUEUE_SIZE_MAX || (n & (n - 1)))
        return mvm_fail(err, MVM_E_FORMAT, 0, "a ring of %llu entries", (unsigned long long) n);
    /* With the event index behind each ring, which is there whether or not it is used. */
    vq->desc = gmem_slice_user(vq->gm, place->desc, n * DESC_SIZE);
    vq->avail = gmem_slice_user(vq->gm, place->avail, AVAIL_RING + 2 * n + 2);
    vq->used = gmem_slice_user(vq->gm, place->used, USED_RING + USED_ELEM * n + 2);
    if (!vq->desc || !vq->avail || !vq->used)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the ring lies outside the guest's memory");
    if ((uintptr_t) vq->desc % 16 || (uintptr_t) vq->avail % 2 || (uintptr_t) vq->used % 4)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the ring is not aligned"); /* virtio 1.2, 2.7 */
    vq->size = (uint16_t) n;
    return 0;
}

int vqueue_start(struct vqueue *vq, const struct gmem *gm, const struct vqueue_place *place,
                 uint16_t base, uint64_t features, mvm_error **err)
{
    int r;

    *vq = (struct vqueue){ .gm = gm,
                           .next_avail = base,
                           .avail_idx = base,
                           .event_idx = (features & VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)) != 0,
                           .indirect = (features & VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC)) != 0 };
    r = vqueue_move(vq, place, err);
    if (r < 0)
        return r;
    vq->used_idx = vq->shown_idx = shared_get(vq->used + USED_IDX, __ATOMIC_RELAXED);
    return 0;
}

/* Copies descriptor @index once. */
static bool vtable_desc(const struct vtable *t, uint16_t index, struct vdesc *ret)
{
    uint8_t raw[DESC_SIZE];

    if (index >= t->count)
        return false;
    memcpy(raw, t->desc + (size_t) index * DESC_SIZE, sizeof(raw));
    *ret = (struct vdesc){ .addr = le64_get(raw),
                           .len = le32_get(raw + 8),
                           .flags = le16_get(raw + 12),
                           .next = le16_get(raw + 14) };
    return true;
}

static int chain_add(const struct vqueue *vq, const struct vdesc *d, struct vchain *c)
{
    unsigned n = c->n_out + c->n_in;
    void *data;

    if (n == c->max) /* also ends a chain that loops */
        return MVM_E_LIMIT;
    if (!(d->flags & DESC_F_WRITE) && c->n_in > 0) /* virtio 1.2, 2.7.4.2 */
        return MVM_E_FORMAT;
    data = gmem_slice(vq->gm, d->addr, d->len);
    if (!data)
        return MVM_E_FORMAT;
    c->iov[n] = (struct iovec){ .iov_base = data, .iov_len = d->len };
    *(d->flags & DESC_F_WRITE ? &c->n_in : &c->n_out) += 1;
    return 0;
}

/* An indirect descriptor stands alone, and its table has none (virtio 1.2, 2.7.5.3). */
static int enter_table(const struct vqueue *vq, struct vdesc *d, struct vtable *t)
{
    if (!vq->indirect || (d->flags & DESC_F_NEXT) || t->desc != vq->desc || d->len == 0 ||
        d->len % DESC_SIZE || d->len / DESC_SIZE > vq->size)
        return MVM_E_FORMAT;
    t->desc = gmem_slice(vq->gm, d->addr, d->len);
    t->count = d->len / DESC_SIZE;
    return t->desc && vtable_desc(t, 0, d) && !(d->flags & DESC_F_INDIRECT) ? 0 : MVM_E_FORMAT;
}

static int walk_chain(const struct vqueue *vq, struct vchain *c)
{
    struct vtable table = { .desc = vq->desc, .count = vq->size };
    struct vdesc d = { .flags = DESC_F_NEXT, .next = c->head };
    int r = 0;

    c->n_out = c->n_in = 0;
    while (r == 0 && (d.flags & DESC_F_NEXT)) {
        if (!vtable_desc(&table, d.next, &d))
            return MVM_E_FORMAT;
        if (d.flags & DESC_F_INDIRECT)
            r = enter_table(vq, &d, &table);
        if (r == 0)
            r = chain_add(vq, &d, c);
    }
    return r;
}

int vqueue_peek(struct vqueue *vq, unsigned ahead, struct vchain *c)
{
    uint16_t at = (uint16_t) (vq->next_avail + ahead);
    int r;

    if (vq->broken)
        return MVM_E_FORMAT;
    if (ahead >= vq->size)
        return 0;
    if ((uint16_t) (vq->avail_idx - vq->next_avail) <= ahead) {
        /* Orders the reads of the entries and their descriptors after that of the index. */
        vq->avail_idx = shared_get(vq->avail + AVAIL_IDX, __ATOMIC_ACQUIRE);
        if ((uint16_t) (vq->avail_idx - vq->next_avail) > vq->size) {
            vq->broken = true;
            return MVM_E_FORMAT;
        }
        if ((uint16_t) (vq->avail_idx - vq->next_avail) <= ahead)
            return 0;
    }
    c->head = shared_get(vq->avail + AVAIL_RING + 2 * (at & (vq->size - 1U)), __ATOMIC_RELAXED);
    r = walk_chain(vq, c);
    if (r < 0)
        vq->broken = true;
    return r < 0 ? r : 1;
}

void vqueue_put(struct vqueue *vq, uint16_t head, uint32_t written)
{
    uint8_t *elem = vq->used + USED_RING + USED_ELEM * (size_t) (vq->used_idx & (vq->size - 1U));

    le32_put(elem, head);
    le32_put(elem + 4, written);
    vq->used_idx++;
}

bool vqueue_publish(struct vqueue *vq)
{
    const uint16_t old = vq->shown_idx;
    uint16_t event;

    if (vq->used_idx == old)
        return false;
    /* Release: the entries before the index that covers them. */
    shared_put(vq->used + USED_IDX, vq->used_idx);
    vq->shown_idx = vq->used_idx;
    /* The index before the driver's wish is read: it writes its wish and then reads the index, so
     * that one of the two sees the other (virtio 1.2, 2.7.7.2). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!vq->event_idx)
        return !(shared_get(vq->avail + AVAIL_FLAGS, __ATOMIC_RELAXED) & AVAIL_F_NO_INTERRUPT);
    event = shared_get(vq->avail + AVAIL_RING + 2 * (size_t) vq->size, __ATOMIC_RELAXED);
    return (uint16_t) (vq->used_idx - event - 1) < (uint16_t) (vq->used_idx - old);
}

bool vqueue_wait(struct vqueue *vq)
{
    if (vq->event_idx)
        shared_put(vq->used + USED_RING + USED_ELEM * (size_t) vq->size, vq->avail_idx);
    else
        shared_put(vq->used + USED_FLAGS, 0);
    /* Our wish before the second look, as in vqueue_publish(). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return shared_get(vq->avail + AVAIL_IDX, __ATOMIC_RELAXED) == vq->avail_idx;
}

void vqueue_ignore(struct vqueue *vq)
{
    if (!vq->event_idx)
        shared_put(vq->used + USED_FLAGS, USED_F_NO_NOTIFY);
}

uint64_t iov_total(const struct iovec *iov, unsigned n)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < n; i++)
        total += iov[i].iov_len;
    return total;
}

size_t iov_read(const struct iovec *iov, unsigned n, void *data, size_t len)
{
    size_t done = 0;

    for (unsigned i = 0; i < n && done < len; i++) {
        size_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

        if (part > 0) /* the address of an empty buffer may be none */
            memcpy((uint8_t *) data + done, iov[i].iov_base, part);
        done += part;
    }
    return done;
}

size_t iov_write(const struct iovec *iov, unsigned n, const void *data, size_t len)
{
    size_t done = 0;

    for (unsigned i = 0; i < n && done < len; i++) {
        size_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

        if (part > 0)
            memcpy(iov[i].iov_base, (const uint8_t *) data + done, part);
        done += part;
    }
    return done;
}

unsigned iov_slice(const struct iovec *iov, unsigned n, size_t skip, size_t len, struct iovec *ret,
                   unsigned room)
{
    unsigned used = 0;

    for (unsigned i = 0; i < n && len > 0 && used < room; i++) {
        size_t part = iov[i].iov_len;

        if (skip >= part) {
            skip -= part;
            continue;
        }
        part = part - skip < len ? part - skip : len;
        ret[used++] = (struct iovec){ (uint8_t *) iov[i].iov_base + skip, part };
        len -= part;
        skip = 0;
    }
    return used;
}
