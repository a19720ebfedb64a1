/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel module: the end of its file, and what it says of itself. */
#include "machine/modinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len = modinfo_unsigned_len(data, size);
    mvm_autovalue(modinfo) info = { .depends = { .n = 0 } };
    mvm_error *err = NULL;

    if (len > size)
        abort();
    if (modinfo_parse(data, len, &info, &err) == 0 &&
        (info.depends.n > MODINFO_NAMES_MAX || info.soft_pre.n > MODINFO_NAMES_MAX))
        abort();
    mvm_error_free(err);
    return 0;
}
