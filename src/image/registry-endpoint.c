/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One host that has the images. Nothing is asked beforehand: the first request for something of use
 * finds out how it is reached (https everywhere; http only on loopback hosts, on insecure ones and
 * where a mirror's URL says so, after https) and what authentication it wants.
 */
#include "base/scan.h"
#include "image/registry-internal.h"

static int make_root(struct endpoint *e, enum registry_scheme scheme, mvm_error **err)
{
    if (asprintf(&e->roots[scheme], "%s://%s", scheme == REGISTRY_HTTPS ? "https" : "http",
                 e->host) < 0) {
        e->roots[scheme] = NULL;
        return mvm_fail_nomem(err);
    }
    return url_parse(e->roots[scheme], &e->urls[scheme], err);
}

/* Entries are compared as URLs, so that "host" and "host:443" are the same. */
static bool is_insecure(const struct endpoint *e)
{
    for (size_t i = 0; i < e->options->insecure.n; i++) {
        mvm_autovalue(url) url = { 0 };
        mvm_autofree char *text = NULL;

        if (asprintf(&text, "https://%s", e->options->insecure.items[i]) < 0) {
            text = NULL;
            return false; /* the safe side */
        }
        if (url_parse(text, &url, NULL) == 0 && url_same_host(&url, &e->urls[REGISTRY_HTTPS]))
            return true;
    }
    return false;
}

static int init_names(struct endpoint *e, const struct registry *g,
                      const struct registry_mirror *mirror)
{
    const char *host = mirror ? strstr(mirror->url, "://") + 3 : NULL;
    size_t n = host ? strcspn(host, "/") : 0;

    e->host = mirror ? strndup(host, n) : strdup(oci_registry_host(g->ref->registry));
    e->name = mirror ? strndup(host, n) : strdup(g->ref->registry);
    e->mirror = mirror ? strdup(mirror->url) : NULL;
    if (!mirror || !host[n])
        e->repository = strdup(g->ref->repository);
    else if (asprintf(&e->repository, "%s/%s", host + n + 1, g->ref->repository) < 0)
        e->repository = NULL;
    return e->host && e->name && e->repository && (!mirror || e->mirror) ? 0 : -1;
}

static int init_lock(struct endpoint *e, mvm_error **err)
{
    pthread_condattr_t attributes;
    int r = pthread_mutex_init(&e->lock, NULL);

    if (r == 0)
        r = pthread_condattr_init(&attributes);
    if (r == 0)
        r = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (r == 0)
        r = pthread_cond_init(&e->turn_given, &attributes);
    return r == 0 ? 0 : mvm_fail(err, MVM_E_SYS, r, "make a lock");
}

int endpoint_init(struct endpoint *e, const struct registry *g,
                  const struct registry_mirror *mirror, mvm_error **err)
{
    bool http = mirror && scan_has_prefix(mirror->url, "http://");
    int r;

    *e = (struct endpoint){ .options = g->options,
                            .auth = g->auth,
                            .log = g->log,
                            .tries = mirror ? 1 : REGISTRY_TRIES,
                            .scheme = REGISTRY_SCHEMES };
    r = init_lock(e, err);
    if (r < 0)
        return r;
    if (init_names(e, g, mirror) < 0)
        return mvm_fail_nomem(err);
    r = make_root(e, REGISTRY_HTTPS, err);
    if (r == 0)
        r = make_root(e, REGISTRY_HTTP, err);
    if (r < 0)
        return r;
    e->insecure = is_insecure(e);
    e->may[REGISTRY_HTTPS] = !http;
    e->may[REGISTRY_HTTP] = http ||
                            (!mirror &&
                             (e->insecure || url_host_is_loopback(e->urls[REGISTRY_HTTP].host)));
    return 0;
}

void endpoint_deinit(struct endpoint *e)
{
    free(e->mirror);
    free(e->name);
    free(e->host);
    free(e->repository);
    for (int i = 0; i < REGISTRY_SCHEMES; i++) {
        free(e->roots[i]);
        url_deinit(&e->urls[i]);
    }
    challenge_deinit(&e->challenge);
    credentials_deinit(&e->credentials);
    free(e->no_credentials);
    free(e->token);
    (void) pthread_cond_destroy(&e->turn_given);
    (void) pthread_mutex_destroy(&e->lock);
}

enum registry_scheme endpoint_scheme(struct endpoint *e)
{
    enum registry_scheme scheme;

    (void) pthread_mutex_lock(&e->lock);
    scheme = e->scheme;
    (void) pthread_mutex_unlock(&e->lock);
    return scheme;
}

void endpoint_set_scheme(struct endpoint *e, enum registry_scheme scheme)
{
    (void) pthread_mutex_lock(&e->lock);
    if (e->scheme == REGISTRY_SCHEMES)
        e->scheme = scheme;
    (void) pthread_mutex_unlock(&e->lock);
}

bool endpoint_is_avoided(struct endpoint *e)
{
    bool avoided;

    (void) pthread_mutex_lock(&e->lock);
    avoided = e->avoided;
    (void) pthread_mutex_unlock(&e->lock);
    return avoided;
}

void endpoint_avoid(struct endpoint *e)
{
    (void) pthread_mutex_lock(&e->lock);
    e->avoided = true;
    (void) pthread_mutex_unlock(&e->lock);
}

/* Sends; a 401 brings a challenge, what it asks for, and another try. A token that is refused is
 * renewed once; a password is not better the second time. */
static int send_authorized(struct endpoint *e, struct http_client *c, const char *url,
                           const struct registry_request *rq, struct http_response **ret,
                           mvm_error **err)
{
    for (unsigned refused = 0;;) {
        mvm_auto(http_response) response = NULL;
        mvm_autofree char *authorization = NULL;
        struct registry_request with = *rq;
        int r = endpoint_authorize(e, c, &authorization, err);

        if (r < 0)
            return r;
        with.authorization = authorization;
        with.authorized = &e->urls[rq->scheme];
        r = registry_send(e, c, url, &with, &response, err);
        if (r < 0)
            return r;
        if (authorization)
            refused++;
        if (http_status(response) != 401 || refused > 1 ||
            (authorization && scan_has_prefix(authorization, "Basic "))) {
            *ret = steal_ptr(&response);
            return 0;
        }
        r = endpoint_challenged(e, c, response, authorization, err);
        if (r < 0)
            return r;
    }
}

static int get_by(struct endpoint *e, struct http_client *c, const char *path,
                  const struct registry_request *rq, struct http_response **ret, mvm_error **err)
{
    mvm_auto(http_response) response = NULL;
    mvm_autofree char *url = NULL;
    long status;
    int r;

    if (asprintf(&url, "%s%s", e->roots[rq->scheme], path) < 0) {
        url = NULL;
        return mvm_fail_nomem(err);
    }
    r = send_authorized(e, c, url, rq, &response, err);
    if (r < 0)
        return endpoint_explain(e, c, r, err);
    status = http_status(response);
    if (status != 200 && !(status == 206 && rq->range_from > 0))
        return endpoint_explain(e, c, registry_fail(response, "GET", url, err), err);
    *ret = steal_ptr(&response);
    return 0;
}

/* https, and http where nobody speaks https: both reasons are told when neither answers. A peer
 * whose certificate is not trusted speaks https. */
static int get_by_any(struct endpoint *e, struct http_client *c, const char *path,
                      const struct registry_request *rq, struct http_response **ret,
                      mvm_error **err)
{
    struct registry_request with = *rq;
    mvm_autoerror mvm_error *first = NULL;
    int r;

    with.scheme = REGISTRY_HTTPS;
    with.tries = 1;
    r = get_by(e, c, path, &with, ret, &first);
    if (r == 0)
        return 0;
    if (r != MVM_E_NET || endpoint_scheme(e) != REGISTRY_SCHEMES || http_client_untrusted(c)) {
        error_move(err, steal_ptr(&first));
        return r;
    }
    with.scheme = REGISTRY_HTTP;
    with.tries = rq->tries;
    r = get_by(e, c, path, &with, ret, err);
    return r < 0 && endpoint_scheme(e) == REGISTRY_SCHEMES
               ? mvm_context(err, r, "%s; and by http", mvm_error_message(first))
               : r;
}

int endpoint_get(struct endpoint *e, struct http_client *c, const char *path,
                 const struct registry_request *rq, struct http_response **ret, mvm_error **err)
{
    struct registry_request with = *rq;

    with.scheme = endpoint_scheme(e);
    if (with.scheme == REGISTRY_SCHEMES && e->may[REGISTRY_HTTPS] && e->may[REGISTRY_HTTP])
        return get_by_any(e, c, path, rq, ret, err);
    if (with.scheme == REGISTRY_SCHEMES)
        with.scheme = e->may[REGISTRY_HTTPS] ? REGISTRY_HTTPS : REGISTRY_HTTP;
    return get_by(e, c, path, &with, ret, err);
}
