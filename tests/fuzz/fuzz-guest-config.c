/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's config file: an image may bring its own. */
#include "agent/guest-config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(guest_config) c = { .mounts = NULL };

    (void) guest_config_decode((const char *) data, size, &c, NULL);
    return 0;
}
