/* SPDX-License-Identifier: Apache-2.0 */
#include "image/fetcher.h"

#include <assert.h>

static_assert(sizeof(mvm_fetcher) == 8 + 5 * sizeof(void *), "mvm_fetcher has a hole");

/* One call of the caller's functions, and what it left here. */
struct mvm_fetch {
    struct source_document doc;
    bool has_doc;
    mvm_error *error; /* owned */
};

static void fetch_deinit(struct mvm_fetch *call)
{
    source_document_deinit(&call->doc);
    mvm_error_free(call->error);
}
MVM_DEFINE_AUTOVALUE(mvm_fetch, fetch_deinit)

struct fetcher_source {
    struct image_source base;
    const mvm_fetcher *fetcher;      /* borrowed */
    const struct oci_reference *ref; /* borrowed */
};

struct fetcher_reader {
    struct blob_reader base;
    const mvm_fetcher *fetcher; /* borrowed */
    void *blob;                 /* the caller's */
};

int mvm_fetch_set_manifest(mvm_fetch *call, const void *data, size_t size, const char *media_type)
{
    struct source_document doc = { .len = size };

    if (!call || !data)
        return MVM_E_ARG;
    if (size > OCI_INDEX_MAX) {
        return mvm_fail(&call->error, MVM_E_LIMIT, 0, "%zu bytes, the limit is %u", size,
                        OCI_INDEX_MAX);
    }
    doc.text = malloc(size + 1);
    doc.media_type = strdup(media_type ? media_type : "");
    if (!doc.text || !doc.media_type) {
        source_document_deinit(&doc);
        return mvm_fail_nomem(&call->error);
    }
    memcpy(doc.text, data, size);
    doc.text[size] = '\0';
    source_document_deinit(&call->doc);
    call->doc = doc;
    call->has_doc = true;
    return 0;
}

int mvm_fetch_fail(mvm_fetch *call, int code, const char *message)
{
    if (!call || code >= 0)
        return MVM_E_ARG;
    return mvm_fail(&call->error, code, 0, "%s", message ? message : "no reason given");
}

/* What a function gave back, with what it said about it. */
static int fetch_result(struct mvm_fetch *call, int64_t r, mvm_error **err)
{
    if (r == 0)
        return 0;
    if (r > 0 || r < INT32_MIN)
        return mvm_fail(err, MVM_E_ARG, 0, "the fetcher gave back %lld", (long long) r);
    if (call->error) {
        error_move(err, steal_ptr(&call->error));
        return mvm_context(err, (int) r, "fetcher");
    }
    return mvm_fail(err, (int) r, 0, "the fetcher gives no reason");
}

static int fetch_document(struct fetcher_source *s, const char *reference,
                          const struct oci_platform *want, struct source_document *ret,
                          mvm_error **err)
{
    mvm_autovalue(mvm_fetch) call = { .has_doc = false };
    const struct oci_platform_text platform = want ? oci_platform_format(want)
                                                   : (struct oci_platform_text){ "" };
    int r = s->fetcher->manifest(s->fetcher->user, &call, reference, platform.text);

    r = fetch_result(&call, r, err);
    if (r < 0)
        return r;
    if (!call.has_doc)
        return mvm_fail(err, MVM_E_ARG, 0, "the fetcher gave no manifest");
    *ret = call.doc;
    call.doc = (struct source_document){ 0 };
    return 0;
}

static int fetcher_open_name(struct image_source *base, const struct oci_platform *want,
                             struct source_document *ret, mvm_error **err)
{
    struct fetcher_source *s = (struct fetcher_source *) base;
    mvm_autovalue(source_document) doc = { 0 };
    int r = fetch_document(s, s->ref->name, want, &doc, err);

    if (r == 0 && s->ref->has_digest)
        r = source_document_check(&doc, &s->ref->digest, err);
    if (r < 0)
        return r;
    *ret = doc;
    doc = (struct source_document){ 0 };
    return 0;
}

/* Which document it is, is said by its digest, not by a platform. */
static int fetcher_open_manifest(struct image_source *base, const struct oci_descriptor *d,
                                 struct source_document *ret, mvm_error **err)
{
    struct fetcher_source *s = (struct fetcher_source *) base;
    mvm_autovalue(source_document) doc = { 0 };
    mvm_autofree char *reference = NULL;
    int r;

    if (asprintf(&reference, "%s/%s@%s", s->ref->registry, s->ref->repository,
                 digest_format(&d->digest).text) < 0) {
        reference = NULL;
        return mvm_fail_nomem(err);
    }
    r = fetch_document(s, reference, d->has_platform ? &d->platform : NULL, &doc, err);
    if (r == 0 && doc.len != d->size)
        r = mvm_fail(err, MVM_E_DIGEST, 0, "manifest %s: %zu bytes, index says %llu",
                     digest_format(&d->digest).text, doc.len, (unsigned long long) d->size);
    if (r == 0)
        r = source_document_check(&doc, &d->digest, err);
    if (r < 0)
        return r;
    r = text_replace(&doc.media_type, d->media_type);
    if (r < 0)
        return mvm_fail_nomem(err);
    *ret = doc;
    doc = (struct source_document){ 0 };
    return 0;
}

static ssize_t fetcher_read(struct blob_reader *base, void *data, size_t len, mvm_error **err)
{
    struct fetcher_reader *reader = (struct fetcher_reader *) base;
    const mvm_fetcher *f = reader->fetcher;
    mvm_autovalue(mvm_fetch) call = { .has_doc = false };
    int64_t n = f->read_blob(f->user, &call, reader->blob, data, len);

    if (n > 0 && (uint64_t) n > len)
        return mvm_fail(err, MVM_E_ARG, 0, "the fetcher gave %lld bytes where %zu have room",
                        (long long) n, len);
    return n > 0 ? (ssize_t) n : fetch_result(&call, n, err);
}

static void fetcher_reader_free(struct blob_reader *base)
{
    struct fetcher_reader *reader = (struct fetcher_reader *) base;

    reader->fetcher->close_blob(reader->fetcher->user, reader->blob);
    free(reader);
}

static int fetcher_open_blob(struct image_source *base, const struct oci_descriptor *d,
                             struct image_tick *tick, struct blob_reader **ret, mvm_error **err)
{
    struct fetcher_source *s = (struct fetcher_source *) base;
    const mvm_fetcher *f = s->fetcher;
    const struct digest_text digest = digest_format(&d->digest);
    mvm_autovalue(mvm_fetch) call = { .has_doc = false };
    mvm_autofree struct fetcher_reader *reader = calloc(1, sizeof(*reader));
    int r;

    (void) tick; /* it asks between two reads; how long one of them takes is the caller's affair */
    if (!reader)
        return mvm_fail_nomem(err);
    r = f->open_blob(f->user, &call, s->ref->name, digest.text, d->size, &reader->blob);
    r = fetch_result(&call, r, err);
    if (r < 0)
        return r;
    reader->base = (struct blob_reader){ .read = fetcher_read, .free = fetcher_reader_free };
    reader->fetcher = f;
    *ret = &steal_ptr(&reader)->base;
    return 0;
}

static void fetcher_free(struct image_source *base)
{
    free(base);
}

int fetcher_source_open(const mvm_fetcher *fetcher, const struct oci_reference *ref,
                        struct image_source **ret, mvm_error **err)
{
    struct fetcher_source *s = calloc(1, sizeof(*s));

    if (!s)
        return mvm_fail_nomem(err);
    s->base = (struct image_source){ .open_name = fetcher_open_name,
                                     .open_manifest = fetcher_open_manifest,
                                     .open_blob = fetcher_open_blob,
                                     .free = fetcher_free };
    s->fetcher = fetcher;
    s->ref = ref;
    *ret = &s->base;
    return 0;
}

int fetcher_copy(const mvm_fetcher *from, mvm_fetcher *ret)
{
    const unsigned char *bytes = (const unsigned char *) from;
    mvm_fetcher made = { 0 };
    size_t n = from->struct_size < sizeof(made) ? from->struct_size : sizeof(made);

    if (n < offsetof(mvm_fetcher, user))
        return MVM_E_ARG;
    memcpy(&made, from, n);
    made.struct_size = sizeof(made);
    for (size_t i = sizeof(made); i < from->struct_size; i++)
        if (bytes[i] != 0)
            return MVM_E_UNSUPPORTED;
    if (made.reserved != 0)
        return MVM_E_UNSUPPORTED;
    if (!made.manifest || !made.open_blob || !made.read_blob || !made.close_blob)
        return MVM_E_ARG;
    *ret = made;
    return 0;
}
