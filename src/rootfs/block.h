/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image of the store as a block device: one EROFS metadata image, then the data files of its
 * layers, each a part of one read-only disk (design.md, section 8). The metadata image is made once
 * an image and kept beside it.
 */
#ifndef ROOTFS_BLOCK_H
#define ROOTFS_BLOCK_H

#include "image/image.h"

struct rootfs_extent {
    char *path;    /* owned: absolute */
    uint64_t size; /* bytes: a multiple of 4096, greater than 0 */
};
struct rootfs_block {
    struct rootfs_extent
        *extents; /* owned; the metadata image first, then the layers, base first */
    size_t n;
};
void rootfs_block_deinit(struct rootfs_block *b);
MVM_DEFINE_AUTOVALUE(rootfs_block, rootfs_block_deinit)

/* Makes the metadata image where it is missing. @image stays locked (struct image) as long as it
 * lives: nothing of it is removed meanwhile. MVM_E_DIGEST: the store is damaged there, and pulling
 * anew mends it. */
int rootfs_block_open(struct image_store *store, const struct image *image,
                      image_progress_fn *progress, void *user, struct rootfs_block *ret,
                      mvm_error **err);

#endif
