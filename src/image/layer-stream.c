/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer-stream.h"

#include "image/hash-thread.h"
#include "image/inflate.h"

#include <assert.h>

/* One read of the source, one piece of plain tar: large enough that calls and handing over cost
 * nothing beside hashing, small enough for a processor's cache. */
#define STREAM_BLOCK (256u << 10)
/* How far hashing may lag behind. */
#define STREAM_BLOCKS 4u
static_assert(2 * STREAM_BLOCKS <= HASH_JOBS_MAX, "no push waits");

/* Buffers used in turn. Each is hashed while its successor is filled. */
struct ring {
    struct {
        unsigned char *data; /* owned: STREAM_BLOCK */
        hash_job job;        /* the last one that reads it */
    } blocks[STREAM_BLOCKS];
    size_t current;
};

struct layer_stream {
    struct blob_reader *reader; /* borrowed */
    struct layer_expect expect;
    struct hash_thread *hashing;      /* owned */
    struct digest_stream *blob_hash;  /* owned; the hashing thread's */
    struct digest_stream *plain_hash; /* owned; likewise */
    struct digest blob_digest;        /* once the blob has ended well */
    struct inflate *inflate;          /* owned; NULL until detected, and for plain tar */
    bool detected;
    bool blob_ended; /* size and digest are right, or there was an error */
    bool plain_ended;
    uint64_t blob_done, plain_done;
    struct ring in;
    size_t in_pos, in_len; /* what is left of the current block */
    struct ring out;
};

static int ring_init(struct ring *ring, mvm_error **err)
{
    for (size_t i = 0; i < STREAM_BLOCKS; i++) {
        ring->blocks[i].data = malloc(STREAM_BLOCK);
        if (!ring->blocks[i].data)
            return mvm_fail_nomem(err);
    }
    return 0;
}

static void ring_deinit(struct ring *ring)
{
    for (size_t i = 0; i < STREAM_BLOCKS; i++)
        free(ring->blocks[i].data);
}

/* The next buffer, once nobody reads it any more. */
static unsigned char *ring_turn(struct ring *ring, struct hash_thread *hashing)
{
    ring->current = (ring->current + 1) % STREAM_BLOCKS;
    hash_thread_wait(hashing, ring->blocks[ring->current].job);
    return ring->blocks[ring->current].data;
}

/* Until none of its buffers is read any more. */
static void ring_wait(const struct ring *ring, struct hash_thread *hashing)
{
    for (size_t i = 0; i < STREAM_BLOCKS; i++)
        hash_thread_wait(hashing, ring->blocks[i].job);
}

void layer_stream_free(struct layer_stream *s)
{
    if (!s)
        return;
    hash_thread_free(s->hashing); /* first: it reads all below */
    digest_stream_free(s->blob_hash);
    digest_stream_free(s->plain_hash);
    inflate_free(s->inflate);
    ring_deinit(&s->in);
    ring_deinit(&s->out);
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
    if (reader->has_size && reader->size != expect->blob->size)
        return fail_size(s, reader->size, "", err);
    /* No honest compression makes a tar grow; a blob beyond the limit of its content is never worth
     * its download. */
    if (expect->blob->size > LAYER_PLAIN_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%llu bytes, the limit is %llu",
                        (unsigned long long) expect->blob->size,
                        (unsigned long long) LAYER_PLAIN_MAX);
    r = ring_init(&s->in, err);
    if (r == 0)
        r = ring_init(&s->out, err);
    if (r == 0)
        r = digest_stream_new(expect->blob->digest.algorithm, &s->blob_hash, err);
    if (r == 0)
        r = digest_stream_new(expect->diff_id->algorithm, &s->plain_hash, err);
    if (r == 0)
        r = hash_thread_new(&s->hashing, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&s);
    return 0;
}

static int end_blob(struct layer_stream *s, mvm_error **err)
{
    int r;

    s->blob_ended = true;
    if (s->blob_done != s->expect.blob->size)
        return fail_size(s, s->blob_done, "", err);
    ring_wait(&s->in, s->hashing);
    r = digest_stream_finish(s->blob_hash, &s->blob_digest, err);
    if (r < 0)
        return r;
    if (!digest_equal(&s->blob_digest, &s->expect.blob->digest))
        return mvm_fail(err, MVM_E_DIGEST, 0, "content has the digest %s",
                        digest_format(&s->blob_digest).text);
    return 0;
}

/* Reads until the block is full or the blob at its end: a source gives as little as it likes, and
 * each block handed over has its price. */
static int fill_block(struct layer_stream *s, unsigned char *block, size_t room, mvm_error **err)
{
    size_t done = 0;
    ssize_t n = 1;
    int r = 0;

    while (r == 0 && done < room) {
        n = s->reader->read(s->reader, block + done, room - done, err);
        if (n < 0)
            return (int) n;
        if (n == 0)
            break;
        done += (size_t) n;
        s->blob_done += (uint64_t) n;
        if (s->blob_done > s->expect.blob->size) {
            s->blob_ended = true;
            return fail_size(s, s->blob_done, " or more", err);
        }
        if (s->expect.tick)
            s->expect.tick->now.done = s->blob_done;
        r = image_tick(s->expect.tick, err);
    }
    if (r < 0)
        return r;
    s->in_len += done;
    if (done > 0)
        s->in.blocks[s->in.current].job = hash_thread_push(s->hashing, s->blob_hash, block, done);
    return n == 0 ? end_blob(s, err) : 0;
}

/* A new block, with what is left of the one before at its beginning. */
static int fill(struct layer_stream *s, mvm_error **err)
{
    const unsigned char *left = s->in.blocks[s->in.current].data + s->in_pos;
    unsigned char *block;

    if (s->in_len == STREAM_BLOCK)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the decompressor stands still");
    block = ring_turn(&s->in, s->hashing);
    memcpy(block, left, s->in_len);
    s->in_pos = 0;
    return fill_block(s, block + s->in_len, STREAM_BLOCK - s->in_len, err);
}

static int detect(struct layer_stream *s, mvm_error **err)
{
    enum inflate_kind kind;
    int r = 0;

    while (s->in_len < INFLATE_MAGIC_LEN && !s->blob_ended && r == 0)
        r = fill(s, err);
    if (r < 0)
        return r;
    kind = inflate_detect(s->in.blocks[s->in.current].data, s->in_len);
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

/* Plain bytes of a plain blob have been hashed as the blob; they are hashed anew only for an
 * algorithm of their own. */
static bool plain_is_blob(const struct layer_stream *s)
{
    return !s->inflate && s->expect.diff_id->algorithm == s->expect.blob->digest.algorithm;
}

/* More plain bytes into *ret_data; 0 when there are none yet: more input is needed, or this was the
 * end. */
static ssize_t advance(struct layer_stream *s, const unsigned char **ret_data, mvm_error **err)
{
    const unsigned char *in = s->in.blocks[s->in.current].data + s->in_pos;
    struct inflate_io io = { .in = in, .in_len = s->in_len, .out_size = STREAM_BLOCK };
    int r;

    if (!s->inflate) {
        *ret_data = in;
        s->in_pos = 0;
        s->in_len = 0;
        return (ssize_t) io.in_len;
    }
    io.out = ring_turn(&s->out, s->hashing);
    *ret_data = io.out;
    r = inflate_step(s->inflate, &io, err);
    if (r < 0)
        return r;
    s->in_pos = io.in_len > 0 ? s->in_pos + (size_t) (io.in - in) : 0;
    s->in_len = io.in_len;
    return (ssize_t) io.out_len;
}

/* Counts and hashes what is handed out. */
static int account(struct layer_stream *s, const unsigned char *data, size_t n, mvm_error **err)
{
    struct ring *ring = s->inflate ? &s->out : &s->in;
    int r = charge(s, n, err);

    if (r == 0 && !plain_is_blob(s))
        ring->blocks[ring->current].job = hash_thread_push(s->hashing, s->plain_hash, data, n);
    return r;
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
            *ret_data = data;
            r = account(s, data, (size_t) n, err);
            return r < 0 ? r : n;
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

/* Of all plain bytes. */
static int plain_digest(struct layer_stream *s, struct digest *ret, mvm_error **err)
{
    const struct ring *ring = s->inflate ? &s->out : &s->in;

    if (plain_is_blob(s)) {
        *ret = s->blob_digest;
        return 0;
    }
    ring_wait(ring, s->hashing);
    return digest_stream_finish(s->plain_hash, ret, err);
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
    r = plain_digest(s, &digest, err);
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
