/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests and indexes, OCI's and Docker's schema 2 (OCI image-spec, manifest.md, image-index.md,
 * descriptor.md). Parsing and nothing else: digests are over the received bytes and are compared by
 * who received them, but for the content inside a descriptor, which is compared here.
 */
#ifndef OCI_MANIFEST_H
#define OCI_MANIFEST_H

#include "base/digest.h"
#include "base/mem.h"
#include "oci/media-type.h"
#include "oci/platform.h"

#include <stdbool.h>
#include <stdint.h>

/* Most bytes of a document (image.md I-100): a manifest of 10 000 layers has 2 MiB. */
#define OCI_MANIFEST_MAX (4u << 20)
#define OCI_INDEX_MAX (8u << 20)
/* Sizes stay below 2^53, which every JSON implementation holds exactly (image.md I-122). */
#define OCI_SIZE_MAX ((UINT64_C(1) << 53) - 1)
/* Other places of a blob: one or two where there are any. As long as any URL that servers take. */
#define OCI_URLS_MAX 8
#define OCI_URL_MAX 2048
/* Of the bytes of a blob inside its descriptor: it is meant for what is smaller than the request
 * that it saves. */
#define OCI_DATA_MAX (1u << 20)

struct oci_descriptor {
    char *media_type; /* owned; "" when unset */
    struct digest digest;
    uint64_t size;
    bool has_platform;
    struct oci_platform platform; /* of an index entry */
    char *ref_name;               /* owned; NULL: no org.opencontainers.image.ref.name */
    struct strv urls;             /* where else the blob is, in the order to be asked */
    char *data; /* owned: the blob itself, size bytes of that digest; NULL: it is elsewhere */
};

struct oci_manifest {
    char *artifact_type; /* owned; NULL: unset */
    struct oci_descriptor config;
    struct oci_descriptor *layers; /* owned; base first */
    size_t n_layers;
};

struct oci_index {
    struct oci_descriptor *entries; /* owned */
    size_t n_entries;
};

struct oci_document {
    bool is_index;
    struct oci_manifest manifest; /* unless is_index */
    struct oci_index index;       /* if is_index */
};

/* @expected is the media type of the descriptor or of the answer that led here; NULL or an unknown
 * type lets the document speak for itself, a known one that the document contradicts is an error.
 * @doc must be zeroed or deinitialised. */
int oci_document_parse(const char *text, size_t len, const char *expected, struct oci_document *doc,
                       mvm_error **err);
void oci_document_deinit(struct oci_document *doc);
MVM_DEFINE_AUTOVALUE(oci_document, oci_document_deinit)

/* That a manifest is an image which can run: config type, layer types. */
int oci_manifest_check_image(const struct oci_manifest *m, mvm_error **err);

/* The best entry for @want; ties go to the first. With @ref_name only entries that carry it count.
 * MVM_E_NOT_FOUND lists what is offered. An entry without platform counts only if nothing else fits
 * (its config must then confirm). */
int oci_index_choose(const struct oci_index *index, const char *ref_name,
                     const struct oci_platform *want, const struct oci_descriptor **ret,
                     mvm_error **err);

#endif
