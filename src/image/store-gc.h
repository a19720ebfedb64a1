/* SPDX-License-Identifier: Apache-2.0 */
/* Removing: what image_remove() and image_gc() share. */
#ifndef IMAGE_STORE_GC_H
#define IMAGE_STORE_GC_H

#include "image/store-usage.h"

struct gc {
    struct image_store *store; /* borrowed */
    image_removal_fn *fn;      /* NULL: nobody listens */
    void *user;
    struct image_tick *tick; /* borrowed; NULL: nobody is asked */
};
void gc_tell(const struct gc *g, enum image_removal_kind kind, const char *name, uint64_t bytes);
/* The same, for what has a name in images/ or layers/. */
void gc_tell_stored(const struct gc *g, enum image_removal_kind kind, const char *name,
                    uint64_t bytes);

/* Names of the store, sorted, each once. */
struct gc_list {
    struct store_name *items; /* owned */
    size_t n, cap;
};
void gc_list_deinit(struct gc_list *l);
MVM_DEFINE_AUTOVALUE(gc_list, gc_list_deinit)
/* @ret must be zeroed. */
int gc_list_images(const struct gc *g, struct gc_list *ret, mvm_error **err);
int gc_list_layers(const struct gc *g, struct gc_list *ret, mvm_error **err);

/* Whether anything has that name in images/. */
bool gc_has_image(const struct gc *g, const char *name);
/* The image's folder with the exclusive lock. MVM_E_BUSY: it is in use; MVM_E_NOT_FOUND. */
int gc_lock_image(const struct gc *g, const char *name, int *ret_fd, mvm_error **err);
/* The same, for who goes on without it. 1: locked; 0: it is in use, which is told
 * as @busy, or gone. */
int gc_take_image(const struct gc *g, const char *name, enum image_removal_kind busy, int *ret_fd,
                  mvm_error **err);
/* @lock_fd: from gc_lock_image(). */
int gc_remove_image(const struct gc *g, const char *name, int lock_fd, mvm_error **err);
int gc_remove_name(const struct gc *g, const struct store_name_record *name, mvm_error **err);
int gc_remove_with_names(const struct gc *g, const char *name, int lock_fd, mvm_error **err);
/* Of the layers @names those that no image has and nobody has pinned. */
int gc_remove_layers(const struct gc *g, const struct store_name *names, size_t n, mvm_error **err);

/* gc-evict.c: images that are too old, or too much. */
int gc_evict(const struct gc *g, const struct image_gc_options *o, mvm_error **err);
/* gc-verify.c: all that is there is read. */
int gc_verify(const struct gc *g, mvm_error **err);

#endif
