/* SPDX-License-Identifier: Apache-2.0 */
/* The attribute that says what a file is for the guest: what is taken is the same written again. */
#include "rootfs/override.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct override_stat o = { 0 }, again = { 0 };
    char text[OVERRIDE_STAT_MAX];
    size_t len;

    if (override_stat_decode((const char *) data, size, &o, NULL) < 0)
        return 0;
    len = override_stat_encode(&o, text);
    assert(len == strlen(text) && len < OVERRIDE_STAT_MAX);
    assert(override_stat_decode(text, len, &again, NULL) == 0);
    assert(o.uid == again.uid && o.gid == again.gid && o.mode == again.mode &&
           o.device == again.device);
    return 0;
}
