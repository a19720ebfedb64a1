/* SPDX-License-Identifier: Apache-2.0 */
/* What the user wishes for registries: mirrors, whom to trust, where credentials are. */
#ifndef IMAGE_REGISTRY_OPTIONS_H
#define IMAGE_REGISTRY_OPTIONS_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>

/* Of each list: more than anybody configures by hand. */
#define REGISTRY_MIRRORS_MAX 64
#define REGISTRY_INSECURE_MAX 256

struct registry_mirror {
    char *registry; /* owned: whose images it has, as in a full name: "docker.io", "host:5000" */
    char *url;      /* owned: "https://host[:port][/prefix]", or http */
};

struct registry_options {
    struct registry_mirror *mirrors; /* owned; in the order in which they are asked */
    size_t n_mirrors, cap_mirrors;
    struct strv insecure; /* "host[:port]" as in a reference: http, or https with any certificate */
    char *ca_file;        /* owned: certificates in PEM, besides the system's; NULL: none */
    char *auth_file;      /* owned: the one file with credentials; NULL: the usual places */
    struct strv certs_dirs; /* in place of the usual ones, where not empty */
    uint64_t stall_ms;      /* a peer may be silent for so long; 0: HTTP_STALL_MS */
    uint64_t slow_ms;       /* over which its speed is measured; 0: HTTP_SLOW_MS */
};

/* "[REGISTRY=]URL"; without a registry it is Docker Hub's. MVM_E_ARG for another form, MVM_E_LIMIT
 * for one too many. */
int registry_options_add_mirror(struct registry_options *o, const char *text, mvm_error **err);
/* "HOST[:PORT]". */
int registry_options_add_insecure(struct registry_options *o, const char *text, mvm_error **err);
void registry_options_deinit(struct registry_options *o);
MVM_DEFINE_AUTOVALUE(registry_options, registry_options_deinit)

#endif
