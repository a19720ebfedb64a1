/* SPDX-License-Identifier: Apache-2.0 */
/* A tar archive of an image as a file that can be sought in, with the index of its members. One
 * that is compressed is inflated first, into a temporary file without a name. */
#ifndef IMAGE_ARCHIVE_FILE_H
#define IMAGE_ARCHIVE_FILE_H

#include "image/archive-index.h"
#include "image/layout.h"

struct archive_file;
/* @dir_fd is where temporary files go; used during the call only, as is @tick. */
int archive_file_open(const char *path, int dir_fd, struct image_tick *tick,
                      struct archive_file **ret, mvm_error **err);
/* Takes over @fd, also when it fails. */
int archive_file_new(int fd, int dir_fd, struct image_tick *tick, struct archive_file **ret,
                     mvm_error **err);
void archive_file_free(struct archive_file *a);
MVM_DEFINE_AUTO(archive_file, archive_file_free)

int archive_file_find(const struct archive_file *a, const char *name, struct archive_extent *ret,
                      mvm_error **err);
/* @a must outlive the reader. Any thread, several at a time. */
int archive_file_read(struct archive_file *a, const struct archive_extent *extent,
                      struct blob_reader **ret, mvm_error **err);

/* An OCI layout whose files are the members. Takes over @a, also when it fails. */
int archive_layout_new(struct archive_file *a, struct layout_files **ret, mvm_error **err);

#endif
