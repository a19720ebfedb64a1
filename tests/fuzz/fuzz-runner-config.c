/* SPDX-License-Identifier: Apache-2.0 */
/* The runner's config: whatever is accepted must come out the same after another round. */
#include "runner/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(runner_config) first = { .root_path = NULL };
    mvm_autovalue(runner_config) second = { .root_path = NULL };
    mvm_autoerror mvm_error *err = NULL;
    mvm_autofree char *text = NULL;
    mvm_autofree char *again = NULL;

    if (runner_config_decode((const char *) data, size, &first, &err) < 0)
        return 0;
    if (runner_config_encode(&first, &text, NULL) < 0 ||
        runner_config_decode(text, strlen(text), &second, NULL) < 0 ||
        runner_config_encode(&second, &again, NULL) < 0 || strcmp(text, again) != 0)
        abort();
    return 0;
}
