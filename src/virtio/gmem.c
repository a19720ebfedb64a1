/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/gmem.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

void *gmem_slice(const struct gmem *gm, uint64_t gpa, uint64_t len)
{
    for (size_t i = 0; i < gm->count; i++) {
        const struct gmem_region *rg = &gm->regions[i];

        if (gpa < rg->base || gpa - rg->base >= rg->size)
            continue;
        return len > rg->size - (gpa - rg->base) ? NULL : rg->host + (gpa - rg->base);
    }
    return NULL;
}

void *gmem_slice_user(const struct gmem *gm, uint64_t user, uint64_t len)
{
    for (size_t i = 0; i < gm->count; i++) {
        const struct gmem_region *rg = &gm->regions[i];

        if (user < rg->user || user - rg->user >= rg->size)
            continue;
        return len > rg->size - (user - rg->user) ? NULL : rg->host + (user - rg->user);
    }
    return NULL;
}

void gmem_deinit(struct gmem *gm)
{
    for (size_t i = 0; i < gm->count; i++)
        (void) munmap(gm->regions[i].host,
                      gm->regions[i].size); /* a mapping of ours: cannot fail */
    *gm = (struct gmem){ .count = 0 };
}

static bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b ? b - a < a_size : a - b < b_size;
}

/* All sums of @spec are below 2^63, and it lies apart from the regions that are there. */
static int check_place(const struct gmem *gm, const struct gmem_spec *spec, mvm_error **err)
{
    const uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE);

    if (spec->size == 0 || (spec->base | spec->size | spec->user | spec->offset) % page)
        return mvm_fail(err, MVM_E_FORMAT, 0, "size or address is not aligned to pages");
    if (spec->size > INT64_MAX || spec->base > INT64_MAX - spec->size ||
        spec->user > INT64_MAX - spec->size || spec->offset > INT64_MAX - spec->size)
        return mvm_fail(err, MVM_E_LIMIT, 0, "size or address is too large");
    for (size_t i = 0; i < gm->count; i++)
        if (ranges_overlap(spec->base, spec->size, gm->regions[i].base, gm->regions[i].size) ||
            ranges_overlap(spec->user, spec->size, gm->regions[i].user, gm->regions[i].size))
            return mvm_fail(err, MVM_E_FORMAT, 0, "overlaps region %zu", i);
    return 0;
}

static int map_region(struct gmem *gm, const struct gmem_spec *spec, mvm_error **err)
{
    struct stat st;
    void *host;
    int r = check_place(gm, spec, err);

    if (r < 0)
        return r;
    if (fstat(spec->fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at its file");
    if (!S_ISREG(st.st_mode) || spec->offset + spec->size > (uint64_t) st.st_size)
        return mvm_fail(err, MVM_E_FORMAT, 0, "its file is too short, or none");
    host = mmap(NULL, spec->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, spec->fd,
                (off_t) spec->offset);
    if (host == MAP_FAILED)
        return mvm_fail(err, MVM_E_SYS, errno, "map %llu bytes", (unsigned long long) spec->size);
    gm->regions[gm->count++] = (struct gmem_region){
        .base = spec->base, .size = spec->size, .user = spec->user, .host = host
    };
    return 0;
}

int gmem_map(struct gmem *gm, const struct gmem_spec *specs, size_t n, mvm_error **err)
{
    gmem_deinit(gm);
    if (n > GMEM_REGIONS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%zu memory regions, at most %d", n, GMEM_REGIONS_MAX);
    for (size_t i = 0; i < n; i++) {
        int r = map_region(gm, &specs[i], err);

        if (r < 0) {
            gmem_deinit(gm);
            return mvm_context(err, r, "memory region %zu", i);
        }
    }
    return 0;
}
