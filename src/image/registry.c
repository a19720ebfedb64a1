/* SPDX-License-Identifier: Apache-2.0 */
/* A registry as a source (OCI distribution-spec, Pull). */
#include "image/registry-internal.h"

#include "image/registry-headers.h"

int registry_take_client(struct registry *g, struct image_tick *tick, struct http_client **ret,
                         mvm_error **err)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct http_client *c = NULL;

    (void) pthread_mutex_lock(&g->lock);
    if (g->n_idle > 0)
        c = g->idle[--g->n_idle];
    (void) pthread_mutex_unlock(&g->lock);
    if (c) {
        http_client_set_tick(c, tick);
        *ret = c;
        return 0;
    }
    if (g->options->stall_ms > 0)
        limits.stall_ms = g->options->stall_ms;
    if (g->options->slow_ms > 0)
        limits.slow_ms = g->options->slow_ms;
    return http_client_new(&limits, tick, ret, err);
}

void registry_give_client(struct registry *g, struct http_client *c)
{
    if (!c)
        return;
    (void) pthread_mutex_lock(&g->lock);
    if (g->n_idle < REGISTRY_IDLE_MAX)
        g->idle[g->n_idle++] = steal_ptr(&c);
    (void) pthread_mutex_unlock(&g->lock);
    http_client_free(c);
}

/* A mirror need not have everything, but one that fails otherwise is worth a word. */
static bool may_go_on(struct endpoint *e, int r, const mvm_error *why)
{
    if (!e->mirror || r == MVM_E_CANCELLED || r == MVM_E_NOMEM)
        return false;
    if (r == MVM_E_NOT_FOUND)
        log_debug(e->log, "registry", "mirror %s: %s", e->mirror, mvm_error_message(why));
    else
        log_warning(e->log, "registry", "mirror %s: %s", e->mirror, mvm_error_message(why));
    if (r == MVM_E_NET)
        endpoint_avoid(e);
    return true;
}

int registry_try_each(struct registry *g, size_t *at, endpoint_fn *fn, void *user, mvm_error **err)
{
    mvm_autoerror mvm_error *mirror = NULL;

    for (size_t i = *at;; i++) {
        struct endpoint *e = &g->endpoints[i];
        mvm_autoerror mvm_error *why = NULL;
        int r;

        if (e->mirror && endpoint_is_avoided(e))
            continue;
        r = fn(e, user, &why);
        if (r == 0) {
            *at = i;
            return 0;
        }
        if (may_go_on(e, r, why)) {
            (void) mvm_context(&why, r, "mirror %s", e->mirror);
            mvm_error_free(mirror);
            mirror = steal_ptr(&why);
            continue;
        }
        error_move(err, steal_ptr(&why));
        return mirror && r != MVM_E_CANCELLED
                   ? mvm_context(err, r, "%s; and the registry itself", mvm_error_message(mirror))
                   : r;
    }
}

static void show_warnings(struct registry *g, const struct endpoint *e,
                          struct http_response *response)
{
    const char *value;

    for (size_t i = 0; (value = http_header(response, "Warning", i)) != NULL; i++) {
        mvm_autofree char *text = warning_text(value);
        bool known = !text || g->warnings.n == REGISTRY_WARNINGS_MAX;

        for (size_t k = 0; !known && k < g->warnings.n; k++)
            known = strcmp(g->warnings.items[k], text) == 0;
        if (known || strv_add(&g->warnings, text) < 0)
            continue;
        log_warning(g->log, "registry", "%s: %s", e->host, text);
    }
}

/* What is asked for, and what came. */
struct document_request {
    struct registry *registry;
    struct http_client *client;
    const char *what;            /* a tag or a digest */
    const struct digest *digest; /* NULL: whatever the tag means */
    const uint64_t *size;        /* NULL: unknown */
    struct source_document doc;
};

static int check_document(const struct document_request *q, const struct source_document *doc,
                          mvm_error **err)
{
    if (q->size && doc->len != *q->size)
        return mvm_fail(err, MVM_E_DIGEST, 0, "manifest %s: %zu bytes, index says %llu", q->what,
                        doc->len, (unsigned long long) *q->size);
    return q->digest ? source_document_check(doc, q->digest, err) : 0;
}

static int read_document(struct endpoint *e, struct document_request *q, const char *path,
                         struct source_document *doc, mvm_error **err)
{
    const struct registry_request rq = { .accept = OCI_ACCEPT_MANIFEST, .tries = e->tries };
    mvm_auto(http_response) response = NULL;
    const char *type;
    size_t max;
    int r = endpoint_get(e, q->client, path, &rq, &response, err);

    if (r < 0)
        return r;
    show_warnings(q->registry, e, response);
    type = http_header(response, "Content-Type", 0);
    doc->media_type = strdup(type ? type : "");
    if (!doc->media_type)
        return mvm_fail_nomem(err);
    max = oci_media_type_kind(type) == OCI_MEDIA_MANIFEST ? OCI_MANIFEST_MAX : OCI_INDEX_MAX;
    r = http_read_all(response, max, &doc->text, &doc->len, err);
    return r < 0 ? mvm_context(err, r, "GET %s%s", e->roots[endpoint_scheme(e)], path) : 0;
}

static int document_at(struct endpoint *e, void *user, mvm_error **err)
{
    struct document_request *q = user;
    mvm_autovalue(source_document) doc = { 0 };
    mvm_autofree char *path = NULL;
    int r;

    if (asprintf(&path, "/v2/%s/manifests/%s", e->repository, q->what) < 0) {
        path = NULL;
        return mvm_fail_nomem(err);
    }
    r = read_document(e, q, path, &doc, err);
    if (r == 0)
        r = check_document(q, &doc, err);
    if (r < 0)
        return r;
    q->doc = doc;
    doc = (struct source_document){ 0 };
    return 0;
}

static int get_document(struct registry *g, struct document_request *q, struct source_document *ret,
                        mvm_error **err)
{
    size_t at = 0;
    int r = registry_take_client(g, g->tick, &q->client, err);

    if (r < 0)
        return r;
    q->registry = g;
    r = registry_try_each(g, &at, document_at, q, err);
    registry_give_client(g, q->client);
    if (r == 0)
        *ret = q->doc;
    return r;
}

static int get_named(struct registry *g, struct source_document *ret, mvm_error **err)
{
    const struct oci_reference *ref = g->ref;
    const struct digest_text digest = ref->has_digest ? digest_format(&ref->digest)
                                                      : (struct digest_text){ "" };
    struct document_request q = { .what = ref->has_digest ? digest.text : ref->tag,
                                  .digest = ref->has_digest ? &ref->digest : NULL };

    return get_document(g, &q, ret, err);
}

/* A name is one document here; the index in it is chosen from by who asked. */
static int registry_open_name(struct image_source *base, const struct oci_platform *want,
                              struct source_document *ret, mvm_error **err)
{
    struct registry *g = (struct registry *) base;

    (void) want;
    if (!g->named.text)
        return get_named(g, ret, err);
    *ret = g->named;
    g->named = (struct source_document){ 0 };
    return 0;
}

/* An index stands for the same image of a platform as long as it is the same, so that the manifest
 * in it need not be asked for again. A manifest is what an image is known by anyway. */
static int registry_identify(struct image_source *base, const struct oci_platform *want, char **ret,
                             mvm_error **err)
{
    struct registry *g = (struct registry *) base;
    struct digest digest;
    int r = 0;

    (void) want;
    *ret = NULL;
    if (!g->named.text)
        r = get_named(g, &g->named, err);
    if (r < 0 || oci_media_type_kind(g->named.media_type) != OCI_MEDIA_INDEX)
        return r;
    r = digest_of(DIGEST_SHA256, g->named.text, g->named.len, &digest, err);
    if (r == 0 && asprintf(ret, "index %s", digest_format(&digest).text) < 0) {
        *ret = NULL;
        return mvm_fail_nomem(err);
    }
    return r;
}

/* The type that a verified descriptor gives beats the one of the answer (OCI image-spec,
 * media-types.md, Media Type Conflicts). */
static int registry_open_manifest(struct image_source *base, const struct oci_descriptor *d,
                                  struct source_document *ret, mvm_error **err)
{
    const struct digest_text digest = digest_format(&d->digest);
    struct document_request q = { .what = digest.text, .digest = &d->digest, .size = &d->size };
    mvm_autovalue(source_document) doc = { 0 };
    int r = get_document((struct registry *) base, &q, &doc, err);

    if (r < 0)
        return r;
    if (text_replace(&doc.media_type, d->media_type) < 0)
        return mvm_fail_nomem(err);
    *ret = doc;
    doc = (struct source_document){ 0 };
    return 0;
}

/* Which of the mirrors it was is not known, and the registry has what it says. The answer is the
 * same for every thread, whoever is first. */
static bool registry_doubt(struct image_source *base)
{
    struct registry *g = (struct registry *) base;

    for (size_t i = 0; i + 1 < g->n; i++) {
        struct endpoint *e = &g->endpoints[i];

        if (endpoint_is_avoided(e))
            continue;
        log_warning(g->log, "registry", "mirror %s: not asked any more, since content was wrong",
                    e->mirror);
        endpoint_avoid(e);
    }
    return g->n > 1;
}

static void registry_free(struct image_source *base)
{
    struct registry *g = (struct registry *) base;

    while (g->n_idle > 0)
        http_client_free(g->idle[--g->n_idle]);
    for (size_t i = 0; i < g->n; i++)
        endpoint_deinit(&g->endpoints[i]);
    free(g->endpoints);
    auth_store_free(g->auth);
    source_document_deinit(&g->named);
    strv_deinit(&g->warnings);
    (void) pthread_mutex_destroy(&g->lock);
    free(g);
}

static int add_endpoints(struct registry *g, mvm_error **err)
{
    const struct registry_options *o = g->options;
    int r = 0;

    g->endpoints = mem_array(o->n_mirrors + 1, sizeof(*g->endpoints));
    if (!g->endpoints)
        return mvm_fail_nomem(err);
    for (size_t i = 0; r == 0 && i < o->n_mirrors; i++) {
        if (strcmp(o->mirrors[i].registry, g->ref->registry) != 0)
            continue;
        r = endpoint_init(&g->endpoints[g->n++], g, &o->mirrors[i], err);
        if (r < 0)
            return mvm_context(err, r, "mirror %s", o->mirrors[i].url);
    }
    return endpoint_init(&g->endpoints[g->n++], g, NULL, err);
}

int registry_source_open(const struct oci_reference *ref, const struct registry_options *options,
                         struct image_tick *tick, const struct log *log, struct image_source **ret,
                         mvm_error **err)
{
    mvm_auto(image_source) source = NULL;
    struct registry *g = calloc(1, sizeof(*g));
    int r;

    if (!g)
        return mvm_fail_nomem(err);
    (void) pthread_mutex_init(&g->lock, NULL); /* fails for no default attributes (glibc) */
    g->base = (struct image_source){ .identify = registry_identify,
                                     .open_name = registry_open_name,
                                     .open_manifest = registry_open_manifest,
                                     .open_blob = registry_open_blob,
                                     .doubt = registry_doubt,
                                     .free = registry_free };
    source = &g->base;
    g->ref = ref;
    g->options = options ? options : &g->no_options;
    g->tick = tick;
    g->log = log;
    r = auth_store_open(g->options->auth_file, &g->auth, err);
    if (r == 0)
        r = add_endpoints(g, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&source);
    return 0;
}
