/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A registry as a source is a list of endpoints: its mirrors in the user's order, then itself. Each
 * is asked for the same repository, speaks for itself alone (scheme, certificates, challenge,
 * credentials), and is asked only when those before it had nothing to give.
 *
 * Blobs are read by several threads, each with an HTTP client of its own. What they share is an
 * endpoint's authentication: whoever reads or renews it takes a turn, and the others wait, ticking.
 */
#ifndef IMAGE_REGISTRY_INTERNAL_H
#define IMAGE_REGISTRY_INTERNAL_H

#include "image/auth.h"
#include "image/http.h"
#include "image/registry-challenge.h"
#include "image/registry-options.h"
#include "image/source.h"
#include "image/url.h"

#include <pthread.h>

/* Redirects followed for one request (image.md I-79, I-87). */
#define REGISTRY_REDIRECTS_MAX 10
/* Requests in all before a temporary failure counts (image.md I-90). */
#define REGISTRY_TRIES 3

/* Clients kept for later: as many as read layers at the same time. */
#define REGISTRY_IDLE_MAX 8
/* Warnings remembered, so that each is shown once. */
#define REGISTRY_WARNINGS_MAX 64

enum registry_scheme {
    REGISTRY_HTTPS = 0,
    REGISTRY_HTTP = 1,
    REGISTRY_SCHEMES = 2 /* their number; also: not known yet */
};

struct endpoint {
    const struct registry_options *options; /* borrowed */
    const struct auth_store *auth;          /* borrowed */
    const struct log *log;                  /* borrowed */
    char *mirror;                           /* owned: as the user gave it; NULL: the registry */
    char *name;                             /* owned: under which its credentials are kept */
    char *host;                             /* owned: "host[:port]" */
    char *repository;                       /* owned */
    char *roots[REGISTRY_SCHEMES];          /* owned: "https://host[:port]" */
    struct url urls[REGISTRY_SCHEMES];      /* their parts */
    bool may[REGISTRY_SCHEMES];             /* which schemes may be tried */
    bool insecure;                          /* the user says so */
    unsigned tries;

    pthread_mutex_t lock; /* of the next three */
    pthread_cond_t turn_given;
    bool turn_taken;
    enum registry_scheme scheme; /* by which it has answered */
    bool avoided;                /* a mirror that could not be reached */

    /* Of who has the turn. */
    struct challenge challenge; /* what it asked for; CHALLENGE_NONE: nothing */
    struct credentials credentials;
    bool credentials_known;  /* they have been looked up */
    char *no_credentials;    /* owned: why that failed; NULL: it did not */
    char *token;             /* owned; NULL: none */
    uint64_t token_until_ms; /* on the monotonic clock */
};

struct registry {
    struct image_source base;
    const struct oci_reference *ref;        /* borrowed */
    const struct registry_options *options; /* borrowed */
    struct registry_options no_options;     /* where the caller has none */
    struct image_tick *tick;                /* borrowed: of the documents */
    const struct log *log;                  /* borrowed */
    struct auth_store *auth;                /* owned */
    struct endpoint *endpoints;             /* owned */
    size_t n;
    struct source_document named;                /* what the name led to, until it is asked for */
    struct strv warnings;                        /* that were shown */
    pthread_mutex_t lock;                        /* of the clients */
    struct http_client *idle[REGISTRY_IDLE_MAX]; /* owned: with connections to be used again */
    size_t n_idle;
};

/* registry.c: a client for one thread, with its tick; given back without a response. */
int registry_take_client(struct registry *g, struct image_tick *tick, struct http_client **ret,
                         mvm_error **err);
void registry_give_client(struct registry *g, struct http_client *c); /* NULL is fine */
/* Asks the endpoints from *@at on, in order, until one has it; *@at is then that one. Mirrors that
 * could not be reached before are left out. The registry's own error is the one that counts. */
typedef int endpoint_fn(struct endpoint *e, void *user, mvm_error **err);
int registry_try_each(struct registry *g, size_t *at, endpoint_fn *fn, void *user, mvm_error **err);

/* A request to be sent, wherever redirects lead. */
struct registry_request {
    const char *accept;
    const char *form; /* POST, to one host alone; NULL: GET */
    uint64_t range_from;
    const char *if_range;
    const char *authorization;    /* for this host and scheme alone; NULL: none */
    const struct url *authorized; /* that host */
    enum registry_scheme scheme;  /* by which the registry is asked */
    unsigned tries;               /* at least 1 */
    bool foreign;                 /* to another place that the manifest names */
};

/* registry-request.c: sends to @url with retries and redirects; any status is an answer. */
int registry_send(struct endpoint *e, struct http_client *c, const char *url,
                  const struct registry_request *rq, struct http_response **ret, mvm_error **err);
/* May the registry @from send us to @to? To itself always; elsewhere only by https (unless it has
 * only http itself, or is @insecure) and not to a literal internal address, nor to this machine
 * unless it is there itself. */
int registry_check_target(const struct url *from, bool insecure, const char *to, const char *what,
                          mvm_error **err);

/* registry-endpoint.c */
int endpoint_init(struct endpoint *e, const struct registry *g,
                  const struct registry_mirror *mirror, mvm_error **err);
void endpoint_deinit(struct endpoint *e);
enum registry_scheme endpoint_scheme(struct endpoint *e);
void endpoint_set_scheme(struct endpoint *e, enum registry_scheme scheme);
bool endpoint_is_avoided(struct endpoint *e);
void endpoint_avoid(struct endpoint *e);
/* GET of @path with the endpoint's own authentication; 200 or 206, else an error. */
int endpoint_get(struct endpoint *e, struct http_client *c, const char *path,
                 const struct registry_request *rq, struct http_response **ret, mvm_error **err);

/* registry-auth.c: the value of an Authorization header, owned by the caller; NULL while nothing
 * was asked for. Gets a token if the registry wants one and there is none that lives long enough.
 */
int endpoint_authorize(struct endpoint *e, struct http_client *c, char **ret, mvm_error **err);
/* Reads the challenges of a 401 that @used (NULL: nothing) got, and looks for credentials. */
int endpoint_challenged(struct endpoint *e, struct http_client *c, struct http_response *r,
                        const char *used, mvm_error **err);
/* Adds to an error that credentials would have helped, and why there are none. */
int endpoint_explain(struct endpoint *e, struct http_client *c, int r, mvm_error **err);

/* registry-token.c: asks the realm for a token. The caller has the turn. */
int token_fetch(struct endpoint *e, struct http_client *c, mvm_error **err);
/* registry-auth.c: the value of a header for a user name and a password; NULL without them. */
int credentials_basic(const struct credentials *c, char **ret, mvm_error **err);

/* registry-error.c: the error of an answer that is not what was wanted. */
int registry_fail(struct http_response *r, const char *method, const char *url, mvm_error **err);

/* registry-foreign.c: GET of a blob from a URL of its descriptor, without credentials; 200 or 206,
 * else an error. @e is the registry. */
int registry_foreign_get(struct endpoint *e, struct http_client *c, const char *url,
                         const struct registry_request *rq, struct http_response **ret,
                         mvm_error **err);
/* May a manifest of the registry send us to @to? By https, or by http where the registry may be
 * asked so, and as url_may_lead() says. */
int registry_check_foreign(const struct endpoint *e, const char *to, mvm_error **err);

/* registry-blob.c */
int registry_open_blob(struct image_source *base, const struct oci_descriptor *d,
                       struct image_tick *tick, struct blob_reader **ret, mvm_error **err);

#endif
