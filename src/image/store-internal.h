/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store on disk, below one folder:
 *
 *   image-store-version                      the form of all this
 *   layers/<alg>-<hex of the diffID>.index   a layer (layer-index.h), and .data where it has
 * content; .ok      the record of both (store-sums.h), written last: the layer is there when this
 * is images/<hex of the manifest's digest>/   manifest.json, config.json; appears whole, by rename;
 *                                            root.erofs and its record root.ok are made from the
 *                                            layers where they are missing (rootfs/block.h);
 *                                            the time of used is that of its last use
 *   refs/<sha256 of "name\nplatform">.json   what a name meant when it was last asked for
 *   locks/<name of an image or a layer>      held while one process makes, mends or removes that
 *   tmp-XXXXXXXX/                            what is in the making, locked by its maker; without
 * one it is garbage
 *
 * Every file is named by what it must hold, so whatever a kill leaves behind is either whole or
 * found out. What keeps others from removing things that are in use are shared locks (flock), which
 * the kernel lets go of with the last process that has them:
 *
 *   - on an image's folder, by whoever loaded it, and the processes of a VM made from it. It keeps
 *     the image's layers as well, since they are referred to as long as the folder is there.
 *   - on a layer's .ok (a pin), by a pull, from before the layer can be seen until the image that
 *     refers to it is in images/.
 *
 * Who removes takes the exclusive lock, without waiting, then reads what refers to the thing, then
 * removes it. Who took a shared lock looks afterwards whether the thing is still there. The order
 * in which one thread takes locks: an image of locks/, then a layer of locks/, then those above.
 */
#ifndef IMAGE_STORE_INTERNAL_H
#define IMAGE_STORE_INTERNAL_H

#include "image/image.h"
#include "image/tick.h"
#include "oci/manifest.h"

#define STORE_CONFIG "config.json"
#define STORE_MANIFEST "manifest.json"
#define STORE_ROOT "root.erofs"
#define STORE_ROOT_OK "root.ok"
#define STORE_USED "used"
#define STORE_TEMP_PREFIX "tmp-"

/* "<alg>-<hex>" */
#define STORE_NAME_MAX (DIGEST_TEXT_MAX + 1)

struct image_store {
    char *path;                                      /* owned */
    int fd, images_fd, refs_fd, locks_fd, layers_fd; /* owned */
};

/* Gives back what flock(2) says; a signal is no answer. */
int store_flock(int fd, int operation);
/* The same without an end, ticking, while somebody else has the lock. */
int store_flock_wait(int fd, int operation, struct image_tick *tick, mvm_error **err);
/* Whether the file that is open is still the one with this name: its last owner may have removed it
 * meanwhile. */
bool store_is_current(int dir_fd, const char *name, int fd);
/* Removes what stands in the place of a file of ours and is none, with all that it holds. */
int store_clear_odd(int dir_fd, const char *name, mvm_error **err);
/* What reading a file of the store gives when it is damaged, or is not there. */
bool store_is_damage(int r);

/* store-version.c: makes sure that the store has the form that we know; images of an older one are
 * removed. MVM_E_UNSUPPORTED. */
int store_check_version(struct image_store *s, mvm_error **err);

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
int store_temp_new(struct image_store *s, struct image_tick *tick, struct store_temp *ret,
                   mvm_error **err);
void store_temp_deinit(struct store_temp *t); /* removes it; twice is fine */
MVM_DEFINE_AUTOVALUE(store_temp, store_temp_deinit)

/* The right to make, mend or remove one image or layer. */
struct store_lock {
    struct image_store *store; /* borrowed */
    char name[STORE_NAME_MAX];
    int fd; /* owned */
};
#define STORE_LOCK_NONE \
    {                   \
        .fd = -EBADF    \
    }
/* Waits, ticking, while somebody else has it. */
int store_lock_take(struct image_store *s, const char *name, struct image_tick *tick,
                    struct store_lock *ret, mvm_error **err);
/* MVM_E_BUSY instead of waiting. */
int store_lock_try(struct image_store *s, const char *name, struct store_lock *ret,
                   mvm_error **err);
void store_lock_deinit(struct store_lock *l); /* twice is fine */
MVM_DEFINE_AUTOVALUE(store_lock, store_lock_deinit)

/* store-image.c. The name of an image in images/ and locks/: the hex of its manifest's digest. */
struct store_name {
    char text[STORE_NAME_MAX];
};
struct store_name store_image_name(const struct digest *manifest);
/* The image's folder, without a lock. MVM_E_NOT_FOUND, also for what is no folder. */
int store_open_image(struct image_store *s, const char *name, int *ret_fd, mvm_error **err);
/* The documents of the image @name, checked against their digests. Both must be zeroed.
 * MVM_E_NOT_FOUND; MVM_E_DIGEST, MVM_E_FORMAT: damaged. */
int store_read_image(int folder_fd, const char *name, struct oci_document *doc,
                     struct oci_config *config, mvm_error **err);
/* The image with this digest, without a look at its layers; MVM_E_NOT_FOUND, also where it is
 * damaged or being removed. */
int store_load_image(struct image_store *s, const struct digest *manifest, struct image_tick *tick,
                     struct image **ret, mvm_error **err);
/* Turns @t into the image, and loads it. The caller has the lock on its name. What stands there is
 * put away. */
int store_commit_image(struct store_temp *t, const struct digest *manifest, struct image_tick *tick,
                       struct image **ret, mvm_error **err);
/* Takes the folder out of images/, and removes it unless somebody uses it: then it goes once that
 * has ended. @lock_fd: the caller's own exclusive lock on it; negative: none. */
int store_discard_image(struct image_store *s, const char *name, int lock_fd,
                        struct image_tick *tick, mvm_error **err);

/* store-used.c: notes that the image was used just now. At most once a minute, and not synced: a
 * warm start shall not pay for it. A failure leaves the older time. */
void store_image_touch(int folder_fd);
/* When it was used last, in nanoseconds since 1970; when it was made, if that is not known; 0: not
 * even that. */
int64_t store_image_used_ns(int folder_fd);

/* A ref whose name begins with this is none that a user gave: what a source calls an image. It is
 * not listed, keeps no image, and goes with the image. */
#define STORE_IDENTITY "identity "

/* list.c: what @name means on @platform as far as the store knows; MVM_E_NOT_FOUND. */
int store_ref_get(struct image_store *s, const char *name, const char *platform, struct digest *ret,
                  mvm_error **err);
int store_ref_set(struct image_store *s, const char *name, const char *platform,
                  const struct digest *manifest, struct image_tick *tick, mvm_error **err);
/* Removes a file of refs/ if it still means this image; MVM_E_NOT_FOUND. */
int store_ref_remove(struct image_store *s, const char *file, const struct digest *manifest,
                     struct image_tick *tick, mvm_error **err);
/* Whether the file of refs/ is a name, and has the name that it should; what is not is removed.
 * Gives 1 then. */
int store_ref_verify(struct image_store *s, const char *file, struct image_tick *tick,
                     mvm_error **err);
/* Reads one file of refs/. */
int store_ref_read(struct image_store *s, const char *file, struct image_record *ret,
                   mvm_error **err);
bool store_is_ref(const char *file);
void image_record_deinit(struct image_record *record);
MVM_DEFINE_AUTOVALUE(image_record, image_record_deinit)

#endif
