/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel's options: a fragment, or the .config inside an image. */
#include "machine/kernel-config.h"
#include "machine/kernel-needs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(kconfig) c = { .items = NULL };

    (void) kernel_needs_check_bytes(data, size, NULL);
    if (kconfig_parse((const char *) data, size, &c, NULL) < 0)
        return 0;
    for (size_t i = 0; i < c.n; i++) {
        if (strlen(c.items[i].name) > KCONFIG_NAME_MAX || !*c.items[i].value)
            abort();
        if (i > 0 && strcmp(c.items[i - 1].name, c.items[i].name) >= 0)
            abort();
        if (strcmp(kconfig_get(&c, c.items[i].name), c.items[i].value) != 0)
            abort();
    }
    return 0;
}
