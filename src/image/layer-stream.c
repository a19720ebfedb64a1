/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer-stream.h"

#include "image/inflate.h"

/* One read of the source, one piece of plain tar: large enough that calls cost nothing beside
 * hashing. */
#define STREAM_BLOCK (256u << 10)

struct layer_stream {
    struct blob_reader *reader; /* borrowed */
    struct layer_expect expect;
    struct digest_stream *blob_hash;  /* owned */
    struct digest_stream *plain_hash; /* owned */
    struct inflate *inflate;          /* owned; NULL until detected, and for plain tar */
    bool detected;
    bool blob_ended; /* size and digest are right, or there was an error */
    bool plain_ended;
    uint64_t blob_done, plain_done;
    unsigned char *in; /* owned: STREAM_BLOCK */
    size_t in_pos, in_len;
    unsigned char *out; /* owned: STREAM_BLOCK */
};

void layer_stream_free(struct layer_stream *s)
{
    if (!s)
        return;
    digest_stream_free(s->blob_hash);
    digest_stream_free(s->plain_hash);
    inflate_free(s->inflate);
    free(s->in);
    free(s->out);
    free(s);
}

static int fail_size(const struct layer_stream *s, uint64_t got, const char *more, mvm_error **err)
{
    return mvm_fail(err, MVM_E_DIGEST, 0, "%llu bytes%s, manifest says %llu",
                    (unsigned long long) got, more, (unsigned long long) s->expect.blob->size);
}

int layer_stream_new(struct blob_reader *reader, const struct layer_expect *expect,
                     struct layer_stream **ret, mvm_error **err)
{
    mvm_auto(layer_stream) s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return mvm_fail_nomem(err);
    s->reader = reader;
    s->expect = *expect;
    s->in = malloc(STREAM_BLOCK);
    s->out = malloc(STREAM_BLOCK);
    if (!s->in || !s->out)
        return mvm_fail_nomem(err);
    if (reader->has_size && reader->size != expect->blob->size)
        return fail_size(s, reader->size, "", err);
    /* No honest compression makes a tar grow; a blob beyond the limit of its content is never worth
     * its download. */
    if (expect->blob->size > LAYER_PLAIN_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%llu bytes, the limit is %llu",
                        (unsigned long long) expect->blob->size,
                        (unsigned long long) LAYER_PLAIN_MAX);
    r = digest_stream_new(expect->blob->digest.algorithm, &s->blob_hash, err);
    if (r == 0)
        r = digest_stream_new(expect->diff_id->algorithm, &s->plain_hash, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&s);
    return 0;
}

static int end_blob(struct layer_stream *s, mvm_error **err)
{
    struct digest digest;
    int r;

    s->blob_ended = true;
    if (s->blob_done != s->expect.blob->size)
        return fail_size(s, s->blob_done, "", err);
    r = digest_stream_finish(s->blob_hash, &digest, err);
    if (r < 0)
        return r;
    if (!digest_equal(&digest, &s->expect.blob->digest))
        return mvm_fail(err, MVM_E_DIGEST, 0, "content has the digest %s",
                        digest_format(&digest).text);
    return 0;
}

/* Appends one read of the source to the input. */
static int fill(struct layer_stream *s, mvm_error **err)
{
    unsigned char *to = s->in + s->in_len;
    ssize_t n;

    memmove(s->in, s->in + s->in_pos, s->in_len);
    s->in_pos = 0;
    if (s->in_len == STREAM_BLOCK)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the decompressor stands still");
    n = s->reader->read(s->reader, to, STREAM_BLOCK - s->in_len, err);
    if (n < 0)
        return (int) n;
    if (n == 0)
        return end_blob(s, err);
    s->blob_done += (uint64_t) n;
    if (s->blob_done > s->expect.blob->size) {
        s->blob_ended = true;
        return fail_size(s, s->blob_done, " or more", err);
    }
    digest_stream_update(s->blob_hash, to, (size_t) n);
    s->in_len += (size_t) n;
    if (s->expect.tick)
        s->expect.tick->now.done = s->blob_done;
    return 0;
}

static int detect(struct layer_stream *s, mvm_error **err)
{
    enum inflate_kind kind;
    int r = 0;

    while (s->in_len < INFLATE_MAGIC_LEN && !s->blob_ended && r == 0)
        r = fill(s, err);
    if (r < 0)
        return r;
    kind = inflate_detect(s->in, s->in_len);
    if (kind != INFLATE_PLAIN)
        r = inflate_new(kind, &s->inflate, err);
    s->detected = r == 0;
    return r;
}

static int charge(struct layer_stream *s, size_t n, mvm_error **err)
{
    struct image_budget *b = s->expect.budget;

    if (!image_budget_take(&b->plain_bytes, n, b->limits.plain_bytes))
        return mvm_fail(err, MVM_E_LIMIT, 0,
                        "the uncompressed image exceeds the limit of %llu bytes",
                        (unsigned long long) b->limits.plain_bytes);
    s->plain_done += n;
    return 0;
}

/* More plain bytes into *ret_data; 0 when there are none yet: more input is needed, or this was the
 * end. */
static ssize_t advance(struct layer_stream *s, const unsigned char **ret_data, mvm_error **err)
{
    struct inflate_io io = {
        .in = s->in + s->in_pos, .in_len = s->in_len, .out = s->out, .out_size = STREAM_BLOCK
    };
    int r;

    if (!s->inflate) {
        *ret_data = s->in + s->in_pos;
        s->in_pos = 0;
        s->in_len = 0;
        return (ssize_t) io.in_len;
    }
    r = inflate_step(s->inflate, &io, err);
    if (r < 0)
        return r;
    s->in_pos = io.in_len > 0 ? (size_t) (io.in - s->in) : 0;
    s->in_len = io.in_len;
    *ret_data = s->out;
    return (ssize_t) io.out_len;
}

static int check_end(struct layer_stream *s, mvm_error **err)
{
    if (s->inflate && (!inflate_is_complete(s->inflate) || s->in_len > 0))
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s: the data ends too early",
                        inflate_name(s->inflate));
    s->plain_ended = true;
    return 0;
}

ssize_t layer_stream_read(struct layer_stream *s, const void **ret_data, mvm_error **err)
{
    int r = image_tick(s->expect.tick, err);

    if (r == 0 && !s->detected)
        r = detect(s, err);
    while (r == 0 && !s->plain_ended) {
        const unsigned char *data = NULL;
        size_t before = s->in_len;
        ssize_t n = advance(s, &data, err);

        if (n < 0)
            return n;
        if (n > 0) {
            r = charge(s, (size_t) n, err);
            if (r < 0)
                break;
            digest_stream_update(s->plain_hash, data, (size_t) n);
            *ret_data = data;
            return n;
        }
        if (s->in_len > 0 && s->in_len != before)
            continue; /* a header or a skippable frame went by */
        r = s->blob_ended ? check_end(s, err) : fill(s, err);
        if (r == 0)
            r = image_tick(s->expect.tick, err);
    }
    return r;
}

uint64_t layer_stream_plain_bytes(const struct layer_stream *s)
{
    return s->plain_done;
}

int layer_stream_finish(struct layer_stream *s, mvm_error **err)
{
    struct digest digest;
    const void *data;
    ssize_t n;
    int r;

    do
        n = layer_stream_read(s, &data, err);
    while (n > 0);
    if (n < 0)
        return (int) n;
    r = digest_stream_finish(s->plain_hash, &digest, err);
    if (r < 0)
        return r;
    if (!digest_equal(&digest, s->expect.diff_id))
        return mvm_fail(err, MVM_E_DIGEST, 0,
                        "uncompressed content has the digest %s, image config says diffID %s",
                        digest_format(&digest).text, digest_format(s->expect.diff_id).text);
    return 0;
}

int layer_stream_check_blob(struct layer_stream *s, mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    int r = 0;

    while (r == 0 && !s->blob_ended) {
        s->in_pos = 0;
        s->in_len = 0;
        r = fill(s, &why);
        if (r == 0)
            r = image_tick(s->expect.tick, &why);
    }
    /* That the rest cannot be had does not explain what was wrong with the beginning. */
    if (r != MVM_E_DIGEST && r != MVM_E_CANCELLED)
        return 0;
    error_move(err, steal_ptr(&why));
    return r;
}
