/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: from a reference or a transport to verified layers in the store.
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "oci/config.h"

#include <microvm/fetcher.h>
#include <stdbool.h>
#include <stdint.h>

struct image_store;
struct registry_options;

enum image_pull_policy {
    IMAGE_PULL_MISSING = 0, /* use what the store has, else fetch */
    IMAGE_PULL_ALWAYS = 1,  /* ask the source again whether the name still means the same */
    IMAGE_PULL_NEVER = 2    /* the store alone */
};

/* Where a reference is looked for. A name with a transport has only that. */
enum image_source_order {
    IMAGE_SOURCE_REGISTRY_ONLY = 0,
    IMAGE_SOURCE_LOCAL_FIRST = 1, /* the container engine, then the registry */
    IMAGE_SOURCE_REGISTRY_FIRST = 2,
    IMAGE_SOURCE_LOCAL_ONLY = 3 /* the container engine */
};

enum image_phase {
    IMAGE_PHASE_RESOLVE = 0, /* manifest and config */
    IMAGE_PHASE_LAYER = 1,   /* fetch, verify and convert one layer */
    IMAGE_PHASE_BUILD = 2,   /* the root filesystem image is made */
    IMAGE_PHASE_DISK = 3,    /* a disk image is downloaded */
    IMAGE_PHASE_VERIFY = 4   /* the store is read through */
};

struct image_progress {
    enum image_phase phase;
    unsigned layer; /* 1 to layers */
    unsigned layers;
    uint64_t done;    /* compressed bytes of this layer so far */
    uint64_t total;   /* compressed bytes of this layer */
    const char *name; /* digest of the layer, or the reference; borrowed */
};
/* Called at least ten times a second while anything goes on, by the caller's own thread; a non-zero
 * result cancels (MVM_E_CANCELLED). Of layers that arrive at once the first is reported, and each
 * when it is done. */
typedef int image_progress_fn(void *user, const struct image_progress *progress);

struct image;
/* Makes of an image what it is wanted for, before its name is remembered. MVM_E_DIGEST: the store
 * is damaged, and pulling mends it. After any other failure the pull keeps nothing of an image that
 * it has just made, and gives the same error. */
typedef int image_prepare_fn(void *user, struct image_store *store, const struct image *image,
                             mvm_error **err);

struct image_pull_options {
    enum image_pull_policy policy;
    const char *platform; /* "os/arch[/variant]"; NULL: linux and the host's architecture */
    image_progress_fn *progress;
    void *progress_user;
    image_prepare_fn *prepare; /* NULL: nothing */
    void *prepare_user;
    const struct log *log;
    unsigned layer_jobs; /* layers that are fetched at once; 0: as many as there are CPUs, 2 to 4 */
    const struct registry_options *registry; /* NULL: no wishes */
    enum image_source_order order;
    const mvm_fetcher *fetcher; /* borrowed: the source of references; NULL: as @order says */
};

/* One runnable image of the store. */
struct image {
    struct digest manifest; /* of the platform's own manifest */
    struct oci_config config;
    /* Owned: the image's folder with a shared lock (flock). As long as any copy of it is open,
     * nothing of the image is removed: the processes of a VM inherit it. */
    int lock_fd;
};
void image_free(struct image *image);
MVM_DEFINE_AUTO(image, image_free)

/* Opens, making it where needed (mode 0700), the store in @path (absolute: ".../microvm").
 * Temporary folders whose maker is gone are removed. */
int image_store_open(const char *path, struct image_store **ret, mvm_error **err);
void image_store_close(struct image_store *store);
MVM_DEFINE_AUTO(image_store, image_store_close)

/* @name is a reference or has a transport (name.h), as the user typed it. The error names @name.
 * Two processes that pull the same image at once do the work once. */
int image_pull(struct image_store *store, const char *name,
               const struct image_pull_options *options, struct image **ret, mvm_error **err);

/* What the store knows, one record a name, sorted by name. */
struct image_record {
    char *name;     /* owned: the fully qualified reference or transport */
    char *platform; /* owned: "linux/amd64" */
    struct digest manifest;
    uint64_t size;     /* bytes on disk: its layers, and what is its own */
    uint64_t unique;   /* of these, what no other image has */
    int64_t created_s; /* seconds since 1970 when it was stored */
};
/* *ret_total: bytes on disk of all images, each layer counted once. */
int image_list(struct image_store *store, struct image_record **ret, size_t *ret_n,
               uint64_t *ret_total, mvm_error **err);
void image_list_free(struct image_record *records, size_t n);

enum image_removal_kind {
    IMAGE_REMOVAL_NAME = 0,
    IMAGE_REMOVAL_IMAGE = 1,
    IMAGE_REMOVAL_LAYER = 2,
    IMAGE_REMOVAL_LITTER = 3, /* what a pull that was killed left of a layer */
    IMAGE_REMOVAL_KEPT = 4,   /* an image that is in use, and stays */
    /* Damage that was found by reading. */
    IMAGE_REMOVAL_DAMAGED_IMAGE = 5,
    IMAGE_REMOVAL_DAMAGED_LAYER = 6,
    IMAGE_REMOVAL_DAMAGED_ROOT = 7, /* the root filesystem image of an image, which stays */
    IMAGE_REMOVAL_DAMAGED_NAME = 8, /* what stood in the place of a name: a file of refs/ */
    IMAGE_REMOVAL_KEPT_DAMAGED = 9  /* an image that is in use, or a layer that a pull needs */
};
struct image_removal {
    enum image_removal_kind kind;
    const char *name; /* a name, or a digest: of the image's manifest, of the layer's diffID */
    uint64_t bytes;   /* on disk; 0 for a name */
};
typedef void image_removal_fn(void *user, const struct image_removal *what);

/* Removes a name, and what then has none: the image, and those of its layers that no other image
 * has. @name: as for image_pull(), or a digest of a manifest, or at least the first
 * IMAGE_DIGEST_PREFIX_MIN digits of one. MVM_E_BUSY: it is in use, or a digest has several names;
 * @force removes the name of what is in use, and all names of a digest. */
#define IMAGE_DIGEST_PREFIX_MIN 4
int image_remove(struct image_store *store, const char *name, bool force, image_removal_fn *fn,
                 void *user, mvm_error **err);

struct image_gc_options {
    bool all;              /* also images that have a name */
    bool verify;           /* read everything that stays, and compare it with its sums */
    uint64_t keep_bytes;   /* images go, least recently used first, until so much stays; 0: any */
    uint64_t older_than_s; /* and those that nobody has used for so long; 0: none */
    image_progress_fn *progress; /* of the reading; NULL: nobody listens */
    void *progress_user;
};
/* Removes what nothing refers to: images without a name, layers that no image has, names without an
 * image; then what @o says, of which NULL says nothing. An image that is in use stays. */
int image_gc(struct image_store *store, const struct image_gc_options *o, image_removal_fn *fn,
             void *user, mvm_error **err);

#endif
