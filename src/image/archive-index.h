/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the members of a tar archive lie, so that each can be read on its own: one pass over the
 * headers, which skips the content.
 *
 * A name is in its normal form: no leading slash or "./", no "//" or "/./", no slash at the end.
 * One that leads out of the archive, by "..", is an error: no program that writes images makes one.
 */
#ifndef IMAGE_ARCHIVE_INDEX_H
#define IMAGE_ARCHIVE_INDEX_H

#include "image/tick.h"

/* An image of 10 000 layers, the most that a manifest holds, has three files and a folder a layer
 * in the oldest form. */
#define ARCHIVE_MEMBERS_MAX 65536
/* Bytes of one name, and of all names and link targets together. */
#define ARCHIVE_NAME_MAX 4096
#define ARCHIVE_NAMES_MAX (16u << 20)
/* Links from one name to the file behind it: real archives have one. */
#define ARCHIVE_LINKS_MAX 16

struct archive_extent {
    uint64_t offset;
    uint64_t size;
};

struct archive_index;
/* @fd is a plain tar of @size bytes. */
int archive_index_read(int fd, uint64_t size, struct image_tick *tick, struct archive_index **ret,
                       mvm_error **err);
void archive_index_free(struct archive_index *index);
MVM_DEFINE_AUTO(archive_index, archive_index_free)
/* The file that @name, in any form, leads to. The last member of a name counts, as when an archive
 * is unpacked. MVM_E_NOT_FOUND names the one that is missing. */
int archive_index_find(const struct archive_index *index, const char *name,
                       struct archive_extent *ret, mvm_error **err);

#endif
