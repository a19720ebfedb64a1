/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordinary user's tree cannot carry the owners and devices of an image. mkfs.erofs makes an
 * image of that tree in which all is root's, of extended inodes, whose owners have 32 bits; then
 * the tree and the image are walked together, and each inode of the image gets in place what the
 * map has for the tree's inode. A hard link's inode is written once a name, with the same bytes.
 */
#ifndef IMAGE_ROOTFS_OWNERS_H
#define IMAGE_ROOTFS_OWNERS_H

#include "image/owner-map.h"
#include "image/tick.h"

/* Deepest directory of a tree: what the unpacker lets through, and one above it. */
#define ROOTFS_OWNERS_DEPTH_MAX 257

/* @image_fd is open for reading and writing. Directories below @tree_fd that are closed to us are
 * opened by a change of their modes. The superblock's checksum is left as it was, and wrong. */
int rootfs_owners_set(int image_fd, int tree_fd, const struct owner_map *owners,
                      struct image_tick *tick, mvm_error **err);

#endif
