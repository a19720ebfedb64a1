/* SPDX-License-Identifier: Apache-2.0 */
/* manifest.json of a docker archive: which files make up which image (docker image spec v1.2,
 * Combined Image JSON + Filesystem Changeset Format). Parsing and nothing else. */
#ifndef IMAGE_DOCKER_MANIFEST_H
#define IMAGE_DOCKER_MANIFEST_H

#include "base/digest.h"
#include "base/mem.h"
#include "oci/reference.h"

#include <stdint.h>

/* Most bytes of the document: as an index, which it is. */
#define DOCKER_MANIFEST_MAX (8u << 20)
/* Images in one archive: `docker save` of everything on a large machine. */
#define DOCKER_IMAGES_MAX 4096

/* What the source of a layer said of it: foreign layers have it. */
struct docker_layer_source {
    struct digest diff_id;
    char *media_type; /* owned */
};

struct docker_image {
    char *config; /* owned: file of the config */
    struct strv tags;
    struct strv layers;                  /* files, base first */
    struct docker_layer_source *sources; /* owned */
    size_t n_sources;
};
void docker_image_deinit(struct docker_image *image);
MVM_DEFINE_AUTOVALUE(docker_image, docker_image_deinit)

/* The image called @ref, NULL: the only one. @ret must be zeroed or deinitialised.
 * MVM_E_NOT_FOUND lists the names that are there. */
int docker_manifest_choose(const char *text, size_t len, const struct oci_reference *ref,
                           struct docker_image *ret, mvm_error **err);

#endif
