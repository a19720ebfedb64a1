/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar-headers.h"
#include "image/tar-reader.h"
#include "image/test-layer.h"

/* Hands out a tar in pieces, each in memory of its own that is gone with the next one. */
struct pieces {
    const struct strbuf *tar;
    size_t at, piece;
    char *held; /* owned */
};

static ssize_t pull_piece(void *user, const void **ret, mvm_error **err)
{
    struct pieces *p = user;
    size_t n = p->tar->len - p->at;

    (void) err;
    n = n < p->piece ? n : p->piece;
    free(p->held);
    p->held = malloc(n > 0 ? n : 1);
    if (n > 0)
        memcpy(p->held, p->tar->data + p->at, n);
    p->at += n;
    *ret = p->held;
    return (ssize_t) n;
}

/* Reads all entries, and of each content the first piece; the names, one a line. */
static int read_names(const struct strbuf *tar, size_t piece, struct strbuf *names, mvm_error **err)
{
    struct pieces p = { .tar = tar, .piece = piece };
    mvm_auto(tar_reader) t = NULL;
    struct tar_entry e;
    int r = tar_reader_new_pull(pull_piece, &p, &t, err);

    while (r == 0 && (r = tar_reader_next(t, &e, err)) > 0) {
        const void *data;
        uint64_t offset;
        size_t len;

        strbuf_addf(names, "%s\n", e.name);
        r = tar_reader_data(t, &data, &len, &offset, err);
        r = r > 0 ? 0 : r;
    }
    free(p.held);
    return r;
}

static const size_t piece_sizes[] = { 1, 7, 100, 511, 512, 513, 4096, 100000, SIZE_MAX };

/* In pieces of any size: the names, or with @names NULL the words of the error. */
static void expect_names(const struct strbuf *tar, const char *names, const char *error)
{
    for (size_t i = 0; i < ARRAY_SIZE(piece_sizes); i++) {
        mvm_autovalue(strbuf) got = STRBUF_INIT(TAR_MAX);
        mvm_autoerror mvm_error *e = NULL;
        int r = read_names(tar, piece_sizes[i], &got, &e);

        if (names && (r != 0 || strcmp(strbuf_str(&got), names) != 0))
            fail_msg("pieces of %zu: '%s', '%s'", piece_sizes[i], strbuf_str(&got),
                     mvm_error_message(e));
        if (!names && (r != MVM_E_FORMAT || !strstr(mvm_error_message(e), error)))
            fail_msg("pieces of %zu: %d '%s', not '%s'", piece_sizes[i], r, mvm_error_message(e),
                     error);
    }
}

/* A name, or a link target, from a GNU header. */
static void add_long(struct strbuf *tar, char type, const char *text, size_t len)
{
    tar_header(tar, &(struct tar_spec){ .name = "././@LongLink", .type = type }, len);
    strbuf_add(tar, text, len);
    tar_pad(tar);
}

static void entries_come_whatever_the_pieces(void **state)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    mvm_autovalue(strbuf) pax = STRBUF_INIT(1u << 20);
    char name[300];

    (void) state;
    memset(name, 'n', 299);
    name[299] = '\0';
    pax_record(&pax, "path", "from/pax", 8);
    pax_record(&pax, "SCHILY.xattr.user.x", "a\0b", 3);
    tar_add(&tar, &(struct tar_spec){ .name = "first", .data = name });
    tar_add(&tar,
            &(struct tar_spec){ .name = "x", .data = "some", .pax = pax.data, .pax_len = pax.len });
    add_long(&tar, 'L', "from/gnu", 9);
    add_long(&tar, 'K', "target\0\0\0", 9);
    tar_add(&tar, &(struct tar_spec) SYMLINK("y", "z"));
    tar_add(&tar, &(struct tar_spec) FILE_OF("last", ""));
    tar_end(&tar);
    expect_names(&tar, "first\nfrom/pax\nfrom/gnu\nlast\n", NULL);
}

static void names_with_a_nul_are_refused(void **state)
{
    static const char *const keys[] = { "path", "linkpath", "GNU.sparse.name" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        for (int global = 0; global < 2; global++) {
            mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
            mvm_autovalue(strbuf) pax = STRBUF_INIT(4096);
            mvm_autofree char *words = NULL;

            pax_record(&pax, "comment", "before", 6);
            pax_record(&pax, keys[i], "a\0b", 3);
            pax_record(&pax, "comment", "after", 5);
            tar_add(&tar, &(struct tar_spec) FILE_OF("first", "x"));
            if (global) {
                tar_header(&tar, &(struct tar_spec){ .name = "g", .type = 'g' }, 0);
                tar_add(&tar, &(struct tar_spec) FILE_OF("second", "x"));
            }
            tar_add(&tar, &(struct tar_spec){
                              .name = "x", .data = "", .pax = pax.data, .pax_len = pax.len });
            tar_end(&tar);
            assert_true(asprintf(&words, "%s with a NUL inside", keys[i]) > 0);
            expect_names(&tar, NULL, words);
        }
    for (const char *type = "LK"; *type; type++) {
        mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);

        add_long(&tar, *type, "a\0b", 4);
        tar_add(&tar, &(struct tar_spec) SYMLINK("l", "t"));
        tar_end(&tar);
        expect_names(&tar, NULL, "a long name with a NUL inside");
    }
}

/* A pax header with one comment, @len bytes in all, a multiple of 512. */
static void add_comment(struct strbuf *tar, char type, size_t len)
{
    mvm_autofree char *text = malloc(len);
    char digits[24];
    size_t before = (size_t) snprintf(digits, sizeof(digits), "%zu comment=", len);

    memset(text, 'c', len);
    memcpy(text, digits, before);
    text[len - 1] = '\n';
    tar_header(tar, &(struct tar_spec){ .name = "pax", .type = type }, len);
    strbuf_add(tar, text, len);
}

/* Of an entry in the middle of a tar. */
static int read_headers_of(size_t global, size_t own)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    mvm_autovalue(strbuf) got = STRBUF_INIT(TAR_MAX);
    int r;

    tar_add(&tar, &(struct tar_spec) FILE_OF("before", "x"));
    add_comment(&tar, 'g', global);
    add_comment(&tar, 'x', own);
    tar_add(&tar, &(struct tar_spec) FILE_OF("f", "x"));
    tar_end(&tar);
    r = read_names(&tar, SIZE_MAX, &got, NULL);
    assert_int_equal(read_names(&tar, 4096, &got, NULL), r);
    return r;
}

static void headers_of_an_entry_hold_at_the_limit_and_not_above(void **state)
{
    (void) state;
    /* libarchive takes records of less than a million bytes. Each of the two has a header of 512
     * bytes, and so has the entry. */
    assert_int_equal(read_headers_of(TAR_HEADERS_MAX - 999936 - 3 * 512, 999936), 0);
    assert_int_equal(read_headers_of(TAR_HEADERS_MAX - 999936 - 2 * 512, 999936), MVM_E_LIMIT);
}

static void malformed_headers_are_refused(void **state)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);

    (void) state;
    tar_add(&tar, &(struct tar_spec){ .name = "x", .data = "y", .pax = "99 path=foo\n" });
    expect_names(&tar, NULL, "malformed");
    strbuf_reset(&tar);
    tar_add(&tar, &(struct tar_spec) FILE_OF("f", "some content"));
    tar.len -= 100;
    tar_add(&tar, &(struct tar_spec) FILE_OF("g", "x"));
    expect_names(&tar, NULL, "malformed");
}

/* The map of a sparse file that never ends: what is kept of it has a limit. */
static void maps_of_sparse_files_have_a_limit(void **state)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    mvm_autovalue(strbuf) pax = STRBUF_INIT(4096);
    mvm_autovalue(strbuf) got = STRBUF_INIT(TAR_MAX);
    mvm_autoerror mvm_error *e = NULL;
    mvm_autofree char *map = malloc(8u << 20);

    (void) state;
    for (size_t i = 0; i < 8u << 20; i += 4)
        memcpy(map + i, "0\n0\n", 4);
    memcpy(map, "2000000\n", 8);
    pax_record(&pax, "GNU.sparse.major", "1", 1);
    pax_record(&pax, "GNU.sparse.minor", "0", 1);
    pax_record(&pax, "GNU.sparse.realsize", "1000", 4);
    tar_add(&tar, &(struct tar_spec){
                      .name = "f", .data = map, .size = 8u << 20, .pax = strbuf_str(&pax) });
    tar_end(&tar);
    assert_int_equal(read_names(&tar, 65536, &got, &e), MVM_E_LIMIT);
    assert_non_null(strstr(mvm_error_message(e), "headers of an entry"));
}

/* Gives a piece of a header, then fails once, then gives the rest. */
static ssize_t pull_with_a_failure(void *user, const void **ret, mvm_error **err)
{
    struct pieces *p = user;

    if (p->at == 0 || p->piece == SIZE_MAX)
        return pull_piece(p, ret, err);
    p->piece = SIZE_MAX;
    return mvm_fail(err, MVM_E_NET, 0, "the cable");
}

static void a_failure_at_the_beginning_is_not_the_end(void **state)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    struct pieces p = { .tar = &tar, .piece = 100 };
    mvm_autoerror mvm_error *e = NULL;
    mvm_auto(tar_reader) t = NULL;
    struct tar_entry entry;
    int r;

    (void) state;
    tar_add(&tar, &(struct tar_spec) FILE_OF("f", "x"));
    tar_end(&tar);
    r = tar_reader_new_pull(pull_with_a_failure, &p, &t, &e);
    if (r == 0)
        r = tar_reader_next(t, &entry, &e);
    free(p.held);
    assert_int_equal(r, MVM_E_NET);
    assert_non_null(strstr(mvm_error_message(e), "the cable"));
}

/* An entry with ACLs of @len bytes in all, in two records. */
static int read_acls_of(size_t len, size_t piece)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    mvm_autovalue(strbuf) pax = STRBUF_INIT(1u << 20);
    mvm_autovalue(strbuf) got = STRBUF_INIT(TAR_MAX);
    mvm_autofree char *text = malloc(len);

    for (size_t i = 0; i < len; i++)
        text[i] = "u:1:r,"[i % 6];
    pax_record(&pax, "SCHILY.acl.access", text, 6000);
    pax_record(&pax, "SCHILY.acl.default", text, len - 6000);
    tar_add(&tar, &(struct tar_spec) FILE_OF("before", "x"));
    tar_add(&tar,
            &(struct tar_spec){ .name = "f", .data = "", .pax = pax.data, .pax_len = pax.len });
    tar_end(&tar);
    return read_names(&tar, piece, &got, NULL);
}

/* What libarchive would do with more of them takes a minute for each entry. */
static void acls_hold_at_the_limit_and_not_above(void **state)
{
    static const size_t pieces[] = { 512, 4096, 100000, SIZE_MAX };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        assert_int_equal(read_acls_of(TAR_HEADERS_ACL_MAX - 4, pieces[i]), 0);
        assert_int_equal(read_acls_of(TAR_HEADERS_ACL_MAX + 2, pieces[i]), MVM_E_LIMIT);
    }
}

/* A tar whose global header has one record, in front of its second entry. */
static int read_global(const char *key, const char *value, size_t piece, mvm_error **err)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    mvm_autovalue(strbuf) pax = STRBUF_INIT(4096);
    mvm_autovalue(strbuf) got = STRBUF_INIT(TAR_MAX);

    pax_record(&pax, "comment", "path=x", 6);
    pax_record(&pax, key, value, strlen(value));
    tar_add(&tar, &(struct tar_spec) FILE_OF("first", "x"));
    tar_header(&tar, &(struct tar_spec){ .name = "pax_global_header", .type = 'g' }, pax.len);
    strbuf_add(&tar, pax.data, pax.len);
    tar_pad(&tar);
    tar_add(&tar, &(struct tar_spec) FILE_OF("second", "x"));
    tar_end(&tar);
    return read_names(&tar, piece, &got, err);
}

static void global_headers_that_change_entries_are_refused(void **state)
{
    static const char *const bad[] = { "path",
                                       "linkpath",
                                       "size",
                                       "uid",
                                       "gid",
                                       "mtime",
                                       "SCHILY.xattr.user.x",
                                       "SCHILY.acl.access",
                                       "SCHILY.realsize",
                                       "LIBARCHIVE.xattr.user.x",
                                       "GNU.sparse.name" };
    static const char *const good[] = { "comment", "vendor.note", "pathx", "atime", "uname" };

    (void) state;
    for (size_t k = 0; k < ARRAY_SIZE(piece_sizes); k++) {
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
            mvm_autoerror mvm_error *e = NULL;

            if (read_global(bad[i], "1", piece_sizes[k], &e) != MVM_E_UNSUPPORTED ||
                !strstr(mvm_error_message(e), bad[i]))
                fail_msg("%s, pieces of %zu: '%s'", bad[i], piece_sizes[k], mvm_error_message(e));
            assert_int_equal(read_global(bad[i], "", piece_sizes[k], NULL), 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
            assert_int_equal(read_global(good[i], "1", piece_sizes[k], NULL), 0);
    }
}

/* Readers differ in whether a hard link's size in a pax archive tells of content. */
static void hard_links_with_a_size_are_refused_in_pax(void **state)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);

    (void) state;
    tar_add(&tar, &(struct tar_spec){ .name = "f", .data = "x", .pax = "13 mtime=1.5\n" });
    tar_header(&tar, &(struct tar_spec) HARDLINK("h", "f"), 600);
    tar_add(&tar, &(struct tar_spec) FILE_OF("second", "x"));
    tar_add(&tar, &(struct tar_spec) FILE_OF("third", "x"));
    tar_end(&tar);
    expect_names(&tar, NULL, "a hard link with a size");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_whatever_the_pieces),
        cmocka_unit_test(names_with_a_nul_are_refused),
        cmocka_unit_test(headers_of_an_entry_hold_at_the_limit_and_not_above),
        cmocka_unit_test(malformed_headers_are_refused),
        cmocka_unit_test(maps_of_sparse_files_have_a_limit),
        cmocka_unit_test(a_failure_at_the_beginning_is_not_the_end),
        cmocka_unit_test(acls_hold_at_the_limit_and_not_above),
        cmocka_unit_test(global_headers_that_change_entries_are_refused),
        cmocka_unit_test(hard_links_with_a_size_are_refused_in_pax),
    };

    return cmocka_run_group_tests_name("image-tar-reader", tests, NULL, NULL);
}
