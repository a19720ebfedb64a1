/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's side of a split virtqueue in shared memory, for tests: it writes what it is told,
 * right or wrong. */
#ifndef VIRTIO_TEST_RING_H
#define VIRTIO_TEST_RING_H

#include "base/io.h"
#include "base/le.h"
#include "virtio/vqueue.h"

#include <sys/mman.h>

#define TEST_BASE 0x100000ull       /* of the guest's physical addresses */
#define TEST_USER 0x7f0000000000ull /* the same in the machine's */
#define TEST_F_NEXT 1
#define TEST_F_WRITE 2
#define TEST_F_INDIRECT 4

struct test_memory {
    int fd;       /* owned memfd */
    uint8_t *mem; /* owned mapping: the driver's */
    size_t size;
};

static inline int test_memory_init(struct test_memory *m, size_t size)
{
    m->size = size;
    m->fd = memfd_create("guest", MFD_CLOEXEC);
    if (m->fd < 0 || ftruncate(m->fd, (off_t) size) < 0)
        return -1;
    m->mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
    return m->mem == MAP_FAILED ? -1 : 0;
}

static inline void test_memory_deinit(struct test_memory *m)
{
    (void) munmap(m->mem, m->size);
    (void) close(m->fd);
}

static inline struct gmem_spec test_memory_spec(const struct test_memory *m)
{
    return (struct gmem_spec){
        .base = TEST_BASE, .size = m->size, .user = TEST_USER, .offset = 0, .fd = m->fd
    };
}

/* Three parts of a ring, one behind the other at @at of the memory. */
struct test_ring {
    struct test_memory *memory; /* borrowed */
    size_t at;
    uint16_t size, avail_idx, used_seen;
};

static inline uint8_t *test_ring_avail(const struct test_ring *r)
{
    return r->memory->mem + r->at + 16ul * r->size;
}

static inline size_t test_ring_used_at(const struct test_ring *r)
{
    return (r->at + 16ul * r->size + 6 + 2ul * r->size + 3) & ~3ul;
}

static inline struct vqueue_place test_ring_place(const struct test_ring *r)
{
    return (struct vqueue_place){ .desc = TEST_USER + r->at,
                                  .avail = TEST_USER + r->at + 16ul * r->size,
                                  .used = TEST_USER + test_ring_used_at(r),
                                  .size = r->size };
}

static inline void test_put_desc(uint8_t *table, unsigned i, uint64_t addr, uint32_t len,
                                 unsigned flags, unsigned next)
{
    uint8_t *d = table + 16ul * i;

    le64_put(d, addr);
    le32_put(d + 8, len);
    le16_put(d + 12, (uint16_t) flags);
    le16_put(d + 14, (uint16_t) next);
}

static inline void test_ring_desc(const struct test_ring *r, unsigned i, uint64_t addr,
                                  uint32_t len, unsigned flags, unsigned next)
{
    test_put_desc(r->memory->mem + r->at, i, addr, len, flags, next);
}

static inline void test_ring_set_avail(struct test_ring *r, uint16_t idx)
{
    r->avail_idx = idx;
    __atomic_store_n((uint16_t *) (void *) (test_ring_avail(r) + 2), htole16(idx),
                     __ATOMIC_RELEASE);
}

static inline void test_ring_offer(struct test_ring *r, uint16_t head)
{
    le16_put(test_ring_avail(r) + 4 + 2ul * (r->avail_idx % r->size), head);
    test_ring_set_avail(r, (uint16_t) (r->avail_idx + 1));
}

/* The next chain that came back: true with its head and length. */
static inline bool test_ring_take(struct test_ring *r, uint32_t *ret_head, uint32_t *ret_len)
{
    const uint8_t *used = r->memory->mem + test_ring_used_at(r);
    const uint8_t *elem = used + 4 + 8ul * (r->used_seen % r->size);

    if (le16_get(used + 2) == r->used_seen)
        return false;
    *ret_head = le32_get(elem);
    *ret_len = le32_get(elem + 4);
    r->used_seen++;
    return true;
}

/* used_event: behind the available ring; avail_event: behind the used one. */
static inline void test_ring_want(const struct test_ring *r, uint16_t event)
{
    le16_put(test_ring_avail(r) + 4 + 2ul * r->size, event);
}

static inline uint16_t test_ring_wanted(const struct test_ring *r)
{
    return le16_get(r->memory->mem + test_ring_used_at(r) + 4 + 8ul * r->size);
}

#endif
