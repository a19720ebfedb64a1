/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of a VM's upper layer: a private, sparse ext4 that lives as long as its VM. mke2fs makes
 * an empty one for each size; what it wrote is kept in the cache as a template, and written out for
 * each VM. It has no journal, and the guest's kernel finds nothing to initialise: a disk that
 * nobody will see after a crash need not survive one.
 */
#ifndef ROOTFS_UPPER_H
#define ROOTFS_UPPER_H

#include "base/error.h"

#include <stdint.h>

/* Bytes. An ext4 of 16 MiB has room for its own tables and files of some MiB; 8 TiB is the largest
 * power of two below what one file of an ext4 on the host can have (2^32 blocks of 4 KiB). */
#define ROOTFS_UPPER_MIN (16ULL << 20)
#define ROOTFS_UPPER_MAX (8ULL << 40)
/* What Docker's devicemapper gave each container (dm.basesize): room for a build, and nothing of
 * the host's disk until it is used. */
#define ROOTFS_UPPER_DEFAULT (10ULL << 30)
/* Sizes are whole ones of this, so that few templates do. */
#define ROOTFS_UPPER_UNIT (1ULL << 20)

/* mke2fs of e2fsprogs; owned by the caller; NULL for none. */
char *rootfs_upper_find_mke2fs(void);
/* Makes the file @name, a disk of @size bytes, in @dir_fd. @cache_fd: where templates are kept. A
 * damaged one is made anew. */
int rootfs_upper_make(int cache_fd, int dir_fd, const char *name, uint64_t size, mvm_error **err);

#endif
