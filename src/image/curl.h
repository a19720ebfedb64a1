/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl, loaded when a registry is first asked: its libraries take some 6 ms to load, which a
 * program that finds everything in the store need not pay.
 */
#ifndef IMAGE_CURL_H
#define IMAGE_CURL_H

#include "base/error.h"

#include <curl/curl.h>

/* All that is called, without its prefix "curl_". */
#define CURL_API(X)        \
    X(global_init)         \
    X(free)                \
    X(getdate)             \
    X(slist_append)        \
    X(slist_free_all)      \
    X(easy_init)           \
    X(easy_setopt)         \
    X(easy_getinfo)        \
    X(easy_header)         \
    X(easy_pause)          \
    X(easy_strerror)       \
    X(easy_cleanup)        \
    X(multi_init)          \
    X(multi_add_handle)    \
    X(multi_remove_handle) \
    X(multi_perform)       \
    X(multi_poll)          \
    X(multi_info_read)     \
    X(multi_strerror)      \
    X(multi_cleanup)       \
    X(url)                 \
    X(url_set)             \
    X(url_get)             \
    X(url_cleanup)

#define CURL_API_FIELD(name) __typeof__(curl_##name) *name;
struct curl_api {
    CURL_API(CURL_API_FIELD)
};

/* Any thread, any time; loaded once and never unloaded. MVM_E_UNSUPPORTED when it is not there. */
int curl_load(const struct curl_api **ret, mvm_error **err);

#endif
