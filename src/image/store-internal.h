/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store on disk, below one folder:
 *
 *   images/<hex of the manifest's digest>/   rootfs.erofs, config.json, manifest.json; appears
 * whole, by rename refs/<sha256 of "name\nplatform">.json   what a name meant when it was last
 * asked for locks/<hex>                              held while one process makes that image
 *   tmp-XXXXXXXX/                            an image in the making, locked by its maker; without
 * one it is garbage
 */
#ifndef IMAGE_STORE_INTERNAL_H
#define IMAGE_STORE_INTERNAL_H

#include "image/image.h"
#include "image/tick.h"

#define STORE_ROOTFS "rootfs.erofs"
#define STORE_CONFIG "config.json"
#define STORE_MANIFEST "manifest.json"

struct image_store {
    char *path;                           /* owned */
    int fd, images_fd, refs_fd, locks_fd; /* owned */
};

/* The image with this digest; MVM_E_NOT_FOUND. */
int store_load_image(struct image_store *s, const struct digest *manifest, struct image **ret,
                     mvm_error **err);

/* A temporary folder in the store, locked as long as @fd is open. */
struct store_temp {
    struct image_store *store; /* borrowed */
    char *name;                /* owned; NULL once it is gone or has become an image */
    int fd;                    /* owned */
};
#define STORE_TEMP_NONE \
    {                   \
        .fd = -EBADF    \
    }
int store_temp_new(struct image_store *s, struct store_temp *ret, mvm_error **err);
/* Turns it into the image with this digest. */
int store_temp_commit(struct store_temp *t, const struct digest *manifest, mvm_error **err);
void store_temp_deinit(struct store_temp *t); /* removes it; twice is fine */
MVM_DEFINE_AUTOVALUE(store_temp, store_temp_deinit)

/* The right to make the image with this digest; waits, ticking, while another process has it. */
struct store_lock {
    struct image_store *store; /* borrowed */
    struct digest digest;
    int fd; /* owned */
};
#define STORE_LOCK_NONE \
    {                   \
        .fd = -EBADF    \
    }
int store_lock_take(struct image_store *s, const struct digest *manifest, struct image_tick *tick,
                    struct store_lock *ret, mvm_error **err);
void store_lock_deinit(struct store_lock *l); /* twice is fine */
MVM_DEFINE_AUTOVALUE(store_lock, store_lock_deinit)

/* A ref whose name begins with this is none that a user gave: what a source calls an image. It is
 * not listed, keeps no image, and goes with the image. */
#define STORE_IDENTITY "identity "

/* What @name means on @platform as far as the store knows; MVM_E_NOT_FOUND. */
int store_ref_get(struct image_store *s, const char *name, const char *platform, struct digest *ret,
                  mvm_error **err);
int store_ref_set(struct image_store *s, const char *name, const char *platform,
                  const struct digest *manifest, mvm_error **err);

/* Reads one file of refs/. */
int store_ref_read(struct image_store *s, const char *file, struct image_record *ret,
                   mvm_error **err);
void image_record_deinit(struct image_record *record);
MVM_DEFINE_AUTOVALUE(image_record, image_record_deinit)

#endif
