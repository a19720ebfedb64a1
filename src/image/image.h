/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: from a reference or a transport to a verified root filesystem image in the store.
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
    IMAGE_PHASE_LAYER = 1,   /* fetch, verify and unpack one layer */
    IMAGE_PHASE_BUILD = 2,   /* the root filesystem image is made */
    IMAGE_PHASE_DISK = 3     /* a disk image is downloaded */
};

struct image_progress {
    enum image_phase phase;
    unsigned layer; /* 1 to layers */
    unsigned layers;
    uint64_t done;    /* compressed bytes of this layer so far */
    uint64_t total;   /* compressed bytes of this layer */
    const char *name; /* digest of the layer, or the reference; borrowed */
};
/* Called at least ten times a second while anything goes on; a non-zero result cancels
 * (MVM_E_CANCELLED). */
typedef int image_progress_fn(void *user, const struct image_progress *progress);

struct image_pull_options {
    enum image_pull_policy policy;
    const char *platform; /* "os/arch[/variant]"; NULL: linux and the host's architecture */
    image_progress_fn *progress;
    void *progress_user;
    const struct log *log;
    enum image_source_order order;
    const mvm_fetcher *fetcher; /* borrowed: the source of references; NULL: as @order says */
};

/* One runnable image of the store. */
struct image {
    struct digest manifest; /* of the platform's own manifest */
    char *root_path;        /* absolute path of the EROFS image; owned */
    uint64_t root_size;     /* bytes */
    struct oci_config config;
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
    uint64_t size;     /* bytes of the root filesystem image */
    int64_t created_s; /* seconds since 1970 when it was stored */
};
int image_list(struct image_store *store, struct image_record **ret, size_t *ret_n,
               mvm_error **err);
void image_list_free(struct image_record *records, size_t n);

#endif
