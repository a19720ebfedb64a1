/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers applied, base first, to one directory (OCI image-spec, layer.md).
 *
 * Whiteouts hide what lower layers brought and never what their own layer brings, wherever in the
 * layer they stand. So each name that a layer creates is marked, by the inode of its directory and
 * its last component, and a whiteout removes what bears no mark.
 *
 * A directory stays 0700 and ours while the image is filled; its own mode, owner and times are kept
 * aside and set by rootfs_unpack_finish(). So an ordinary user can fill a directory that the image
 * makes read-only, and times are not changed by later entries.
 */
#ifndef IMAGE_LAYER_UNPACK_H
#define IMAGE_LAYER_UNPACK_H

#include "image/layer-stream.h"
#include "image/owner-map.h"

/* What an image may hold (image.md I-200 to I-202). */
struct unpack_limits {
    uint64_t entries; /* tar entries of all layers together */
    uint64_t
        file_bytes; /* content of all files, holes included: the image made of them has no holes */
    size_t depth;   /* directories above a name */
    size_t xattr_bytes; /* names and values of one entry */
};
#define UNPACK_LIMITS_DEFAULT                                                                     \
    {                                                                                             \
        .entries = 1000000, .file_bytes = LAYER_PLAIN_MAX, .depth = 256, .xattr_bytes = 64u << 10 \
    }

struct rootfs_unpack;
/* @root_fd is an empty directory of ours that nobody else touches; borrowed, as are @limits' copy
 * and @log. */
int rootfs_unpack_new(int root_fd, const struct unpack_limits *limits, const struct log *log,
                      struct rootfs_unpack **ret, mvm_error **err);
void rootfs_unpack_free(struct rootfs_unpack *u);
MVM_DEFINE_AUTO(rootfs_unpack, rootfs_unpack_free)

/* Applies one layer. On success all of @stream was read and is what the image promised. After a
 * failure the directory is of no use. */
int rootfs_unpack_layer(struct rootfs_unpack *u, struct layer_stream *stream,
                        struct image_tick *tick, mvm_error **err);
/* Gives the directories their modes, owners and times. */
int rootfs_unpack_finish(struct rootfs_unpack *u, struct image_tick *tick, mvm_error **err);
/* What the tree does not carry, and the image made of it must get: for an ordinary user the owners
 * of the files, and the devices, each of which is an empty file in the tree. NULL: the tree has it
 * all. Borrowed. */
const struct owner_map *rootfs_unpack_owners(const struct rootfs_unpack *u);

#endif
