/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A merged tree becomes an EROFS image (linux/fs/erofs/erofs_fs.h, Documentation/filesystems/
 * erofs.rst) of metadata alone: the block addresses of larger files run on into the layers' data
 * files, which follow the image on the guest's disk in the order of tree_layer(), those without
 * data_blocks left out. Small files lie beside their inodes.
 *
 * What Linux cannot have is left out, as runtimes do that unpack: extended attributes but user.*,
 * trusted.*, security.* and the POSIX ACLs, and the permissions of symlinks, which are all 0777.
 *
 * The same tree gives the same bytes.
 */
#ifndef EROFS_WRITER_H
#define EROFS_WRITER_H

#include "image/tree.h"

#define EROFS_BLOCK 4096u

struct erofs_sum { /* as struct layer_sums */
    uint64_t size; /* a multiple of EROFS_BLOCK */
    uint64_t crc;
};

/* @fd: an empty file, for reading and writing; borrowed. Nothing is synced. @tree: after
 * tree_finish(). @tick may be NULL. MVM_E_LIMIT when a block address would not fit 32 bits. */
int erofs_write(int fd, const struct tree *tree, struct image_tick *tick, struct erofs_sum *ret,
                mvm_error **err);

#endif
