/* SPDX-License-Identifier: Apache-2.0 */
/* One registry, for one repository. */
#ifndef IMAGE_REGISTRY_INTERNAL_H
#define IMAGE_REGISTRY_INTERNAL_H

#include "image/http.h"
#include "image/registry-challenge.h"
#include "image/source.h"
#include "image/url.h"

/* Redirects followed for one request (image.md I-79, I-87). */
#define REGISTRY_REDIRECTS_MAX 10

struct registry {
    struct image_source base;
    const struct oci_reference *ref; /* borrowed */
    struct image_tick *tick;         /* borrowed */
    const struct log *log;           /* borrowed */
    struct http_client *http;        /* owned */
    char *root;                      /* owned: "https://host:port"; NULL before the first request */
    struct url url;                  /* its parts */
    struct challenge challenge;      /* what the registry asked for; CHALLENGE_NONE: nothing */
    char *token;                     /* owned; NULL: none */
    uint64_t token_until_ms;         /* on the monotonic clock */
};

/* A request to be sent, wherever redirects lead. */
struct registry_request {
    const char *accept;
    uint64_t range_from;
    bool with_token; /* the registry's own token goes along to its own host */
    unsigned tries;  /* at least 1 */
};

/* registry-request.c: GET of @url with retries and redirects; any status is an answer. */
int registry_send(struct registry *g, const char *url, const struct registry_request *rq,
                  struct http_response **ret, mvm_error **err);
/* May the registry send us to @to? To itself always; elsewhere only by https (unless it has only
 * http itself) and not to a literal internal address. */
int registry_check_target(const struct registry *g, const char *to, const char *what,
                          mvm_error **err);

/* registry-auth.c: reads the challenges of a 401. */
int registry_read_challenge(struct registry *g, struct http_response *r, mvm_error **err);
/* Gets a token if the registry wants one and there is none, or none that lives long enough. */
int registry_ensure_token(struct registry *g, mvm_error **err);

/* registry-error.c: the error of an answer that is not what was wanted. */
int registry_fail(struct http_response *r, const char *url, mvm_error **err);

/* registry.c: GET of @path with the registry's own authentication; 200 or 206, else an error. */
int registry_get(struct registry *g, const char *path, const struct registry_request *rq,
                 struct http_response **ret, mvm_error **err);
/* registry-blob.c */
int registry_open_blob(struct image_source *base, const struct oci_descriptor *d,
                       struct image_tick *tick, struct blob_reader **ret, mvm_error **err);

#endif
