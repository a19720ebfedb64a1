/* SPDX-License-Identifier: Apache-2.0 */
/* A boot image: its header, where its payload lies, and unpacking that. */
#include "machine/bzimage.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bzimage_payload p;
    mvm_error *err = NULL;
    char *unpacked = NULL;
    size_t len = 0;

    if (bzimage_payload(data, size, &p, NULL) == 0 &&
        (p.data < data || p.len > size || (size_t) (p.data - data) > size - p.len))
        abort();
    if (bzimage_extract(data, size, &unpacked, &len, &err) == 0 && len != p.unpacked_len)
        abort();
    free(unpacked);
    mvm_error_free(err);
    return 0;
}
