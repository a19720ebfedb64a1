/* SPDX-License-Identifier: Apache-2.0 */
#include "base/library.h"

#include <dlfcn.h>
#include <stdio.h>

void library_say(struct library_reason *why, const char *text)
{
    (void) snprintf(why->text, sizeof(why->text), "%s", text); /* a message may be cut */
}

bool library_load(const char *file, const struct library_function *functions, size_t n, void *table,
                  struct library_reason *why)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        const char *text = dlerror();

        library_say(why, text ? text : "no reason given");
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        void *function = dlsym(library, functions[i].symbol);

        if (!function) {
            (void) snprintf(why->text, sizeof(why->text), "%s lacks %s", file, functions[i].symbol);
            return false;
        }
        memcpy((char *) table + functions[i].offset, &function, sizeof(function));
    }
    return true;
}
