/* SPDX-License-Identifier: Apache-2.0 */
/* One pull under way. */
#ifndef IMAGE_PULL_INTERNAL_H
#define IMAGE_PULL_INTERNAL_H

#include "image/name.h"
#include "image/resolve.h"
#include "image/store-layer.h"

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

enum pull_layer_state {
    PULL_LAYER_MISSING = 0,
    PULL_LAYER_ACTIVE,
    PULL_LAYER_ENDED,
    PULL_LAYER_TOLD /* ended, or never fetched: nothing is left to report */
};
/* One of the image's layers; the same content twice is one. */
struct pull_layer {
    const struct oci_descriptor *blob; /* borrowed */
    const struct digest *diff_id;      /* borrowed */
    struct digest_text text;           /* of the blob */
    int pin;                           /* owned; -EBADF until the store has it */
    /* Under the lock of the crew that fetches: */
    enum pull_layer_state state;
    struct image_progress progress;
};
struct pull_layers {
    struct pull_layer *items; /* owned */
    size_t n;
    size_t n_missing;
};
void pull_layers_deinit(struct pull_layers *layers);
MVM_DEFINE_AUTOVALUE(pull_layers, pull_layers_deinit)

/* That the image is for the wanted platform. */
int pull_check_platform(const struct pull *p, const struct oci_config *config, mvm_error **err);

/* pull-build.c: makes what the store lacks of the image: documents and layers. */
int pull_build(struct pull *p, struct image **ret, mvm_error **err);

/* Removes the image unless it has a name; @image is freed. @why: the failure. */
void pull_forget(struct pull *p, struct image *image, int why);
/* pull-layers.c: which layers there are; those that the store has are pinned. */
int pull_layers_plan(struct pull *p, const struct oci_config *config, struct pull_layers *ret,
                     mvm_error **err);
/* Fetches the rest, several at once, into the store; all are pinned then. */
int pull_layers_fetch(struct pull *p, const struct store_temp *temp, struct pull_layers *layers,
                      mvm_error **err);

/* pull-layer.c: fetches one, unless somebody else has done so meanwhile. By any thread; @tick is
 * that thread's own. */
struct pull_fetch {
    struct image_source *source;   /* borrowed */
    const struct store_temp *temp; /* borrowed */
    struct image_budget *budget;   /* borrowed */
};
int pull_layer_fetch(const struct pull_fetch *f, struct pull_layer *layer, struct image_tick *tick,
                     mvm_error **err);

/* pull-crew.c: the same for all that are missing, by @jobs threads; @tick is asked by the caller's
 * thread alone. */
int pull_crew_run(const struct pull_fetch *f, struct pull_layers *layers, unsigned jobs,
                  struct image_tick *tick, mvm_error **err);

#endif
