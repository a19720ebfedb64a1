/* SPDX-License-Identifier: Apache-2.0 */
/* One pull under way. */
#ifndef IMAGE_PULL_INTERNAL_H
#define IMAGE_PULL_INTERNAL_H

#include "image/layer-unpack.h"
#include "image/name.h"
#include "image/resolve.h"
#include "image/store-internal.h"

struct pull {
    struct image_store *store;                /* borrowed */
    const struct image_pull_options *options; /* borrowed */
    struct image_name name;
    struct oci_platform want;
    struct oci_platform_text platform; /* for the store: without the host's own variant */
    struct image_tick tick;
    struct image_source *source; /* owned; NULL until it is needed */
    struct resolved found;
    struct image *known; /* owned: what the source would give, and the store has; else NULL */
    char *identity;      /* owned: what the store remembers it by; NULL: the source has none */
};

/* That the image is for the wanted platform. */
int pull_check_platform(const struct pull *p, const struct oci_config *config, mvm_error **err);
/* pull-build.c: fetches and verifies config and layers, and puts the image into the store. */
int pull_build(struct pull *p, mvm_error **err);

#endif
