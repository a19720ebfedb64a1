/* SPDX-License-Identifier: Apache-2.0 */
#include "image/curl.h"

#include "base/mem.h"

#include <dlfcn.h>
#include <pthread.h>

#define CURL_LIBRARY "libcurl.so.4"
/* Debian's package of it. */
#define CURL_PACKAGE "libcurl4"

/* Written once, before anybody reads: pthread_once() orders it. */
static struct {
    pthread_once_t once;
    struct curl_api api;
    char why[512]; /* what is missing; "" once all is there */
} loaded = { .once = PTHREAD_ONCE_INIT };

static const struct {
    const char *symbol;
    size_t offset;
} functions[] = {
#define CURL_API_ENTRY(name) { "curl_" #name, offsetof(struct curl_api, name) },
    CURL_API(CURL_API_ENTRY)
};

static void say(const char *why)
{
    (void) snprintf(loaded.why, sizeof(loaded.why), "%s", why); /* a message may be cut */
}

static void load(void)
{
    void *library = dlopen(CURL_LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        const char *why = dlerror();

        say(why ? why : "no reason given");
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        void *function = dlsym(library, functions[i].symbol);

        if (!function) {
            say(CURL_LIBRARY " is too old");
            return;
        }
        memcpy((char *) &loaded.api + functions[i].offset, &function, sizeof(function));
    }
    if (loaded.api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        say(CURL_LIBRARY " does not start");
}

int curl_load(const struct curl_api **ret, mvm_error **err)
{
    (void) pthread_once(&loaded.once, load); /* fails for no valid argument */
    if (loaded.why[0])
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                        "registries need the library " CURL_LIBRARY " (package " CURL_PACKAGE
                        "): %s",
                        loaded.why);
    *ret = &loaded.api;
    return 0;
}
