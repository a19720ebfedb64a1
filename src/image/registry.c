/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A registry as a source (OCI distribution-spec, Pull). The first request finds out how it is
 * reached and what it asks for: https everywhere, and http only on loopback hosts, where https is
 * tried first.
 */
#include "image/registry-internal.h"

/* Most bytes of one warning (distribution-spec, Warnings). */
#define WARNING_MAX 4096

static int ping(struct registry *g, const char *scheme, unsigned tries, struct http_response **ret,
                mvm_error **err)
{
    const struct registry_request rq = { .tries = tries };
    mvm_autofree char *url = NULL;
    int r;

    free(steal_ptr(&g->root));
    url_deinit(&g->url);
    if (asprintf(&g->root, "%s://%s", scheme, oci_registry_host(g->ref->registry)) < 0) {
        g->root = NULL;
        return mvm_fail_nomem(err);
    }
    r = url_parse(g->root, &g->url, err);
    if (r < 0)
        return r;
    if (asprintf(&url, "%s/v2/", g->root) < 0) {
        url = NULL;
        return mvm_fail_nomem(err);
    }
    return registry_send(g, url, &rq, ret, err);
}

/* With http where that may be: both reasons are told when neither answers. */
static int ping_any(struct registry *g, struct http_response **ret, mvm_error **err)
{
    mvm_autovalue(url) url = { 0 };
    mvm_autofree char *root = NULL;
    mvm_autoerror mvm_error *first = NULL;
    int r;

    if (asprintf(&root, "https://%s", oci_registry_host(g->ref->registry)) < 0) {
        root = NULL;
        return mvm_fail_nomem(err);
    }
    r = url_parse(root, &url, err);
    if (r < 0)
        return r;
    if (!url_host_is_loopback(url.host))
        return ping(g, "https", 3, ret, err);
    r = ping(g, "https", 1, ret, &first);
    if (r != MVM_E_NET) {
        error_move(err, steal_ptr(&first));
        return r;
    }
    r = ping(g, "http", 3, ret, err);
    return r < 0 ? mvm_context(err, r, "%s; and by http", mvm_error_message(first)) : 0;
}

static int connect_registry(struct registry *g, mvm_error **err)
{
    mvm_auto(http_response) response = NULL;
    int r;

    if (g->root)
        return 0;
    r = ping_any(g, &response, err);
    if (r == 0 && http_status(response) == 401)
        r = registry_read_challenge(g, response, err);
    else if (r == 0 && http_status(response) != 200) {
        mvm_autofree char *url = NULL;

        if (asprintf(&url, "%s/v2/", g->root) < 0) {
            url = NULL;
            return mvm_fail_nomem(err);
        }
        r = registry_fail(response, url, err);
    }
    if (r < 0)
        free(steal_ptr(&g->root)); /* nothing is known about it yet */
    return r;
}

/* Sends; a 401 brings a new challenge, one new token and one more try. */
static int send_authorized(struct registry *g, const char *url, const struct registry_request *rq,
                           struct http_response **ret, mvm_error **err)
{
    for (unsigned try = 0;; try++) {
        mvm_auto(http_response) response = NULL;
        int r = registry_ensure_token(g, err);

        if (r == 0)
            r = registry_send(g, url, rq, &response, err);
        if (r < 0)
            return r;
        if (http_status(response) != 401 || try > 0) {
            *ret = steal_ptr(&response);
            return 0;
        }
        r = registry_read_challenge(g, response, err);
        if (r < 0)
            return r;
    }
}

int registry_get(struct registry *g, const char *path, const struct registry_request *rq,
                 struct http_response **ret, mvm_error **err)
{
    mvm_auto(http_response) response = NULL;
    mvm_autofree char *url = NULL;
    long status;
    int r = connect_registry(g, err);

    if (r < 0)
        return r;
    if (asprintf(&url, "%s%s", g->root, path) < 0) {
        url = NULL;
        return mvm_fail_nomem(err);
    }
    r = send_authorized(g, url, rq, &response, err);
    if (r < 0)
        return r;
    status = http_status(response);
    if (status != 200 && !(status == 206 && rq->range_from > 0))
        return registry_fail(response, url, err);
    *ret = steal_ptr(&response);
    return 0;
}

static void show_warnings(struct registry *g, struct http_response *response)
{
    const char *text;

    for (size_t i = 0; (text = http_header(response, "Warning", i)) != NULL; i++)
        if (strncmp(text, "299 ", 4) == 0)
            log_warning(g->log, "registry", "%s: %.*s", g->ref->registry, WARNING_MAX, text);
}

static int read_document(struct registry *g, const char *path, struct source_document *ret,
                         mvm_error **err)
{
    const struct registry_request rq = { .accept = OCI_ACCEPT_MANIFEST,
                                         .with_token = true,
                                         .tries = 3 };
    mvm_auto(http_response) response = NULL;
    mvm_autovalue(source_document) doc = { 0 };
    const char *type;
    size_t max;
    int r = registry_get(g, path, &rq, &response, err);

    if (r < 0)
        return r;
    show_warnings(g, response);
    type = http_header(response, "Content-Type", 0);
    doc.media_type = strdup(type ? type : "");
    if (!doc.media_type)
        return mvm_fail_nomem(err);
    max = oci_media_type_kind(type) == OCI_MEDIA_MANIFEST ? OCI_MANIFEST_MAX : OCI_INDEX_MAX;
    r = http_read_all(response, max, &doc.text, &doc.len, err);
    if (r < 0)
        return mvm_context(err, r, "GET %s%s", g->root, path);
    *ret = doc;
    doc = (struct source_document){ 0 };
    return 0;
}

static int check_digest(const struct source_document *doc, const struct digest *want,
                        mvm_error **err)
{
    struct digest digest;
    int r = digest_of(want->algorithm, doc->text, doc->len, &digest, err);

    if (r == 0 && !digest_equal(&digest, want))
        r = mvm_fail(err, MVM_E_DIGEST, 0, "manifest %s: content has the digest %s",
                     digest_format(want).text, digest_format(&digest).text);
    return r;
}

static int manifest_path(const struct registry *g, const char *what, char **ret, mvm_error **err)
{
    if (asprintf(ret, "/v2/%s/manifests/%s", g->ref->repository, what) < 0) {
        *ret = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

static int registry_open_name(struct image_source *base, const struct oci_platform *want,
                              struct source_document *ret, mvm_error **err)
{
    struct registry *g = (struct registry *) base;
    const struct oci_reference *ref = g->ref;
    const struct digest_text digest = ref->has_digest ? digest_format(&ref->digest)
                                                      : (struct digest_text){ "" };
    mvm_autovalue(source_document) doc = { 0 };
    mvm_autofree char *path = NULL;
    int r = manifest_path(g, ref->has_digest ? digest.text : ref->tag, &path, err);

    (void) want; /* a name is one document here; the index in it is chosen from by who asked */
    if (r == 0)
        r = read_document(g, path, &doc, err);
    if (r == 0 && ref->has_digest)
        r = check_digest(&doc, &ref->digest, err);
    if (r < 0)
        return r;
    *ret = doc;
    doc = (struct source_document){ 0 };
    return 0;
}

/* The type that a verified descriptor gives beats the one of the answer (OCI image-spec,
 * media-types.md, Media Type Conflicts). */
static int registry_open_manifest(struct image_source *base, const struct oci_descriptor *d,
                                  struct source_document *ret, mvm_error **err)
{
    struct registry *g = (struct registry *) base;
    const struct digest_text digest = digest_format(&d->digest);
    mvm_autovalue(source_document) doc = { 0 };
    mvm_autofree char *path = NULL;
    int r = manifest_path(g, digest.text, &path, err);

    if (r == 0)
        r = read_document(g, path, &doc, err);
    if (r == 0 && doc.len != d->size)
        r = mvm_fail(err, MVM_E_DIGEST, 0, "manifest %s: %zu bytes, index says %llu", digest.text,
                     doc.len, (unsigned long long) d->size);
    if (r == 0)
        r = check_digest(&doc, &d->digest, err);
    if (r < 0)
        return r;
    free(doc.media_type);
    doc.media_type = strdup(d->media_type);
    if (!doc.media_type)
        return mvm_fail_nomem(err);
    *ret = doc;
    doc = (struct source_document){ 0 };
    return 0;
}

static void registry_free(struct image_source *base)
{
    struct registry *g = (struct registry *) base;

    http_client_free(g->http);
    free(g->root);
    url_deinit(&g->url);
    challenge_deinit(&g->challenge);
    free(g->token);
    free(g);
}

int registry_source_open(const struct oci_reference *ref, struct image_tick *tick,
                         const struct log *log, struct image_source **ret, mvm_error **err)
{
    const struct http_limits limits = HTTP_LIMITS_DEFAULT;
    mvm_auto(image_source) source = NULL;
    struct registry *g = calloc(1, sizeof(*g));
    int r;

    if (!g)
        return mvm_fail_nomem(err);
    g->base = (struct image_source){ .open_name = registry_open_name,
                                     .open_manifest = registry_open_manifest,
                                     .open_blob = registry_open_blob,
                                     .free = registry_free };
    source = &g->base;
    g->ref = ref;
    g->tick = tick;
    g->log = log;
    r = http_client_new(&limits, tick, &g->http, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&source);
    return 0;
}
