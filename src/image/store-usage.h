/* SPDX-License-Identifier: Apache-2.0 */
/* What refers to what in the store, and what it takes on disk. Read once; others go on changing it
 * meanwhile, so whoever removes something takes its lock first and reads afterwards. */
#ifndef IMAGE_STORE_USAGE_H
#define IMAGE_STORE_USAGE_H

#include "image/store-layer.h"

/* An image that is whole in itself, whatever became of its layers. */
struct usage_image {
    struct store_name name;
    uint64_t size;   /* with its layers */
    uint64_t unique; /* of this, what no other image has */
    uint64_t own;    /* without layers */
    int64_t used_ns; /* store_image_used_ns() */
};
/* A layer of an image. */
struct usage_link {
    struct store_name layer;
    uint32_t image; /* index */
    uint64_t bytes; /* of the layer */
};
struct store_usage {
    struct usage_image *images; /* owned */
    size_t n_images, images_cap;
    struct usage_link *links; /* owned; sorted by layer */
    size_t n_links, links_cap;
    uint64_t total; /* every layer counted once */
};
/* @ret must be zeroed. An image that is damaged is left out; anything else that cannot be read is
 * an error, so that nothing is taken for unused which merely could not be read. */
int store_usage_read(struct image_store *s, struct store_usage *ret, mvm_error **err);
void store_usage_deinit(struct store_usage *u);
MVM_DEFINE_AUTOVALUE(store_usage, store_usage_deinit)
const struct usage_image *store_usage_image(const struct store_usage *u, const char *name);
bool store_usage_has_layer(const struct store_usage *u, const char *layer);
/* Bytes on disk of what an image's folder holds. */
uint64_t store_image_bytes(int folder_fd);

/* All names of the store. */
struct store_names {
    struct store_name_record {
        struct image_record record;
        char *file;    /* owned: in refs/ */
        bool identity; /* no user's name: STORE_IDENTITY */
    } * items;         /* owned */
    size_t n, cap;
};
/* @ret must be zeroed. What is no record, or damaged, is left out. */
int store_names_read(struct image_store *s, struct store_names *ret, mvm_error **err);
void store_names_deinit(struct store_names *n);
MVM_DEFINE_AUTOVALUE(store_names, store_names_deinit)
/* Whether anything means the image @name. */
bool store_names_have(const struct store_names *n, const char *name);

#endif
