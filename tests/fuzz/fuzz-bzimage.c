/* SPDX-License-Identifier: Apache-2.0 */
/* Boot images: the setup header, and whatever the payload unpacks to. */
#include "machine/bzimage.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autofree char *unpacked = NULL;
    struct bzimage_payload p;
    size_t len = 0;

    if (bzimage_payload(data, size, &p, NULL) < 0) {
        check(bzimage_extract(data, size, &unpacked, &len, NULL) < 0 && !unpacked);
        return 0;
    }
    check(p.data >= data && p.len <= size - (size_t) (p.data - data));
    check(p.unpacked_len > 0 && p.unpacked_len <= BZIMAGE_VMLINUX_MAX);
    if (bzimage_extract(data, size, &unpacked, &len, NULL) == 0)
        check(unpacked && len == p.unpacked_len && unpacked[len] == '\0');
    return 0;
}
