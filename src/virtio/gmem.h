/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's memory, as vhost-user shares it: a few regions, each a piece of a file that is mapped
 * here. No other way leads from a guest address to a pointer.
 *
 * What the pointers lead to is written by the guest while we look. A file that its owner shortens
 * afterwards ends this process with SIGBUS; its owner is the machine that we serve.
 */
#ifndef VIRTIO_GMEM_H
#define VIRTIO_GMEM_H

#include "base/error.h"
#include "base/mem.h"

/* Of one message: VHOST_MEMORY_BASELINE_NREGIONS in QEMU, whose microvm board uses two. */
#define GMEM_REGIONS_MAX 8

struct gmem_region {
    uint64_t base; /* of the guest's physical addresses */
    uint64_t size;
    uint64_t user; /* the same byte in the peer's address space: rings are given this way */
    uint8_t *host; /* owned mapping */
};

struct gmem {
    struct gmem_region regions[GMEM_REGIONS_MAX];
    size_t count;
};

/* A region to be mapped: @size bytes of @fd (borrowed) from @offset. */
struct gmem_spec {
    uint64_t base, size, user, offset;
    int fd;
};

/* Replaces all regions. MVM_E_FORMAT or MVM_E_LIMIT for what does not fit its file, is not aligned
 * to pages, overlaps or is too much; the old regions are gone then too. */
int gmem_map(struct gmem *gm, const struct gmem_spec *specs, size_t n, mvm_error **err);
void gmem_deinit(struct gmem *gm);
MVM_DEFINE_AUTOVALUE(gmem, gmem_deinit)

/* The @len bytes at @gpa, all of them in one region, or NULL. */
void *gmem_slice(const struct gmem *gm, uint64_t gpa, uint64_t len);
/* The same by the peer's address. */
void *gmem_slice_user(const struct gmem *gm, uint64_t user, uint64_t len);

#endif
