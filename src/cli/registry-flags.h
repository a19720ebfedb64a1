/* SPDX-License-Identifier: Apache-2.0 */
/* What `run` and `pull` are told about registries, and about fetching from them. */
#ifndef CLI_REGISTRY_FLAGS_H
#define CLI_REGISTRY_FLAGS_H

#include "cli/cli.h"

/* Beyond the values that the verbs use for options of their own. */
enum {
    OPT_REGISTRY_MIRROR = 1024,
    OPT_INSECURE_REGISTRY,
    OPT_TLS_CA,
    OPT_AUTH_FILE,
    OPT_JOBS
};

/* For a table of options. */
#define REGISTRY_FLAGS_TABLE                                                     \
    { "registry-mirror", required_argument, NULL, OPT_REGISTRY_MIRROR },         \
        { "insecure-registry", required_argument, NULL, OPT_INSECURE_REGISTRY }, \
        { "tls-ca", required_argument, NULL, OPT_TLS_CA },                       \
        { "auth-file", required_argument, NULL, OPT_AUTH_FILE },                 \
    {                                                                            \
        "jobs", required_argument, NULL, OPT_JOBS                                \
    }

#define REGISTRY_FLAGS_HELP                                                                \
    "      --registry-mirror [REGISTRY=]URL\n"                                             \
    "                         asked before the registry (docker.io); may be given again\n" \
    "      --insecure-registry HOST[:PORT]\n"                                              \
    "                         http, or https with any certificate, for this registry\n"    \
    "      --tls-ca FILE      certificates of authorities, besides the system's\n"         \
    "      --auth-file FILE   credentials, in place of docker's and podman's files\n"      \
    "      --jobs N           layers fetched at once, 1 to 16 (as many as CPUs, 2 to 4)\n"

/* 0; a negative code, with an error for all but MVM_E_NOMEM; 1: not one of these options. */
int registry_flag_take(const char *verb, int c, mvm_options *options, const char *value,
                       mvm_error **err);

#endif
