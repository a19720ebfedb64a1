/* SPDX-License-Identifier: Apache-2.0 */
/* Image configs. */
#include "oci/config.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(oci_config) config = { 0 };

    if (oci_config_parse((const char *) data, size, &config, NULL) == 0)
        assert(config.os && config.architecture && config.variant && config.workdir && config.user);
    return 0;
}
