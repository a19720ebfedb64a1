/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An empty disk image without its holes: the parts that hold anything, each with its place. Kept in
 * the cache and written out for each new disk, it costs what the parts cost, on file systems
 * without holes, too.
 *
 * The file: magic (8 bytes), size of the disk (8), parts (4), zero (4), SHA-256 of the rest (32);
 * then for each part its offset and length (8 and 8), then the bytes of all. Little-endian. Parts
 * are sorted and do not overlap.
 */
#ifndef ROOTFS_DISK_TEMPLATE_H
#define ROOTFS_DISK_TEMPLATE_H

#include "base/error.h"
#include "base/strbuf.h"

#include <stdint.h>

/* Most bytes of the file, and parts in it: an ext4 of ROOTFS_UPPER_MAX has 6.2 MiB in 4 parts. */
#define DISK_TEMPLATE_MAX (32u << 20)
#define DISK_TEMPLATE_PARTS_MAX 4096

/* Appends the template of the disk image @fd, a file whose holes SEEK_DATA finds. */
int disk_template_encode(int fd, struct strbuf *ret, mvm_error **err);
/* Makes @fd, an empty file, the disk. MVM_E_FORMAT or MVM_E_DIGEST, before anything is written,
 * when @data is no template of a disk of @size bytes. */
int disk_template_write(const char *data, size_t len, uint64_t size, int fd, mvm_error **err);

#endif
