/* SPDX-License-Identifier: Apache-2.0 */
/* One packet of the control socket. */
#include "runner/control.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_error *err = NULL;
    struct control_message m;

    if (control_decode((const char *) data, size, &m, &err) == 0 &&
        (m.type >= CONTROL_TYPES || strnlen(m.text, sizeof(m.text)) == sizeof(m.text)))
        abort();
    mvm_error_free(err);
    return 0;
}
