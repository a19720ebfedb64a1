/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The images that are stored on this host. Several processes may use one store at once, whatever
 * they do there.
 */
#ifndef MICROVM_IMAGE_H
#define MICROVM_IMAGE_H

#include <microvm/error.h>
#include <microvm/options.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One name of an image. Valid as long as its list. */
typedef struct mvm_image_info {
    uint32_t struct_size;
    uint32_t reserved;    /* 0 */
    int64_t created_s;    /* seconds since 1970 when the name was stored */
    uint64_t size;        /* bytes on disk: the image's layers, and what is its own */
    uint64_t unique;      /* of these, what no other image shares */
    const char *name;     /* fully qualified: "docker.io/library/alpine:latest" */
    const char *platform; /* "linux/amd64" */
    const char *digest;   /* of the manifest: "sha256:..." */
} mvm_image_info;
typedef struct mvm_image_list mvm_image_list;

/**
 * mvm_image_list_new - the names that the store knows, sorted
 * @options:  the data dir counts; NULL for the defaults
 * @ret_list: on success, for mvm_image_list_free()
 * @err:      receives the reason of a failure; may be NULL
 *
 * Names whose image is gone or damaged are left out.
 *
 * Returns:       0; MVM_E_ARG; MVM_E_UNSUPPORTED: another release made the store; MVM_E_SYS;
 *                MVM_E_NOMEM.
 * Thread-safety: any thread.
 * Since:         0.1
 */
MVM_PUBLIC int mvm_image_list_new(const mvm_options *options, mvm_image_list **ret_list,
                                  mvm_error **err);
/** mvm_image_list_count - how many there are; 0 for NULL. Since: 0.1 */
MVM_PUBLIC size_t mvm_image_list_count(const mvm_image_list *list);
/** mvm_image_list_get - one of them, borrowed; NULL beyond the last. Since: 0.1 */
MVM_PUBLIC const mvm_image_info *mvm_image_list_get(const mvm_image_list *list, size_t index);
/** mvm_image_list_total - bytes on disk of all images, with and without a name, each layer counted
 * once. Since: 0.1 */
MVM_PUBLIC uint64_t mvm_image_list_total(const mvm_image_list *list);
/** mvm_image_list_free - NULL is fine. Since: 0.1 */
MVM_PUBLIC void mvm_image_list_free(mvm_image_list *list);

enum mvm_image_removal_kind {
    MVM_REMOVED_NAME = 0,
    MVM_REMOVED_IMAGE = 1,
    MVM_REMOVED_LAYER = 2,
    MVM_REMOVED_LITTER = 3, /* what a pull that was killed left of a layer */
    MVM_KEPT_IMAGE = 4,     /* in use, and therefore not removed */
    /* Found damaged by MVM_IMAGE_GC_VERIFY, and removed: */
    MVM_REMOVED_DAMAGED_IMAGE = 5,
    MVM_REMOVED_DAMAGED_LAYER = 6,
    MVM_REMOVED_DAMAGED_ROOT = 7, /* what is made of the image's layers; the image itself stays */
    MVM_REMOVED_DAMAGED_NAME = 8, /* what the name was cannot be told: it is that of a file */
    MVM_KEPT_DAMAGED = 9          /* the image, or a part of it, is damaged, and in use */
};

/** Something that was removed, or kept. Valid during the call only. */
typedef struct mvm_image_removal {
    uint32_t struct_size;
    uint32_t kind;    /* enum mvm_image_removal_kind */
    uint64_t bytes;   /* on disk; 0 for a name */
    const char *name; /* a name, or the digest of the image's manifest or of the layer's diffID */
} mvm_image_removal;

/** Called for each thing, by the thread that is inside the call. */
typedef void mvm_image_removal_fn(void *user, const mvm_image_removal *removal);

/**
 * mvm_image_remove - remove a name, and the image with its layers once nothing else needs them
 * @image:   a name as for mvm_pull(), or the digest of a manifest, or its first digits (4 at least)
 * @options: the data dir counts; NULL for the defaults
 * @force:   non-zero: of an image that is in use remove the name alone; of a digest all names
 * @fn:      hears of each thing that was removed; may be NULL
 * @user:    handed to @fn
 * @err:     receives the reason of a failure; may be NULL
 *
 * A name goes for all platforms for which it is stored.
 *
 * Returns:       0; MVM_E_NOT_FOUND; MVM_E_BUSY: a VM or a pull uses the image, or the digest has
 *                several names; MVM_E_ARG: several digests begin like that; as
 *                mvm_image_list_new().
 * Thread-safety: any thread.
 * Source:        docker(1), image rm.
 * Since:         0.1
 */
MVM_PUBLIC int mvm_image_remove(const char *image, const mvm_options *options, int force,
                                mvm_image_removal_fn *fn, void *user, mvm_error **err);

enum mvm_image_gc_flags {
    MVM_IMAGE_GC_ALL = 1,   /* also images that have a name */
    MVM_IMAGE_GC_VERIFY = 2 /* read every file that stays, and compare it with its sum */
};

/** What is removed besides; zero means nothing. */
typedef struct mvm_image_gc_options {
    uint32_t struct_size;  /* set by MVM_IMAGE_GC_OPTIONS(); never by hand */
    uint32_t flags;        /* enum mvm_image_gc_flags */
    uint64_t keep_bytes;   /* images go, the least recently used first, until all that is stored
                            * takes so much at most; 0: no limit */
    uint64_t older_than_s; /* images go that nobody has pulled or run for so many seconds; 0: none.
                            * What is known is right to a minute. */
} mvm_image_gc_options;
#define MVM_IMAGE_GC_OPTIONS(...) \
    ((mvm_image_gc_options){ .struct_size = sizeof(mvm_image_gc_options), __VA_ARGS__ })

/**
 * mvm_image_gc - remove what nothing refers to
 * @options: the data dir counts, and the progress callback while files are read; NULL for the
 *           defaults
 * @wish:    what is removed besides; NULL for nothing
 * @fn:      hears of each thing that was removed or kept; may be NULL
 * @user:    handed to @fn
 * @err:     receives the reason of a failure; may be NULL
 *
 * That is: images without a name, layers that no image has, names without an image, and what pulls
 * and VMs that were killed have left; @fn does not hear of the VMs'. A pull that goes on meanwhile
 * loses nothing, and an image that a VM uses stays, whatever @wish says.
 *
 * Returns:       0, damage that was found included; MVM_E_CANCELLED; MVM_E_UNSUPPORTED also for a
 *                wish that this release does not know; as mvm_image_list_new().
 * Thread-safety: any thread.
 * Since:         0.1
 */
MVM_PUBLIC int mvm_image_gc(const mvm_options *options, const mvm_image_gc_options *wish,
                            mvm_image_removal_fn *fn, void *user, mvm_error **err);

#ifdef __cplusplus
}
#endif

#endif
