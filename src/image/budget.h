/* SPDX-License-Identifier: Apache-2.0 */
/* What the layers of one image may hold together, and what they have used. */
#ifndef IMAGE_BUDGET_H
#define IMAGE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most bytes of uncompressed tar in an image (image.md I-198). */
#define LAYER_PLAIN_MAX (UINT64_C(30) << 30)

/* What an image may hold (image.md I-198 to I-202). */
struct image_limits {
    uint64_t plain_bytes; /* tar of all layers together */
    uint64_t entries;     /* tar entries of all layers together */
    uint64_t file_bytes;  /* content of all files, holes included */
    uint64_t path_bytes;  /* names and link targets of all entries */
    size_t depth;         /* components of a name */
    size_t xattr_bytes;   /* names and values of one entry */
};
#define IMAGE_LIMITS_DEFAULT                                                               \
    {                                                                                      \
        .plain_bytes = LAYER_PLAIN_MAX, .entries = 1000000, .file_bytes = LAYER_PLAIN_MAX, \
        .path_bytes = UINT64_C(1) << 30, .depth = 256, .xattr_bytes = 64u << 10            \
    }

/* What the layers of one image have used so far. Layers are converted by several threads at once:
 * every field is an atomic counter of its own, and nothing else is read through them. */
struct image_budget {
    struct image_limits limits; /* set once */
    _Atomic uint64_t plain_bytes, entries, file_bytes, path_bytes;
};

/* Takes @n of what is left of @max; false, and nothing taken, when there is not so much. */
static inline bool image_budget_take(_Atomic uint64_t *used, uint64_t n, uint64_t max)
{
    uint64_t before = atomic_load_explicit(used, memory_order_relaxed);

    do
        if (before > max || n > max - before)
            return false;
    while (!atomic_compare_exchange_weak_explicit(used, &before, before + n, memory_order_relaxed,
                                                  memory_order_relaxed));
    return true;
}

#endif
