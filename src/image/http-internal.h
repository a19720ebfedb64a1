/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_HTTP_INTERNAL_H
#define IMAGE_HTTP_INTERNAL_H

#include "image/curl.h"
#include "image/http.h"

/* Bytes that may arrive while the caller is busy; one piece that the library hands over fits
 * several times. */
#define HTTP_BODY_MAX (1u << 20)
#define HTTP_PIECE (128L << 10)

struct http_client {
    const struct curl_api *curl; /* borrowed */
    CURLM *multi;                /* owned */
    struct http_limits limits;
    struct image_tick *tick; /* borrowed */
    bool untrusted;          /* see http_client_untrusted() */
    bool slow;               /* see http_client_slow() */
};

struct http_response {
    struct http_client *client;  /* borrowed */
    const struct curl_api *curl; /* borrowed */
    CURL *easy;                  /* owned */
    struct curl_slist *headers;  /* owned: of the request */
    char error[CURL_ERROR_SIZE];
    unsigned char *body; /* owned: HTTP_BODY_MAX; bytes from start to end wait to be read */
    size_t start, end;
    size_t head; /* bytes of headers so far */
    bool head_too_long;
    bool paused;       /* the library holds a piece that did not fit */
    bool headers_done; /* the last header of the final answer is here */
    bool ended;
    CURLcode result; /* once it has ended */
    bool seen;       /* a byte came since the flag was last cleared */
    /* Of the body's speed, since it was last measured: what came, and how long it was waited for.
     * The time in which the caller does something else is not the peer's. */
    uint64_t came, waited_ms;
};

/* http-setup.c: makes the transfer what @request says. */
int http_setup(struct http_response *r, const struct http_request *request, mvm_error **err);

#endif
