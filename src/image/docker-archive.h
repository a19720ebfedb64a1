/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A docker archive as a source: what `docker save` writes. It has a config and layers and no
 * manifest in a registry's sense, so that one is made up: a Docker schema 2 manifest with the
 * digest of each file as it lies in the archive. The same archive always gives the same manifest.
 */
#ifndef IMAGE_DOCKER_ARCHIVE_H
#define IMAGE_DOCKER_ARCHIVE_H

#include "image/archive-file.h"

/* Takes over @a, also when it fails. @ref NULL: the only image. @tick is used during the call. */
int docker_archive_source_new(struct archive_file *a, const struct oci_reference *ref,
                              struct image_tick *tick, struct image_source **ret, mvm_error **err);
/* The image's id (OCI image-spec, config.md, ImageID); of such a source alone. */
struct digest docker_archive_id(const struct image_source *source);

/* The archives on disk; @dir_fd is where temporary files go. */
int docker_archive_source_open(const char *path, const struct oci_reference *ref, int dir_fd,
                               struct image_tick *tick, struct image_source **ret, mvm_error **err);
int oci_archive_source_open(const char *path, const char *tag, int dir_fd, struct image_tick *tick,
                            struct image_source **ret, mvm_error **err);

#endif
