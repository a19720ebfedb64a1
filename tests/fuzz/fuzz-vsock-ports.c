/* SPDX-License-Identifier: Apache-2.0 */
/* The words of microvm-vsock's command line, one a line: those that are taken encode to themselves.
 */
#include "virtio/vsock/ports.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(strv) words = { .n = 0 };
    mvm_autovalue(strv) again = { .n = 0 };
    mvm_autovalue(vsock_ports) ports = { .items = NULL };

    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t) (end - data) : size;

        if (strv_addn(&words, (const char *) data, len) < 0)
            return 0;
        data += end ? len + 1 : len;
        size -= end ? len + 1 : len;
    }
    if (words.n == 0 || vsock_ports_decode(words.items, &ports, NULL) < 0)
        return 0;
    if (vsock_ports_encode(&ports, &again, NULL) < 0 || again.n != words.n)
        abort();
    for (size_t i = 0; i < words.n; i++)
        if (strcmp(words.items[i], again.items[i]) != 0)
            abort();
    return 0;
}
