/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of a conversion, sparse files, and layers that are broken or hostile. */
#include "image/test-layer-convert.h"

#include <limits.h>
#include <pthread.h>

/* A budget that has just these limits. */
#define BUDGET_OF(...)            \
    {                             \
        .limits = { __VA_ARGS__ } \
    }

static int convert_limited(const struct image_limits *limits, const struct tar_spec *specs,
                           mvm_error **err)
{
    mvm_autovalue(converted) x = CONVERTED_INIT;
    struct image_budget budget = { .limits = *limits };

    return convert_specs(specs, &budget, &x, err);
}

static void expect_limit(const struct image_limits *limits, const struct tar_spec *specs,
                         const char *words)
{
    mvm_autoerror mvm_error *e = NULL;

    assert_int_equal(convert_limited(limits, specs, &e), MVM_E_LIMIT);
    if (!strstr(mvm_error_message(e), words))
        fail_msg("'%s', not '%s'", mvm_error_message(e), words);
}

static void limits_hold_at_their_value_and_not_above(void **state)
{
    static const struct tar_spec three[] = {
        FILE_OF("a", "12345"), FILE_OF("b", "12345"), SYMLINK("p/q", "xyz"), { 0 }
    };
    struct image_limits limits = { .plain_bytes = 1u << 20,
                                   .entries = 3,
                                   .file_bytes = 10,
                                   .path_bytes = 8,
                                   .depth = 2,
                                   .xattr_bytes = 12 };
    mvm_autovalue(strbuf) pax = STRBUF_INIT(4096);

    (void) state;
    pax_record(&pax, "SCHILY.xattr.user.n", "123456", 6);
    const struct tar_spec attribute[] = { { .name = "x", .data = "", .pax = strbuf_str(&pax) },
                                          { 0 } };

    assert_int_equal(convert_limited(&limits, three, NULL), 0);
    limits.entries--;
    expect_limit(&limits, three, "more than 2 entries");
    limits.entries++;
    limits.file_bytes--;
    expect_limit(&limits, three, "'b': the files of the image exceed the limit of 9 bytes");
    limits.file_bytes++;
    limits.path_bytes--;
    expect_limit(&limits, three, "'p/q': the names of the image exceed the limit of 7 bytes");
    limits.path_bytes++;
    limits.depth--;
    expect_limit(&limits, three, "'p/q': the name has more than 1 components");
    limits.depth++;
    limits.plain_bytes = 5 * 512 + 1024; /* three headers, two contents, the end */
    assert_int_equal(convert_limited(&limits, three, NULL), 0);
    limits.plain_bytes--;
    expect_limit(&limits, three, "the uncompressed image exceeds the limit of 3583 bytes");
    limits.plain_bytes = 1u << 20;
    assert_int_equal(convert_limited(&limits, attribute, NULL), 0);
    limits.xattr_bytes--;
    expect_limit(&limits, attribute, "'x': more than 11 bytes of extended attributes");
}

static void layers_of_an_image_share_its_budget(void **state)
{
    static const struct tar_spec layer[] = { FILE_OF("a", "12345"), { 0 } };
    struct image_budget budget = BUDGET_OF(.plain_bytes = 1u << 20, .entries = 2, .file_bytes = 100,
                                           .path_bytes = 100, .depth = 2);
    mvm_autovalue(converted) x = CONVERTED_INIT;

    (void) state;
    assert_int_equal(convert_specs(layer, &budget, &x, NULL), 0);
    assert_int_equal(convert_specs(layer, &budget, &x, NULL), 0);
    assert_int_equal(convert_specs(layer, &budget, &x, NULL), MVM_E_LIMIT);
    assert_int_equal(budget.entries, 2);
    assert_int_equal(budget.file_bytes, 10);
}

static void *take_many(void *user)
{
    struct image_budget *budget = user;
    uint64_t *taken = calloc(1, sizeof(*taken));

    for (int i = 0; i < 100000; i++)
        *taken += image_budget_take(&budget->entries, 3, budget->limits.entries) ? 3 : 0;
    return taken;
}

static void threads_never_take_more_than_there_is(void **state)
{
    struct image_budget budget = BUDGET_OF(.entries = 400000);
    uint64_t sum = 0;
    pthread_t threads[3];

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &budget), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        void *taken;

        assert_int_equal(pthread_join(threads[i], &taken), 0);
        sum += *(uint64_t *) taken;
        free(taken);
    }
    assert_int_equal(sum, 399999);
    assert_int_equal(budget.entries, 399999);
    assert_true(image_budget_take(&budget.entries, 1, 400000));
    assert_false(image_budget_take(&budget.entries, 1, 400000));
    assert_false(image_budget_take(&budget.entries, UINT64_MAX, UINT64_MAX));
    assert_true(image_budget_take(&budget.entries, UINT64_MAX - 400000, UINT64_MAX));
}

/* One entry with one pax record. */
static int convert_pax(struct converted *x, const char *key, const char *value,
                       const struct tar_spec *spec)
{
    mvm_autovalue(strbuf) pax = STRBUF_INIT(1u << 20);
    struct tar_spec specs[2] = { *spec, { 0 } };

    pax_record(&pax, key, value, strlen(value));
    specs[0].pax = strbuf_str(&pax);
    return convert_specs(specs, NULL, x, NULL);
}

static void long_names_hold_at_the_limit_and_not_above(void **state)
{
    static const struct tar_spec file = FILE_OF("short", "x"), link = SYMLINK("l", "x");
    static const struct tar_spec hard = HARDLINK("h", "x");
    mvm_autofree char *name = malloc(LAYER_PATH_MAX + 10);
    mvm_autovalue(converted) x = CONVERTED_INIT;

    (void) state;
    memset(name, 'a', LAYER_PATH_MAX + 9);
    name[LAYER_NAME_MAX] = '\0';
    assert_int_equal(convert_pax(&x, "path", name, &file), 0);
    name[LAYER_NAME_MAX] = 'a';
    name[LAYER_NAME_MAX + 1] = '\0';
    assert_int_equal(convert_pax(&x, "path", name, &file), MVM_E_LIMIT);
    assert_int_equal(convert_pax(&x, "linkpath", name, &hard), MVM_E_LIMIT);
    assert_int_equal(convert_pax(&x, "linkpath", name, &link), 0);
    for (size_t i = 0; i < LAYER_PATH_MAX + 9; i++)
        name[i] = i % 200 == 199 ? '/' : 'a';
    name[LAYER_PATH_MAX] = '\0';
    assert_int_equal(convert_pax(&x, "path", name, &file), 0);
    assert_int_equal(convert_pax(&x, "linkpath", name, &hard), 0);
    assert_int_equal(convert_pax(&x, "linkpath", name, &link), MVM_E_LIMIT);
    name[LAYER_PATH_MAX] = 'a';
    name[LAYER_PATH_MAX + 1] = '\0';
    assert_int_equal(convert_pax(&x, "path", name, &file), MVM_E_LIMIT);
    assert_int_equal(convert_pax(&x, "linkpath", name, &hard), MVM_E_LIMIT);
    name[LAYER_SYMLINK_MAX] = '\0';
    assert_int_equal(convert_pax(&x, "linkpath", name, &link), 0);
}

static void attributes_and_devices_hold_at_the_limit_and_not_above(void **state)
{
    static const struct tar_spec file = FILE_OF("f", "x");
    static const struct tar_spec device = { .name = "c", .type = '3', .major = 1, .minor = 1 };
    mvm_autofree char *key = malloc(400), *value = malloc(70000);
    mvm_autovalue(converted) x = CONVERTED_INIT;
    mvm_autovalue(layer_cursor) c = { 0 };

    (void) state;
    memset(key, 'k', 400);
    memcpy(key, "SCHILY.xattr.user.", 18);
    key[13 + LAYER_XATTR_NAME_MAX] = '\0';
    assert_int_equal(convert_pax(&x, key, "v", &file), 0);
    key[13 + LAYER_XATTR_NAME_MAX] = 'k';
    key[13 + LAYER_XATTR_NAME_MAX + 1] = '\0';
    assert_int_equal(convert_pax(&x, key, "v", &file), MVM_E_LIMIT);
    assert_int_equal(convert_pax(&x, "SCHILY.xattr.user.", "v", &file), MVM_E_FORMAT);
    memset(value, 'v', 70000);
    value[65536 - 6] = '\0';
    assert_int_equal(convert_pax(&x, "SCHILY.xattr.user.a", value, &file), 0);
    assert_int_equal(record_find(&x, "f", &c)->xattrs[0].value_len, 65530);
    value[65536 - 6] = 'v';
    value[65536 - 5] = '\0';
    assert_int_equal(convert_pax(&x, "SCHILY.xattr.user.a", value, &file), MVM_E_LIMIT);
    assert_int_equal(convert_pax(&x, "SCHILY.devmajor", "4095", &device), 0);
    assert_int_equal(convert_pax(&x, "SCHILY.devmajor", "4096", &device), MVM_E_LIMIT);
    assert_int_equal(convert_pax(&x, "SCHILY.devminor", "1048575", &device), 0);
    assert_int_equal(convert_pax(&x, "SCHILY.devminor", "1048576", &device), MVM_E_LIMIT);
    assert_int_equal(convert_pax(&x, "uid", "4294967294", &file), 0);
    assert_int_equal(convert_pax(&x, "uid", "4294967295", &file), MVM_E_FORMAT);
    assert_int_equal(convert_pax(&x, "gid", "4294967296", &file), MVM_E_FORMAT);
}

static void names_are_bytes(void **state)
{
    /* Decomposed (NFD) and composed (NFC) stay what they are, as do bytes that are no UTF-8. */
    static const char *const names[] = { "e\xcc\x81", "\xc3\xa9", "inv\xff\xfe" };
    static const struct tar_spec file = FILE_OF("f", "x"), link = SYMLINK("l", "t");
    mvm_autovalue(converted) x = CONVERTED_INIT;
    mvm_autovalue(layer_cursor) c = { 0 };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(convert_pax(&x, "path", names[i], &file), 0);
        assert_string_equal(record_find(&x, names[i], &c)->path, names[i]);
        assert_int_equal(convert_pax(&x, "linkpath", names[i], &link), 0);
        assert_string_equal(record_find(&x, "l", &c)->link, names[i]);
    }
}

/* A sparse file as GNU tar has it in its format 0.1. */
static int convert_sparse(struct converted *x, const char *map, const char *size, const char *data,
                          mvm_error **err)
{
    mvm_autovalue(strbuf) pax = STRBUF_INIT(1u << 20);

    pax_record(&pax, "GNU.sparse.size", size, strlen(size));
    pax_record(&pax, "GNU.sparse.map", map, strlen(map));
    const struct tar_spec specs[] = { { .name = "s", .data = data, .pax = strbuf_str(&pax) },
                                      FILE_OF("after", "x"),
                                      { 0 } };

    return convert_specs(specs, NULL, x, err);
}

static void sparse_files_keep_content_and_holes(void **state)
{
    mvm_autofree char *want = calloc(1, 3000001);
    mvm_autovalue(converted) x = CONVERTED_INIT;
    mvm_autovalue(layer_cursor) c = { 0 };
    struct stat st;

    (void) state;
    memcpy(want + 1000000, "abcde", 5);
    memcpy(want + 1000005, "fgh", 3);
    memcpy(want + 2000000, "ij", 2);
    assert_int_equal(
        convert_sparse(&x, "1000000,5,1000005,3,2000000,2", "3000001", "abcdefghij", NULL), 0);
    expect_content(&x, record_find(&x, "s", &c), want, 3000001);
    assert_int_equal(record_find(&x, "after", &c)->size, 1);
    assert_int_equal(fstat(x.data_fd, &st), 0);
    assert_true(st.st_blocks * 512 < 100000);
    /* A small one gets its zeros. */
    memset(want, 0, 2048);
    memcpy(want + 1000, "abcdefghij", 10);
    assert_int_equal(convert_sparse(&x, "1000,10", "2048", "abcdefghij", NULL), 0);
    expect_content(&x, record_find(&x, "s", &c), want, 2048);
    assert_int_equal(convert_sparse(&x, "0,0,2048,0", "2048", "", NULL), 0);
    memset(want, 0, 2048);
    expect_content(&x, record_find(&x, "s", &c), want, 2048);
}

/* GNU's own format: four parts in the header, more in blocks behind it. */
static void old_sparse_files_are_read(void **state)
{
    static const char content[] = "0123456789";
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    mvm_autovalue(converted) x = CONVERTED_INIT;
    mvm_autovalue(layer_cursor) c = { 0 };
    mvm_autofree char *want = calloc(1, 500000);
    char *h, extended[512] = "";
    unsigned sum = 0;

    (void) state;
    tar_header(&tar, &(struct tar_spec){ .name = "s", .type = 'S' }, 10);
    h = tar.data;
    memcpy(h + 257, "ustar  ", 8);
    memset(h + 329, 0, 512 - 329);
    for (unsigned i = 0; i < 10; i++) {
        char *part = i < 4 ? h + 386 + 24 * i : extended + (size_t) 24 * (i - 4);

        tar_octal(part, 11, i * 40000 + 7);
        tar_octal(part + 12, 11, 1);
        want[i * 40000 + 7] = content[i];
    }
    h[482] = 1; /* more follow */
    tar_octal(h + 483, 11, 500000);
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char) h[i];
    tar_octal(h + 148, 6, sum);
    h[154] = '\0';
    strbuf_add(&tar, extended, sizeof(extended));
    strbuf_add(&tar, content, 10);
    tar_pad(&tar);
    tar_end(&tar);
    assert_int_equal(convert_tar(&tar, NULL, &x, NULL), 0);
    expect_content(&x, record_find(&x, "s", &c), want, 500000);
}

static void large_holes_cost_nothing(void **state)
{
    const uint64_t size = (UINT64_C(6) << 30) + 5;
    mvm_autovalue(strbuf) pax = STRBUF_INIT(4096);
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    struct layer_output out;
    mvm_autoclose int data_fd = memory_file("data"), index_fd = memory_file("index");
    struct image_budget budget = { .limits = IMAGE_LIMITS_DEFAULT };
    mvm_auto(layer_stream) s = NULL;
    struct layer_sums sums;
    struct memory_reader m;
    struct layer_truth t;
    struct stat st;

    (void) state;
    pax_record(&pax, "GNU.sparse.size", "6442450949", 10);
    pax_record(&pax, "GNU.sparse.map", "6442450944,5", 12);
    tar_add(&tar, &(struct tar_spec){ .name = "s", .data = "abcde", .pax = strbuf_str(&pax) });
    tar_end(&tar);
    layer_truth_init(&t, &tar, &tar);
    t.expect.budget = &budget;
    m = memory_reader(strbuf_str(&tar), tar.len, SIZE_MAX);
    out = (struct layer_output){ .data_fd = data_fd, .index_fd = index_fd };
    assert_int_equal(layer_stream_new(&m.base, &t.expect, &s, NULL), 0);
    assert_int_equal(layer_convert(s, &out, &budget, NULL, &sums, NULL), 0);
    assert_int_equal(sums.data_size, (UINT64_C(6) << 30) + LAYER_BLOCK);
    assert_int_equal(budget.file_bytes, size);
    assert_int_equal(fstat(data_fd, &st), 0);
    assert_int_equal(st.st_size, sums.data_size);
    assert_true(st.st_blocks * 512 <= (int) LAYER_BLOCK);
    /* The sum is that of 6 GiB of zeros and the last block. */
    unsigned char last[LAYER_BLOCK] = "abcde";

    assert_int_equal(sums.data_crc,
                     crc64_add(crc64_add_zeros(0, UINT64_C(6) << 30), last, sizeof(last)));
}

static void hostile_sparse_files_are_refused(void **state)
{
    static const struct {
        const char *map, *size, *data, *words;
    } cases[] = {
        { "0,5", "32212254721", "abcde", "exceed the limit" }, /* 30 GiB and 1 byte */
        { "5000,5", "5004", "abcde", "content beyond the size" },
        { "0,5,9223372036854775807,5", "9000", "abcdefghij", "Malformed sparse map" },
        { "4000,5,0,5", "5000", "abcdefghij", "not in order" },
        { "0,5,4,5", "5000", "abcdefghij", "not in order" },
        { "100,5,0,5", "1000", "abcdefghij", "not in order" },
        { "0,5", "4", "abcde", "content beyond the size" },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(converted) x = CONVERTED_INIT;
        mvm_autoerror mvm_error *e = NULL;
        struct stat st;
        int r = convert_sparse(&x, cases[i].map, cases[i].size, cases[i].data, &e);

        if (r >= 0 || !strstr(mvm_error_message(e), cases[i].words))
            fail_msg("%zu: %d '%s', not '%s'", i, r, mvm_error_message(e), cases[i].words);
        assert_int_equal(fstat(x.data_fd, &st), 0);
        assert_int_equal(st.st_size, 0); /* refused before anything was written */
    }
}

static int convert_bytes(const struct strbuf *tar)
{
    mvm_autovalue(converted) x = CONVERTED_INIT;

    return convert_tar(tar, NULL, &x, NULL);
}

static void malformed_tars_are_refused(void **state)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);

    (void) state;
    tar_add(&tar, &(struct tar_spec){ .name = "x", .data = "y", .pax = "99 path=foo\n" });
    assert_int_equal(convert_bytes(&tar), MVM_E_FORMAT);
    strbuf_reset(&tar);
    strbuf_adds(&tar, "this is not a tar, and longer than nothing");
    assert_int_equal(convert_bytes(&tar), MVM_E_FORMAT);
    strbuf_reset(&tar);
    tar_add(&tar, &(struct tar_spec) FILE_OF("f", "some content"));
    tar.len -= 100;
    assert_int_equal(convert_bytes(&tar), MVM_E_FORMAT); /* the padding is cut */
    tar.len = 512 + 5;
    assert_int_equal(convert_bytes(&tar), MVM_E_FORMAT);
    tar.len = 300;
    assert_int_equal(convert_bytes(&tar), MVM_E_FORMAT);
    tar.len = 0;
    assert_int_equal(convert_bytes(&tar), 0);
    tar_add(&tar, &(struct tar_spec) FILE_OF("f", "no end marker"));
    assert_int_equal(convert_bytes(&tar), 0);
    strbuf_reset(&tar);
    tar_add(&tar, &(struct tar_spec) FILE_OF("f", "x"));
    tar.data[3] ^= 1; /* the checksum of the header is wrong now */
    assert_int_equal(convert_bytes(&tar), MVM_E_FORMAT);
}

static void bytes_behind_the_end_marker_are_read_and_compared(void **state)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    mvm_autovalue(converted) x = CONVERTED_INIT;
    struct image_budget budget = { .limits = IMAGE_LIMITS_DEFAULT };
    mvm_auto(layer_stream) s = NULL;
    struct memory_reader m;
    struct layer_truth t;

    (void) state;
    tar_add(&tar, &(struct tar_spec) FILE_OF("f", "x"));
    tar_end(&tar);
    for (int i = 0; i < 2000000; i++)
        strbuf_addc(&tar, (char) (i * 7));
    assert_int_equal(convert_tar(&tar, NULL, &x, NULL), 0);
    layer_truth_init(&t, &tar, &tar);
    tar.data[tar.len - 1] ^= 1;
    m = memory_reader(tar.data, tar.len, SIZE_MAX);
    assert_int_equal(layer_stream_new(&m.base, &t.expect, &s, NULL), 0);
    assert_int_equal(convert_stream_to(s, &budget, &x, NULL), MVM_E_DIGEST);
}

static void damaged_blob_is_told_before_its_malformed_tar(void **state)
{
    mvm_autovalue(strbuf) blob = STRBUF_INIT(TAR_MAX);
    mvm_autovalue(converted) x = CONVERTED_INIT;
    struct image_budget budget = { .limits = IMAGE_LIMITS_DEFAULT };
    mvm_autoerror mvm_error *e = NULL;
    mvm_auto(layer_stream) s = NULL;
    struct memory_reader m;
    struct layer_truth t;

    (void) state;
    for (int i = 0; i < 2000000; i++)
        strbuf_addc(&blob, (char) (i * 7 + 1));
    layer_truth_init(&t, &blob, &blob);
    t.blob.digest.bytes[0] ^= 1;
    m = memory_reader(blob.data, blob.len, SIZE_MAX);
    assert_int_equal(layer_stream_new(&m.base, &t.expect, &s, NULL), 0);
    assert_int_equal(convert_stream_to(s, &budget, &x, &e), MVM_E_DIGEST);
    assert_non_null(strstr(mvm_error_message(e), "content has the digest"));
}

/* Every third entry asks to be cancelled. */
static int cancel_at_third(void *user, const struct image_progress *p)
{
    unsigned *calls = user;

    (void) p;
    return ++*calls == 3;
}

static void cancelled_conversion_stops(void **state)
{
    static const struct tar_spec specs[] = { FILE_OF("a", "x"), FILE_OF("b", "x"), { 0 } };
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    mvm_autoclose int data_fd = memory_file("data"), index_fd = memory_file("index");
    const struct layer_output out = { .data_fd = data_fd, .index_fd = index_fd };
    unsigned calls = 2;
    struct image_tick tick = { .fn = cancel_at_third, .user = &calls };
    mvm_auto(layer_stream) s = NULL;
    struct layer_sums sums;
    struct memory_reader m;
    struct layer_truth t;

    (void) state;
    tar_add(&tar, &specs[0]);
    tar_add(&tar, &specs[1]);
    tar_end(&tar);
    layer_truth_init(&t, &tar, &tar);
    m = memory_reader(tar.data, tar.len, SIZE_MAX);
    assert_int_equal(layer_stream_new(&m.base, &t.expect, &s, NULL), 0);
    assert_int_equal(layer_convert(s, &out, &t.budget, &tick, &sums, NULL), MVM_E_CANCELLED);
    assert_int_equal(t.budget.entries, 1);
}

static void full_disk_is_told(void **state)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    mvm_autoclose int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    mvm_autoclose int good = memory_file("good");

    (void) state;
    assert_true(full >= 0);
    tar_add(&tar, &(struct tar_spec){ .name = "f", .data = (char[5000]){ "x" }, .size = 5000 });
    tar_end(&tar);
    for (int which = 0; which < 2; which++) {
        const struct layer_output out = { .data_fd = which ? good : full,
                                          .index_fd = which ? full : good };
        struct memory_reader m = memory_reader(tar.data, tar.len, SIZE_MAX);
        mvm_autoerror mvm_error *e = NULL;
        mvm_auto(layer_stream) s = NULL;
        struct layer_sums sums;
        struct layer_truth t;

        layer_truth_init(&t, &tar, &tar);
        assert_int_equal(layer_stream_new(&m.base, &t.expect, &s, NULL), 0);
        assert_int_equal(layer_convert(s, &out, &t.budget, NULL, &sums, &e), MVM_E_SYS);
        assert_int_equal(mvm_error_errno(e), ENOSPC);
        assert_non_null(strstr(mvm_error_message(e), which ? "index" : "data"));
    }
}

/* xorshift64*: good enough to choose, and the same everywhere. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Whatever is accepted can be read again (convert_tar() does), and no tar is accepted whose names
 * are not as they should be. */
static void random_hostile_tars_give_whole_indexes_or_errors(void **state)
{
    static const char *const names[] = { "a",    "b/",      "a/b",  "./l/x",          "../c",
                                         "/abs", "a/.wh.b", ".wh.", "a/.wh..wh..opq", "l/../a",
                                         ".",    "a\nb",    "a//b" };
    static const char types[] = "00112234567SD";
    unsigned accepted = 0;

    (void) state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        uint64_t s = seed * UINT64_C(0x9e3779b97f4a7c15);
        mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
        mvm_autovalue(converted) x = CONVERTED_INIT;
        bool bad = false;

        for (uint64_t i = random_next(&s) % 4; i < 5; i++) {
            const char *name = names[random_next(&s) % ARRAY_SIZE(names)];
            char type = types[random_next(&s) % (sizeof(types) - 1)];

            bad = bad || strstr(name, "..") == name || strchr(name, '\n') ||
                  strcmp(name, ".wh.") == 0;
            tar_add(&tar, &(struct tar_spec){ .name = name,
                                              .type = type,
                                              .link = names[random_next(&s) % ARRAY_SIZE(names)],
                                              .data = type == '0' ? "evil" : NULL,
                                              .mode = (unsigned) random_next(&s) & 07777 });
        }
        tar_end(&tar);
        if (convert_tar(&tar, NULL, &x, NULL) == 0) {
            accepted++;
            if (bad)
                fail_msg("seed %llu: a bad name was accepted", (unsigned long long) seed);
        }
    }
    assert_true(accepted > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_hold_at_their_value_and_not_above),
        cmocka_unit_test(layers_of_an_image_share_its_budget),
        cmocka_unit_test(threads_never_take_more_than_there_is),
        cmocka_unit_test(long_names_hold_at_the_limit_and_not_above),
        cmocka_unit_test(attributes_and_devices_hold_at_the_limit_and_not_above),
        cmocka_unit_test(names_are_bytes),
        cmocka_unit_test(sparse_files_keep_content_and_holes),
        cmocka_unit_test(old_sparse_files_are_read),
        cmocka_unit_test(large_holes_cost_nothing),
        cmocka_unit_test(hostile_sparse_files_are_refused),
        cmocka_unit_test(malformed_tars_are_refused),
        cmocka_unit_test(bytes_behind_the_end_marker_are_read_and_compared),
        cmocka_unit_test(damaged_blob_is_told_before_its_malformed_tar),
        cmocka_unit_test(cancelled_conversion_stops),
        cmocka_unit_test(full_disk_is_told),
        cmocka_unit_test(random_hostile_tars_give_whole_indexes_or_errors),
    };

    return cmocka_run_group_tests_name("image-layer-convert-limits", tests, NULL, NULL);
}
