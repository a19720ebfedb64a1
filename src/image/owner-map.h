/* SPDX-License-Identifier: Apache-2.0 */
/* What the image says of files that the process cannot make so: their owners, and the devices that
 * an empty file stands for. The key is the inode number in the tree, which is on one filesystem; a
 * number that is used again gets the newer record. */
#ifndef IMAGE_OWNER_MAP_H
#define IMAGE_OWNER_MAP_H

#include "image/keymap.h"

#include <sys/types.h>

struct owner_record {
    uid_t uid;
    gid_t gid;
    mode_t device_type; /* S_IFCHR or S_IFBLK: the file stands for a device; else 0 */
    dev_t device;
};
struct owner_map {
    struct keymap index;          /* inode to its index in records */
    struct owner_record *records; /* owned */
    size_t n_records, cap;
};

/* 0, or -1 when out of memory. */
int owner_map_set(struct owner_map *map, uint64_t ino, const struct owner_record *record);
/* What has no record is root's. */
struct owner_record owner_map_get(const struct owner_map *map, uint64_t ino);
void owner_map_deinit(struct owner_map *map); /* empties it; twice is fine */

#endif
