/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP, pulled: http_send() returns when the headers are here, http_read() gives the body as fast
 * as the caller takes it, and the connection stands still while the caller is busy. One client, one
 * thread at a time.
 *
 * Redirects are not followed and no credentials are added: that is the registry's business, which
 * knows who may get them. The environment's proxies are used (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY,
 * NO_PROXY), but not for loopback: a proxy has another one.
 */
#ifndef IMAGE_HTTP_H
#define IMAGE_HTTP_H

#include "image/tick.h"

#include <sys/types.h>

/* A connection that is not made in this time, a peer that sends no byte for so long (image.md I-88,
 * I-89). */
#define HTTP_CONNECT_MS 30000
#define HTTP_STALL_MS 60000
/* A body that comes slower than this, averaged over this time of waiting for it, is as good as
 * standing still: a modem brings more, and a peer that drips would else hold a pull for months. The
 * time is that of a stall where that is longer. */
#define HTTP_RATE_MIN 1024 /* bytes a second */
#define HTTP_SLOW_MS 60000
/* Bytes after which a peer that was too slow has made up for it. */
#define HTTP_SLOW_FORGIVEN (1u << 20)
/* All of the head has to be there in so many times that of a stall. */
#define HTTP_HEAD_STALLS 5
#define HTTP_LIMITS_DEFAULT                                                                \
    {                                                                                      \
        .connect_ms = HTTP_CONNECT_MS, .stall_ms = HTTP_STALL_MS, .slow_ms = HTTP_SLOW_MS, \
    }
/* All headers of an answer, those of interim ones included: registries send some 2 KiB. */
#define HTTP_HEAD_MAX (256u << 10)

struct http_limits {
    uint64_t connect_ms;
    uint64_t stall_ms;
    uint64_t slow_ms;
};

struct http_client;
/* @tick is borrowed. */
int http_client_new(const struct http_limits *limits, struct image_tick *tick,
                    struct http_client **ret, mvm_error **err);
void http_client_free(struct http_client *c);
MVM_DEFINE_AUTO(http_client, http_client_free)
/* Another thread may take the client over, with its own tick, while it has no response. */
void http_client_set_tick(struct http_client *c, struct image_tick *tick);
/* From the next request on. */
void http_client_set_stall(struct http_client *c, uint64_t stall_ms);
struct image_tick *http_client_tick(const struct http_client *c);
/* The last request got no answer because the peer's certificate is not one that we trust. */
bool http_client_untrusted(const struct http_client *c);
/* The last body was given up because it came too slowly. */
bool http_client_slow(const struct http_client *c);

/* Whom to trust beyond the system's own certificates, and what to show. */
struct http_tls {
    char *ca; /* owned: certificates in PEM, may be several; NULL: none */
    size_t ca_len;
    char *cert; /* owned: path of a client certificate, with its key; NULL: none */
    char *key;
    bool unverified; /* the peer may be anybody */
};

struct http_request {
    const char *url;
    const char *accept;         /* NULL: anything */
    const char *authorization;  /* value of the header; NULL: none */
    const char *form;           /* body of a POST; NULL: GET */
    uint64_t range_from;        /* 0: all of it */
    const char *if_range;       /* the entity tag that the range is of; NULL: not known */
    const char *unix_socket;    /* path of the socket that leads to the peer; NULL: its address */
    const struct http_tls *tls; /* NULL: the system's certificates alone */
};

struct http_response;
/* @c must outlive the response. MVM_E_NET when there is no answer; *ret_retryable tells
 * whether another try may help. */
int http_send(struct http_client *c, const struct http_request *request, struct http_response **ret,
              bool *ret_retryable, mvm_error **err);
void http_response_free(struct http_response *r);
MVM_DEFINE_AUTO(http_response, http_response_free)

long http_status(const struct http_response *r);
/* The value of the @n-th header of this name; NULL when there is none. Borrowed. */
const char *http_header(struct http_response *r, const char *name, size_t n);
/* Where a redirect leads, as an absolute URL; NULL: nowhere. Borrowed. */
const char *http_redirect_url(struct http_response *r);
bool http_length(struct http_response *r, uint64_t *ret);
/* Up to @len bytes of the body, 0 at its end; MVM_E_NET when the peer broke off, stood still
 * or was too slow. */
ssize_t http_read(struct http_response *r, void *data, size_t len, mvm_error **err);
/* The whole body; more than @max bytes is MVM_E_LIMIT. *ret is NUL-ended. */
int http_read_all(struct http_response *r, size_t max, char **ret, size_t *ret_len,
                  mvm_error **err);

#endif
