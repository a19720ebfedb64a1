/* SPDX-License-Identifier: Apache-2.0 */
/* The records of the store: what is taken for one is exactly what would be written. */
#include "image/store-sums.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t n = 1; n <= SUMS_PARTS_MAX; n++) {
        unsigned char again[SUMS_SIZE_MAX];
        struct sums sums;

        if (sums_decode(data, size, n, &sums, NULL) == 0)
            assert(sums_encode(&sums, again) == size && memcmp(again, data, size) == 0);
    }
    return 0;
}
