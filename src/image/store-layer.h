/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of the store. A pin is a descriptor: as long as it is open the layer stays. */
#ifndef IMAGE_STORE_LAYER_H
#define IMAGE_STORE_LAYER_H

#include "image/layer-convert.h"
#include "image/store-internal.h"

/* The name of a layer's files, without what follows the dot, and of its lock. */
struct store_name store_layer_name(const struct digest *diff_id);
/* "<name><suffix>" */
#define STORE_LAYER_DATA ".data"
#define STORE_LAYER_INDEX ".index"
#define STORE_LAYER_OK ".ok"
struct store_file {
    char text[STORE_NAME_MAX + 8];
};
struct store_file store_layer_file(const char *name, const char *suffix);

/* Its record, without a lock. MVM_E_NOT_FOUND; MVM_E_FORMAT for what is no regular file. */
int store_layer_open_ok(struct image_store *s, const char *name, int *ret_fd, mvm_error **err);
/* Without reading any of its files: the layer as its record has it, and as nobody has touched it.
 * MVM_E_NOT_FOUND: there is none, or it takes a closer look. @ret_pin may be NULL. */
int store_layer_find(struct image_store *s, const struct digest *diff_id, int *ret_pin,
                     struct layer_sums *ret, mvm_error **err);
/* The closer look, by who has the lock on the layer's name: what was touched is read through, and
 * stamped anew when it is right. MVM_E_NOT_FOUND: there is none; MVM_E_DIGEST: it was damaged, and
 * has been removed. */
int store_layer_check(struct image_store *s, const struct digest *diff_id, struct image_tick *tick,
                      int *ret_pin, struct layer_sums *ret, mvm_error **err);
/* Reads the layer @name through, whatever the times of its files say, by who has the lock on the
 * name. MVM_E_NOT_FOUND: it has no record; MVM_E_DIGEST: it is damaged, and left as it is. */
int store_layer_verify(struct image_store *s, const char *name, struct image_tick *tick,
                       mvm_error **err);
/* Both, with the lock. */
int store_layer_get(struct image_store *s, const struct digest *diff_id, struct image_tick *tick,
                    int *ret_pin, struct layer_sums *ret, mvm_error **err);

/* A layer in the making: files in a temporary folder. */
struct store_layer_draft {
    const struct store_temp *temp; /* borrowed */
    struct store_name name;
    int data_fd, index_fd; /* owned */
};
#define STORE_LAYER_DRAFT_NONE                \
    {                                         \
        .data_fd = -EBADF, .index_fd = -EBADF \
    }
/* What another draft of that layer left in the folder is removed. */
int store_layer_begin(const struct store_temp *temp, const struct digest *diff_id,
                      struct store_layer_draft *ret, mvm_error **err);
/* Syncs it and puts it into the store, by who has the lock on its name. */
int store_layer_commit(struct store_layer_draft *d, const struct layer_sums *sums,
                       struct image_tick *tick, int *ret_pin, mvm_error **err);
void store_layer_draft_deinit(struct store_layer_draft *d);
MVM_DEFINE_AUTOVALUE(store_layer_draft, store_layer_draft_deinit)

/* By who has the lock on its name, and knows that nobody wants it. *ret_bytes: what was given back
 * to the file system. */
int store_layer_remove(struct image_store *s, const char *name, uint64_t *ret_bytes,
                       mvm_error **err);
/* Bytes on disk of a layer's files; 0 for none. */
uint64_t store_layer_bytes(struct image_store *s, const char *name);

#endif
