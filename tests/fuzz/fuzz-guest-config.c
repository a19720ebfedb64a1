/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong gives the defaults, and nothing but them (guest.md G-44). */
#include "agent/guest-config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(guest_config) c = { .mounts = NULL };
    mvm_autoerror mvm_error *err = NULL;
    int r = guest_config_decode((const char *) data, size, &c, &err);

    if (r < 0 && (c.tmp_size_mib != 0 || c.disable_ssh || c.mounts || c.n_mounts != 0 || !err))
        abort();
    if (c.n_mounts > GUEST_CONFIG_MOUNTS_MAX)
        abort();
    return 0;
}
