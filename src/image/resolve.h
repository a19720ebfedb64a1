/* SPDX-License-Identifier: Apache-2.0 */
/* From a name to the manifest of one platform, through indexes (OCI image-spec, image-index.md). */
#ifndef IMAGE_RESOLVE_H
#define IMAGE_RESOLVE_H

#include "image/source.h"

/* An index in an index in an index: real ones have two (image.md I-115). */
#define RESOLVE_LEVELS_MAX 4

struct resolved {
    char *text; /* owned: the manifest as it was received */
    size_t len;
    struct digest digest;
    struct oci_document doc; /* a manifest that is a runnable image */
};
/* @ret must be zeroed or deinitialised. */
int resolve_manifest(struct image_source *source, const struct oci_platform *want,
                     struct resolved *ret, mvm_error **err);
void resolved_deinit(struct resolved *r);
MVM_DEFINE_AUTOVALUE(resolved, resolved_deinit)

#endif
