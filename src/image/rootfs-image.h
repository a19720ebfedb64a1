/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory becomes an EROFS image, by mkfs.erofs of Debian's erofs-utils. The same directory
 * gives the same bytes: the UUID is fixed, and the time of making, which mkfs.erofs puts in the
 * superblock, is taken out again. Modes, times to the nanosecond, extended attributes, hard links
 * and devices are kept.
 *
 * As an ordinary user mkfs.erofs runs in a user namespace of its own, where the host allows one, so
 * that it can read what the image makes unreadable to its owner; owners and devices are set in the
 * image once it is made (rootfs-owners.h).
 */
#ifndef IMAGE_ROOTFS_IMAGE_H
#define IMAGE_ROOTFS_IMAGE_H

#include "image/owner-map.h"
#include "image/tick.h"

struct rootfs_image_spec {
    int dir_fd;                     /* the folder that both names are in; borrowed */
    const char *directory;          /* name of the tree */
    const char *output;             /* name of the image to be made */
    const struct owner_map *owners; /* what the tree does not carry; NULL: its owners hold */
};

/* Path of mkfs.erofs, from PATH or the system folders; owned by the caller; NULL when there is
 * none. */
char *rootfs_image_find_mkfs(void);

/* Kills mkfs.erofs when @tick says that the caller has had enough. The output is synced. With
 * owners, closed directories of the tree are opened. */
int rootfs_image_build(const struct rootfs_image_spec *spec, struct image_tick *tick,
                       mvm_error **err);

#endif
