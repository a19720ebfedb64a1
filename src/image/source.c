/* SPDX-License-Identifier: Apache-2.0 */
#include "image/source.h"

void blob_reader_free(struct blob_reader *reader)
{
    if (reader)
        reader->free(reader);
}

void image_source_free(struct image_source *source)
{
    if (source)
        source->free(source);
}

bool image_source_doubt(struct image_source *source)
{
    return source->doubt && source->doubt(source);
}

int source_document_check(const struct source_document *doc, const struct digest *want,
                          mvm_error **err)
{
    struct digest digest;
    int r = digest_of(want->algorithm, doc->text, doc->len, &digest, err);

    if (r == 0 && !digest_equal(&digest, want))
        r = mvm_fail(err, MVM_E_DIGEST, 0, "manifest %s: content has the digest %s",
                     digest_format(want).text, digest_format(&digest).text);
    return r;
}

void source_document_deinit(struct source_document *doc)
{
    free(doc->text);
    free(doc->media_type);
    *doc = (struct source_document){ 0 };
}

int image_source_open_manifest(struct image_source *source, const struct oci_descriptor *d,
                               struct source_document *ret, mvm_error **err)
{
    mvm_autovalue(source_document) doc = { 0 };

    if (!d->data)
        return source->open_manifest(source, d, ret, err);
    doc.text = mem_array((size_t) d->size + 1, 1);
    doc.media_type = strdup(d->media_type);
    if (!doc.text || !doc.media_type)
        return mvm_fail_nomem(err);
    memcpy(doc.text, d->data, (size_t) d->size);
    doc.len = (size_t) d->size;
    *ret = doc;
    doc = (struct source_document){ 0 };
    return 0;
}

/* The content inside a descriptor. */
struct inline_reader {
    struct blob_reader base;
    const struct oci_descriptor *d; /* borrowed */
    size_t at;
};

static ssize_t inline_read(struct blob_reader *base, void *data, size_t len, mvm_error **err)
{
    struct inline_reader *b = (struct inline_reader *) base;
    size_t left = (size_t) b->d->size - b->at, n = left < len ? left : len;

    (void) err;
    memcpy(data, b->d->data + b->at, n);
    b->at += n;
    return (ssize_t) n;
}

static void inline_free(struct blob_reader *base)
{
    free(base);
}

int image_source_open_blob(struct image_source *source, const struct oci_descriptor *d,
                           struct image_tick *tick, struct blob_reader **ret, mvm_error **err)
{
    struct inline_reader *b;

    if (!d->data)
        return source->open_blob(source, d, tick, ret, err);
    b = calloc(1, sizeof(*b));
    if (!b)
        return mvm_fail_nomem(err);
    b->base = (struct blob_reader){
        .read = inline_read, .free = inline_free, .has_size = true, .size = d->size
    };
    b->d = d;
    *ret = &b->base;
    return 0;
}

static int fail_size(uint64_t got, const char *more, uint64_t want, mvm_error **err)
{
    return mvm_fail(err, MVM_E_DIGEST, 0, "%llu bytes%s, manifest says %llu",
                    (unsigned long long) got, more, (unsigned long long) want);
}

/* Fills @data with exactly @size bytes, which are all. */
static int read_exactly(struct blob_reader *reader, uint64_t size, char *data, mvm_error **err)
{
    uint64_t done = 0;
    char extra;

    for (ssize_t n = 1; n > 0 && done < size; done += (uint64_t) n) {
        n = reader->read(reader, data + done, (size_t) (size - done), err);
        if (n < 0)
            return (int) n;
    }
    if (done == size) {
        ssize_t n = reader->read(reader, &extra, 1, err);

        if (n < 0)
            return (int) n;
        if (n > 0)
            return fail_size(done + 1, " or more", size, err);
    }
    return done == size ? 0 : fail_size(done, "", size, err);
}

int blob_read_all(struct blob_reader *reader, const struct oci_descriptor *d, size_t max,
                  char **ret, size_t *ret_len, mvm_error **err)
{
    mvm_autofree char *data = NULL;
    struct digest digest;
    int r;

    if (d->size > max)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%llu bytes, the limit is %zu",
                        (unsigned long long) d->size, max);
    if (reader->has_size && reader->size != d->size)
        return fail_size(reader->size, "", d->size, err);
    data = mem_array((size_t) d->size + 1, 1);
    if (!data)
        return mvm_fail_nomem(err);
    r = read_exactly(reader, d->size, data, err);
    if (r == 0)
        r = digest_of(d->digest.algorithm, data, (size_t) d->size, &digest, err);
    if (r < 0)
        return r;
    if (!digest_equal(&digest, &d->digest))
        return mvm_fail(err, MVM_E_DIGEST, 0, "content has the digest %s, not %s",
                        digest_format(&digest).text, digest_format(&d->digest).text);
    *ret = steal_ptr(&data);
    *ret_len = (size_t) d->size;
    return 0;
}

int blob_read_text(struct blob_reader *reader, size_t max, char **ret, size_t *ret_len,
                   mvm_error **err)
{
    mvm_autofree char *data = NULL;
    int r;

    if (reader->size > max)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%llu bytes, the limit is %zu",
                        (unsigned long long) reader->size, max);
    data = mem_array((size_t) reader->size + 1, 1);
    if (!data)
        return mvm_fail_nomem(err);
    r = read_exactly(reader, reader->size, data, NULL);
    if (r < 0)
        return mvm_fail(err, r, 0,
                        r == MVM_E_DIGEST ? "changed while it was read" : "cannot be read");
    *ret = steal_ptr(&data);
    *ret_len = (size_t) reader->size;
    return 0;
}
