/* SPDX-License-Identifier: Apache-2.0 */
#include "image/curl.h"

#include "base/library.h"

#include <pthread.h>

#define CURL_LIBRARY "libcurl.so.4"
/* Debian's package of it. */
#define CURL_PACKAGE "libcurl4"

/* Written once, before anybody reads: pthread_once() orders it. */
static struct {
    pthread_once_t once;
    struct curl_api api;
    struct library_reason why;
} loaded = { .once = PTHREAD_ONCE_INIT };

static const struct library_function functions[] = {
#define CURL_API_ENTRY(name) { "curl_" #name, offsetof(struct curl_api, name) },
    CURL_API(CURL_API_ENTRY)
};

static void load(void)
{
    if (library_load(CURL_LIBRARY, functions, ARRAY_SIZE(functions), &loaded.api, &loaded.why) &&
        loaded.api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        library_say(&loaded.why, CURL_LIBRARY " does not start");
}

int curl_load(const struct curl_api **ret, mvm_error **err)
{
    (void) pthread_once(&loaded.once, load); /* fails for no valid argument */
    if (loaded.why.text[0])
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                        "registries need the library " CURL_LIBRARY " (package " CURL_PACKAGE
                        "): %s",
                        loaded.why.text);
    *ret = &loaded.api;
    return 0;
}
