/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image references: what a user types ("alpine", "ghcr.io/org/app:1.2",
 * "localhost:5000/x@sha256:...") and the one fully qualified name behind it, so that "alpine" and
 * "docker.io/library/alpine:latest" are the same image.
 *
 * Grammar: OCI distribution-spec, "Pulling manifests"; the defaults are Docker's.
 */
#ifndef OCI_REFERENCE_H
#define OCI_REFERENCE_H

#include "base/digest.h"

#include <stdbool.h>

/* Most characters of registry and repository together, and of a tag (distribution-spec, "Pulling
 * manifests"). */
#define OCI_NAME_MAX 255
#define OCI_TAG_MAX 128

struct oci_reference {
    char *typed;      /* owned: the user's own text */
    char *registry;   /* owned: "docker.io", "localhost:5000"; lower case */
    char *repository; /* owned: "library/alpine" */
    char *tag;        /* owned: NULL when there is a digest, which alone counts then */
    char *name;       /* owned: "docker.io/library/alpine:latest", "host/x@sha256:..." */
    bool has_digest;
    struct digest digest;
};

/* @ref must be zeroed or deinitialised. The error quotes @text. */
int oci_reference_parse(const char *text, struct oci_reference *ref, mvm_error **err);
void oci_reference_deinit(struct oci_reference *ref);
MVM_DEFINE_AUTOVALUE(oci_reference, oci_reference_deinit)

bool oci_tag_is_valid(const char *tag);
/* The host (and port) that answers for a registry name: Docker Hub's is not called docker.io. */
const char *oci_registry_host(const char *registry);

#endif
