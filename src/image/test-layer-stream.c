/* SPDX-License-Identifier: Apache-2.0 */
#include "image/inflate.h"
#include "image/test-layer.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>

#define PLAIN_LEN (3u << 20)

/* Bytes that compress a little, the same in each run. */
static void plain_make(struct strbuf *sb, size_t len)
{
    uint32_t x = 12345;

    for (size_t i = 0; i < len; i++) {
        x = x * 1103515245 + 12345;
        strbuf_addc(sb, (char) (x >> 24 & 0x3f));
    }
}

static void gzip_add(struct strbuf *out, const char *data, size_t len)
{
    mvm_autofree struct isal_zstream *z = calloc(1, sizeof(*z));
    size_t room = len + len / 8 + 1024;
    mvm_autofree char *to = malloc(room);

    isal_deflate_stateless_init(z);
    z->gzip_flag = IGZIP_GZIP;
    z->end_of_stream = 1;
    z->next_in = (uint8_t *) data;
    z->avail_in = (uint32_t) len;
    z->next_out = (uint8_t *) to;
    z->avail_out = (uint32_t) room;
    assert_int_equal(isal_deflate_stateless(z), COMP_OK);
    strbuf_add(out, to, room - z->avail_out);
}

static void zstd_add(struct strbuf *out, const char *data, size_t len, int window_log)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    size_t room = ZSTD_compressBound(len), n;
    mvm_autofree char *to = malloc(room);

    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1)));
    if (window_log > 0) {
        assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_enableLongDistanceMatching, 1)));
        assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log)));
        assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0)));
    }
    if (window_log > 0) {
        /* In one go the window would shrink to the content; a stream of unknown length keeps it. */
        ZSTD_inBuffer in = { data, len, 0 };
        ZSTD_outBuffer o = { to, room, 0 };

        assert_false(ZSTD_isError(ZSTD_compressStream2(c, &o, &in, ZSTD_e_flush)));
        assert_int_equal(ZSTD_compressStream2(c, &o, &in, ZSTD_e_end), 0);
        n = o.pos;
    } else {
        n = ZSTD_compress2(c, to, room, data, len);
    }
    assert_false(ZSTD_isError(n));
    strbuf_add(out, to, n);
    (void) ZSTD_freeCCtx(c);
}

static void compress(struct strbuf *out, enum inflate_kind kind, const char *data, size_t len)
{
    if (kind == INFLATE_GZIP)
        gzip_add(out, data, len);
    else if (kind == INFLATE_ZSTD)
        zstd_add(out, data, len, 0);
    else
        strbuf_add(out, data, len);
}

/* Reads all; what came is appended to @got. */
static int read_stream(const struct strbuf *blob, const struct layer_truth *t, size_t piece,
                       struct strbuf *got, mvm_error **err)
{
    struct memory_reader m = memory_reader(strbuf_str(blob), blob->len, piece);
    mvm_auto(layer_stream) s = NULL;
    const void *data = NULL;
    ssize_t n;
    int r = layer_stream_new(&m.base, &t->expect, &s, err);

    if (r < 0)
        return r;
    while ((n = layer_stream_read(s, &data, err)) > 0)
        if (got)
            strbuf_add(got, data, (size_t) n);
    return n < 0 ? (int) n : layer_stream_finish(s, err);
}

static const enum inflate_kind kinds[] = { INFLATE_PLAIN, INFLATE_GZIP, INFLATE_ZSTD };
static const char *const kind_names[] = { "plain", "gzip", "zstd" };

static void every_compression_gives_the_plain_bytes(void **state)
{
    static const size_t pieces[] = { 1, 7, 4096, SIZE_MAX };
    mvm_autovalue(strbuf) plain = STRBUF_INIT(TAR_MAX);

    (void) state;
    plain_make(&plain, 300000);
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        mvm_autovalue(strbuf) blob = STRBUF_INIT(TAR_MAX);

        compress(&blob, kinds[k], plain.data, plain.len);
        for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
            mvm_autovalue(strbuf) got = STRBUF_INIT(TAR_MAX);
            mvm_autoerror mvm_error *e = NULL;
            struct layer_truth t;

            layer_truth_init(&t, &blob, &plain);
            if (read_stream(&blob, &t, pieces[i], &got, &e) != 0)
                fail_msg("%s in pieces of %zu: %s", kind_names[k], pieces[i], mvm_error_message(e));
            assert_int_equal(got.len, plain.len);
            assert_memory_equal(got.data, plain.data, plain.len);
            assert_int_equal(t.budget.plain_bytes, plain.len);
        }
    }
}

static void several_members_frames_and_skippable_frames_are_one_stream(void **state)
{
    static const char skippable[] = "\x5e\x2a\x4d\x18\x05\x00\x00\x00hello";
    mvm_autovalue(strbuf) plain = STRBUF_INIT(TAR_MAX);

    (void) state;
    plain_make(&plain, 100000);
    for (size_t k = 1; k < ARRAY_SIZE(kinds); k++)
        for (size_t piece = 1; piece < 5000; piece += 1111) {
            mvm_autovalue(strbuf) blob = STRBUF_INIT(TAR_MAX);
            mvm_autovalue(strbuf) got = STRBUF_INIT(TAR_MAX);
            mvm_autoerror mvm_error *e = NULL;
            struct layer_truth t;

            if (kinds[k] == INFLATE_ZSTD)
                strbuf_add(&blob, skippable, sizeof(skippable) - 1);
            compress(&blob, kinds[k], plain.data, 40000);
            if (kinds[k] == INFLATE_ZSTD)
                strbuf_add(&blob, skippable, sizeof(skippable) - 1);
            compress(&blob, kinds[k], plain.data + 40000, 0);
            compress(&blob, kinds[k], plain.data + 40000, 60000);
            if (kinds[k] == INFLATE_ZSTD)
                strbuf_add(&blob, skippable, sizeof(skippable) - 1);
            layer_truth_init(&t, &blob, &plain);
            if (read_stream(&blob, &t, piece, &got, &e) != 0)
                fail_msg("%s in pieces of %zu: %s", kind_names[k], piece, mvm_error_message(e));
            assert_int_equal(got.len, plain.len);
            assert_memory_equal(got.data, plain.data, plain.len);
        }
}

static void expect_error(const struct strbuf *blob, const struct layer_truth *t, int code,
                         const char *words)
{
    mvm_autoerror mvm_error *e = NULL;
    int r = read_stream(blob, t, 1000, NULL, &e);

    if (r != code || !strstr(mvm_error_message(e), words))
        fail_msg("%d '%s', not %d '%s'", r, mvm_error_message(e), code, words);
}

static void wrong_sizes_digests_and_diff_ids_are_told(void **state)
{
    mvm_autovalue(strbuf) plain = STRBUF_INIT(TAR_MAX);

    (void) state;
    plain_make(&plain, 100000);
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        mvm_autovalue(strbuf) blob = STRBUF_INIT(TAR_MAX);
        mvm_autofree char *numbers = NULL;
        struct layer_truth t;

        compress(&blob, kinds[k], plain.data, plain.len);
        layer_truth_init(&t, &blob, &plain);
        t.blob.size = blob.len + 1;
        assert_true(asprintf(&numbers, "%zu bytes, manifest says %zu", blob.len, blob.len + 1) > 0);
        expect_error(&blob, &t, MVM_E_DIGEST, numbers);
        t.blob.size = blob.len - 1;
        expect_error(&blob, &t, MVM_E_DIGEST, "manifest says");
        t.blob.size = blob.len;
        t.blob.digest.bytes[0] ^= 1;
        expect_error(&blob, &t, MVM_E_DIGEST, "content has the digest");
        t.blob.digest.bytes[0] ^= 1;
        t.diff_id.bytes[31] ^= 1;
        expect_error(&blob, &t, MVM_E_DIGEST, "diffID");
        t.diff_id.bytes[31] ^= 1;
        assert_int_equal(read_stream(&blob, &t, 1000, NULL, NULL), 0);
    }
}

static void truncated_corrupt_and_trailing_data_are_refused(void **state)
{
    mvm_autovalue(strbuf) plain = STRBUF_INIT(TAR_MAX);

    (void) state;
    plain_make(&plain, 100000);
    for (size_t k = 1; k < ARRAY_SIZE(kinds); k++) {
        mvm_autovalue(strbuf) blob = STRBUF_INIT(TAR_MAX);
        struct layer_truth t;
        size_t whole;

        compress(&blob, kinds[k], plain.data, plain.len);
        whole = blob.len;
        for (size_t cut = 1; cut < whole; cut = cut * 3 + 1) {
            if (whole - cut < 4)
                break; /* no longer what it was */
            blob.len = whole - cut;
            layer_truth_init(&t, &blob, &plain);
            expect_error(&blob, &t, MVM_E_FORMAT, "ends too early");
        }
        blob.len = whole;
        strbuf_adds(&blob, "garbage behind it");
        layer_truth_init(&t, &blob, &plain);
        expect_error(&blob, &t, MVM_E_FORMAT, kind_names[k]);
        blob.len = whole;
        strbuf_addc(&blob, '\0');
        layer_truth_init(&t, &blob, &plain);
        expect_error(&blob, &t, MVM_E_FORMAT, kind_names[k]);
        blob.len = whole;
        /* The last bytes are a checksum (gzip: before the length). */
        blob.data[whole - (kinds[k] == INFLATE_GZIP ? 6 : 2)] ^= 1;
        layer_truth_init(&t, &blob, &plain);
        expect_error(&blob, &t, MVM_E_FORMAT, "checksum");
    }
}

static void bombs_stop_at_the_budget(void **state)
{
    mvm_autovalue(strbuf) plain = STRBUF_INIT(TAR_MAX);

    (void) state;
    plain_make(&plain, 100000);
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        mvm_autovalue(strbuf) blob = STRBUF_INIT(TAR_MAX);
        struct layer_truth t;

        compress(&blob, kinds[k], plain.data, plain.len);
        layer_truth_init(&t, &blob, &plain);
        t.budget.limits.plain_bytes = plain.len;
        assert_int_equal(read_stream(&blob, &t, 1000, NULL, NULL), 0);
        layer_truth_init(&t, &blob, &plain);
        t.budget.limits.plain_bytes = plain.len - 1;
        expect_error(&blob, &t, MVM_E_LIMIT, "99999 bytes");
    }
}

static void zstd_windows_hold_at_128_mib_and_not_above(void **state)
{
    mvm_autovalue(strbuf) plain = STRBUF_INIT(TAR_MAX);
    mvm_autovalue(strbuf) good = STRBUF_INIT(TAR_MAX);
    mvm_autovalue(strbuf) bad = STRBUF_INIT(TAR_MAX);
    struct layer_truth t;

    (void) state;
    plain_make(&plain, 1000);
    zstd_add(&good, plain.data, plain.len, 27);
    layer_truth_init(&t, &good, &plain);
    assert_int_equal(read_stream(&good, &t, SIZE_MAX, NULL, NULL), 0);
    zstd_add(&bad, plain.data, plain.len, 28);
    layer_truth_init(&t, &bad, &plain);
    expect_error(&bad, &t, MVM_E_LIMIT, "128 MiB");
}

static void compressed_size_has_a_limit(void **state)
{
    struct memory_reader m = memory_reader("", 0, 1);
    mvm_autovalue(strbuf) none = STRBUF_INIT(1);
    mvm_auto(layer_stream) s = NULL;
    struct layer_truth t;

    (void) state;
    layer_truth_init(&t, &none, &none);
    t.blob.size = LAYER_PLAIN_MAX + 1;
    assert_int_equal(layer_stream_new(&m.base, &t.expect, &s, NULL), MVM_E_LIMIT);
    t.blob.size = LAYER_PLAIN_MAX;
    assert_int_equal(layer_stream_new(&m.base, &t.expect, &s, NULL), 0);
}

static void size_that_the_source_tells_is_compared_before_reading(void **state)
{
    struct memory_reader m = memory_reader("abc", 3, 1);
    mvm_autovalue(strbuf) blob = STRBUF_INIT(10);
    mvm_autoerror mvm_error *e = NULL;
    mvm_auto(layer_stream) s = NULL;
    struct layer_truth t;

    (void) state;
    strbuf_adds(&blob, "abc");
    layer_truth_init(&t, &blob, &blob);
    m.base.has_size = true;
    m.base.size = 812;
    assert_int_equal(layer_stream_new(&m.base, &t.expect, &s, &e), MVM_E_DIGEST);
    assert_string_equal(mvm_error_message(e), "812 bytes, manifest says 3");
}

static void bytes_behind_the_end_marker_are_read_and_counted(void **state)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    mvm_autoerror mvm_error *e = NULL;
    mvm_auto(layer_stream) s = NULL;
    struct memory_reader m;
    struct layer_truth t;

    (void) state;
    tar_add(&tar, &(struct tar_spec){ .name = "f", .data = "x" });
    tar_end(&tar);
    plain_make(&tar, 2000000);
    layer_truth_init(&t, &tar, &tar);
    tar.data[tar.len - 1] ^= 1;
    m = memory_reader(tar.data, tar.len, SIZE_MAX);
    assert_int_equal(layer_stream_new(&m.base, &t.expect, &s, NULL), 0);
    assert_int_equal(layer_convert_only(s, &t.budget, &e), MVM_E_DIGEST);
}

static void damaged_blob_is_told_before_its_malformed_tar(void **state)
{
    mvm_autovalue(strbuf) blob = STRBUF_INIT(TAR_MAX);
    mvm_autoerror mvm_error *e = NULL;
    mvm_auto(layer_stream) s = NULL;
    struct memory_reader m;
    struct layer_truth t;

    (void) state;
    plain_make(&blob, 2000000);
    layer_truth_init(&t, &blob, &blob);
    t.blob.digest.bytes[0] ^= 1;
    m = memory_reader(blob.data, blob.len, SIZE_MAX);
    assert_int_equal(layer_stream_new(&m.base, &t.expect, &s, NULL), 0);
    assert_int_equal(layer_convert_only(s, &t.budget, &e), MVM_E_DIGEST);
    assert_non_null(strstr(mvm_error_message(e), "content has the digest"));
}

static int cancel_at_third(void *user, const struct image_progress *p)
{
    unsigned *calls = user;

    (void) p;
    return ++*calls == 3;
}

static void cancelled_stream_stops(void **state)
{
    mvm_autovalue(strbuf) plain = STRBUF_INIT(TAR_MAX);
    unsigned calls = 0;
    struct image_tick tick = { .fn = cancel_at_third, .user = &calls };
    struct layer_truth t;

    (void) state;
    plain_make(&plain, PLAIN_LEN);
    layer_truth_init(&t, &plain, &plain);
    t.expect.tick = &tick;
    assert_int_equal(image_tick_sleep(&tick, 1000, NULL), MVM_E_CANCELLED);
    assert_int_equal(calls, 3);
    calls = 2;
    tick.last_ms = 0;
    assert_int_equal(read_stream(&plain, &t, 1000, NULL, NULL), MVM_E_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_compression_gives_the_plain_bytes),
        cmocka_unit_test(several_members_frames_and_skippable_frames_are_one_stream),
        cmocka_unit_test(wrong_sizes_digests_and_diff_ids_are_told),
        cmocka_unit_test(truncated_corrupt_and_trailing_data_are_refused),
        cmocka_unit_test(bombs_stop_at_the_budget),
        cmocka_unit_test(zstd_windows_hold_at_128_mib_and_not_above),
        cmocka_unit_test(compressed_size_has_a_limit),
        cmocka_unit_test(size_that_the_source_tells_is_compared_before_reading),
        cmocka_unit_test(bytes_behind_the_end_marker_are_read_and_counted),
        cmocka_unit_test(damaged_blob_is_told_before_its_malformed_tar),
        cmocka_unit_test(cancelled_stream_stops),
    };

    return cmocka_run_group_tests_name("image-layer-stream", tests, NULL, NULL);
}
