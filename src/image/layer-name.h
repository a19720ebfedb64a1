/* SPDX-License-Identifier: Apache-2.0 */
/* Names of tar entries become paths of a layer's index. */
#ifndef IMAGE_LAYER_NAME_H
#define IMAGE_LAYER_NAME_H

#include "image/layer-index.h"

/* A path in its normal form (struct layer_record). */
struct layer_path {
    char text[LAYER_PATH_MAX + 1];
    size_t len;
};

/* The normal form of an entry's name or a hard link's source: an absolute name is one of the root,
 * where ".." has nowhere to go; ".." takes the component before it away (image.md I-204 to I-208).
 * What climbs out, has a newline, is too long or has more than @depth_max components is refused. */
int layer_path_set(struct layer_path *path, const char *name, size_t depth_max, mvm_error **err);

enum layer_name_kind {
    LAYER_NAME_PLAIN,    /* of an entry as any other */
    LAYER_NAME_WHITEOUT, /* *path is what it hides now */
    LAYER_NAME_OPAQUE,   /* *path is the directory now */
    LAYER_NAME_NOTHING   /* of AUFS's bookkeeping, or below a whiteout: without effect */
};
/* What the entry with this path is (OCI image-spec, layer.md, Whiteouts); a negative code for a
 * whiteout that hides nothing that there can be. */
int layer_path_classify(struct layer_path *path, mvm_error **err);

#endif
