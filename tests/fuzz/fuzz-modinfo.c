/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules: their sections, what they say of themselves, their signature. */
#include "machine/modinfo.h"

#include <stdbool.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_names(const struct strv *names, const char *separators)
{
    if (names->n > MODINFO_NAMES_MAX)
        abort();
    for (size_t i = 0; i < names->n; i++)
        if (!*names->items[i] || strpbrk(names->items[i], separators))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(modinfo) info = { .depends = { .n = 0 } };

    if (modinfo_unsigned_len(data, size) > size)
        abort();
    if (modinfo_parse(data, size, &info, NULL) == 0) {
        check_names(&info.depends, ",");
        check_names(&info.soft_pre, " \t");
    }
    return 0;
}
