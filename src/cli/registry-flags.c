/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/registry-flags.h"

#include "base/scan.h"
#include "vm/options-internal.h"

static int take_jobs(const char *verb, mvm_options *options, const char *value, mvm_error **err)
{
    uint64_t jobs = 0;

    if (scan_u64(value, strlen(value), MVM_LAYER_JOBS_MAX, &jobs) && jobs > 0)
        return mvm_options_set_layer_jobs(options, (uint32_t) jobs);
    return mvm_fail(err, MVM_E_ARG, 0, "%s: --jobs '%s': 1 to %d layers at once are possible", verb,
                    value, MVM_LAYER_JOBS_MAX);
}

/* The setters judge as well, but say no more than that something is wrong. */
int registry_flag_take(const char *verb, int c, mvm_options *options, const char *value,
                       mvm_error **err)
{
    const char *name = c == OPT_REGISTRY_MIRROR ? "registry-mirror" : "insecure-registry";
    int r;

    switch (c) {
    case OPT_REGISTRY_MIRROR:
        r = registry_options_add_mirror(&options->registry, value, err);
        break;
    case OPT_INSECURE_REGISTRY:
        r = registry_options_add_insecure(&options->registry, value, err);
        break;
    case OPT_TLS_CA:
        return mvm_options_set_registry_ca(options, value);
    case OPT_AUTH_FILE:
        return mvm_options_set_auth_file(options, value);
    case OPT_JOBS:
        return take_jobs(verb, options, value, err);
    default:
        return 1;
    }
    return r < 0 ? mvm_context(err, r, "%s: --%s", verb, name) : 0;
}
