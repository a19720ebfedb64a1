/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc64.h"
#include "base/io.h"
#include "base/le.h"
#include "image/layer-record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

static int memory_file(void)
{
    int fd = memfd_create("index", MFD_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static struct layer_record record_of(enum layer_kind kind, const char *path, const char *link)
{
    return (struct layer_record){ .kind = kind,
                                  .path = path,
                                  .path_len = (uint16_t) strlen(path),
                                  .link = link,
                                  .link_len = (uint16_t) strlen(link) };
}

/* Writes @n records; their file. */
static int write_index(const struct layer_record *records, size_t n, uint64_t data_blocks)
{
    const struct layer_totals totals = { .data_blocks = data_blocks,
                                         .plain_bytes = 77,
                                         .file_bytes = 88 };
    mvm_auto(layer_writer) w = NULL;
    mvm_autoerror mvm_error *e = NULL;
    int fd = memory_file();

    assert_int_equal(layer_writer_new(fd, &w, NULL), 0);
    for (size_t i = 0; i < n; i++)
        if (layer_writer_add(w, &records[i], &e) < 0)
            fail_msg("record %zu: %s", i, mvm_error_message(e));
    assert_int_equal(layer_writer_finish(w, &totals, NULL), 0);
    return fd;
}

static void expect_record(const struct layer_record *got, const struct layer_record *want)
{
    assert_int_equal(got->kind, want->kind);
    assert_string_equal(got->path, want->path);
    assert_int_equal(got->path_len, want->path_len);
    assert_string_equal(got->link, want->link);
    assert_int_equal(got->link_len, want->link_len);
    assert_int_equal(got->mode, want->mode);
    assert_int_equal(got->uid, want->uid);
    assert_int_equal(got->gid, want->gid);
    assert_int_equal(got->mtime_s, want->mtime_s);
    assert_int_equal(got->mtime_ns, want->mtime_ns);
    assert_int_equal(got->device, want->device);
    assert_int_equal(got->size, want->size);
    assert_int_equal(got->data_block, want->data_block);
    assert_int_equal(got->n_xattrs, want->n_xattrs);
    if (want->content)
        assert_memory_equal(got->content, want->content, want->size);
    else if (want->size > 0)
        assert_null(got->content);
}

static const struct layer_xattr some_xattrs[] = { { "user.z", "a\0b", 3 },
                                                  { "security.capability", "\1\0\0\2", 4 },
                                                  { "user.empty", "", 0 } };

/* One of each kind. */
static size_t make_records(struct layer_record *r)
{
    static const char content[LAYER_INLINE_MAX] = "small";

    r[0] = record_of(LAYER_DIR, "", "");
    r[0].mode = 07755;
    r[1] = record_of(LAYER_FILE, "a/b", "");
    r[1].size = LAYER_INLINE_MAX;
    r[1].content = content;
    r[1].uid = UINT32_MAX - 1;
    r[1].gid = 5;
    r[1].mtime_s = -3;
    r[1].mtime_ns = 999999999;
    r[1].xattrs = some_xattrs;
    r[1].n_xattrs = ARRAY_SIZE(some_xattrs);
    r[2] = record_of(LAYER_FILE, "a/large\x01\xff", "");
    r[2].size = LAYER_INLINE_MAX + 1;
    r[2].data_block = 41;
    r[3] = record_of(LAYER_SYMLINK, "l", "../..//x/.");
    r[4] = record_of(LAYER_HARDLINK, "h", "a/b");
    r[5] = record_of(LAYER_CHAR, "c", "");
    r[5].device = makedev(LAYER_DEVICE_MAJOR_MAX, LAYER_DEVICE_MINOR_MAX);
    r[6] = record_of(LAYER_BLOCK_DEVICE, "d", "");
    r[6].device = makedev(8, 1);
    r[7] = record_of(LAYER_FIFO, "p", "");
    r[8] = record_of(LAYER_WHITEOUT, "a/gone", "");
    r[9] = record_of(LAYER_OPAQUE, "", "");
    r[10] = record_of(LAYER_FILE, "empty", "");
    return 11;
}

static void what_is_written_is_read(void **state)
{
    struct layer_record records[11];
    size_t n = make_records(records);
    mvm_autoclose int fd = write_index(records, n, 42);
    mvm_auto(layer_index) x = NULL;
    mvm_autovalue(layer_cursor) c = { 0 };
    mvm_autovalue(layer_cursor) again = { 0 };
    layer_place places[11];

    (void) state;
    assert_int_equal(layer_index_open(fd, NULL, &x, NULL), 0);
    assert_int_equal(layer_index_totals(x)->records, n);
    assert_int_equal(layer_index_totals(x)->data_blocks, 42);
    assert_int_equal(layer_index_totals(x)->plain_bytes, 77);
    assert_int_equal(layer_index_totals(x)->file_bytes, 88);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(layer_index_next(x, &c, NULL), 1);
        expect_record(&c.record, &records[i]);
        places[i] = c.place;
    }
    assert_int_equal(layer_index_next(x, &c, NULL), 0);
    layer_index_drop(x);
    for (size_t i = n; i-- > 0;) {
        assert_int_equal(layer_index_get(x, places[i], &again, NULL), 0);
        expect_record(&again.record, &records[i]);
    }
    assert_int_equal(layer_index_get(x, places[1], &again, NULL), 0);
    assert_string_equal(again.record.xattrs[0].name, "security.capability");
    assert_string_equal(again.record.xattrs[1].name, "user.empty");
    assert_int_equal(again.record.xattrs[1].value_len, 0);
    assert_string_equal(again.record.xattrs[2].name, "user.z");
    assert_memory_equal(again.record.xattrs[2].value, "a\0b", 3);
    assert_int_equal(layer_index_get(x, 0, &again, NULL), MVM_E_FORMAT);
    assert_int_equal(layer_index_get(x, UINT32_MAX, &again, NULL), MVM_E_FORMAT);
}

static void empty_layer_has_an_index(void **state)
{
    mvm_autoclose int fd = write_index(NULL, 0, 0);
    mvm_auto(layer_index) x = NULL;
    mvm_autovalue(layer_cursor) c = { 0 };

    (void) state;
    assert_int_equal(layer_index_open(fd, NULL, &x, NULL), 0);
    assert_int_equal(layer_index_totals(x)->records, 0);
    assert_int_equal(layer_index_next(x, &c, NULL), 0);
}

static void records_are_gathered_and_summed(void **state)
{
    struct layer_record record = record_of(LAYER_FILE, "some/name", "");
    static char content[LAYER_INLINE_MAX];
    mvm_autoclose int fd = memory_file();
    mvm_auto(layer_writer) w = NULL;
    mvm_auto(layer_index) x = NULL;
    mvm_autovalue(layer_cursor) c = { 0 };
    mvm_autofree unsigned char *all = NULL;
    uint64_t size = 0, crc = 0, records = 0;
    struct stat st;

    (void) state;
    record.size = sizeof(content);
    record.content = content;
    assert_int_equal(layer_writer_new(fd, &w, NULL), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(layer_writer_add(w, &record, NULL), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    for (int i = 200; i < 6000; i++)
        assert_int_equal(layer_writer_add(w, &record, NULL), 0);
    assert_int_equal(layer_writer_finish(w, &(struct layer_totals){ 0 }, NULL), 0);
    layer_writer_sum(w, &size, &crc);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, size);
    all = malloc(size);
    assert_int_equal(pread(fd, all, size, 0), size);
    assert_int_equal(crc64_add(0, all, size), crc);
    assert_int_equal(layer_index_open(fd, NULL, &x, NULL), 0);
    while (layer_index_next(x, &c, NULL) == 1) {
        records++;
        if (records % 1000 == 0)
            layer_index_drop(x);
    }
    assert_int_equal(records, 6000);
}

static void any_damage_is_found(void **state)
{
    struct layer_record records[11];
    size_t n = make_records(records);
    mvm_autoclose int fd = write_index(records, n, 42);
    mvm_auto(layer_index) x = NULL;
    struct stat st;

    (void) state;
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = 0; at < st.st_size; at++) {
        unsigned char byte = 0;

        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        if (layer_index_open(fd, NULL, &x, NULL) != MVM_E_FORMAT)
            fail_msg("byte %lld", (long long) at);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    assert_int_equal(ftruncate(fd, st.st_size + 8), 0);
    assert_int_equal(layer_index_open(fd, NULL, &x, NULL), MVM_E_FORMAT);
    for (off_t len = 0; len < st.st_size; len += 4) {
        assert_int_equal(ftruncate(fd, len), 0);
        assert_int_equal(layer_index_open(fd, NULL, &x, NULL), MVM_E_FORMAT);
    }
}

static void lengths_of_an_index_have_a_limit(void **state)
{
    mvm_autoclose int fd = memory_file();
    mvm_autoerror mvm_error *e = NULL;
    mvm_auto(layer_index) x = NULL;

    (void) state;
    /* A file of holes: one above the limit is refused for its length, the limit for what is in
     * it. */
    assert_int_equal(ftruncate(fd, (off_t) LAYER_INDEX_MAX + 8), 0);
    assert_int_equal(layer_index_open(fd, NULL, &x, &e), MVM_E_FORMAT);
    assert_non_null(strstr(mvm_error_message(e), "length"));
    mvm_error_free(steal_ptr(&e));
    assert_int_equal(ftruncate(fd, (off_t) LAYER_INDEX_MAX), 0);
    assert_int_equal(layer_index_open(fd, NULL, &x, &e), MVM_E_FORMAT);
    assert_non_null(strstr(mvm_error_message(e), "does not begin"));
}

/* The index of one record with some of its bytes changed and its sums made right; what the reader
 * says of it. */
static int read_changed(const struct layer_record *record, size_t at, const void *bytes, size_t len,
                        const char *want)
{
    mvm_autoclose int fd = write_index(record, 1, 42);
    mvm_autoerror mvm_error *e = NULL;
    mvm_auto(layer_index) x = NULL;
    mvm_autovalue(layer_cursor) c = { 0 };
    mvm_autofree unsigned char *all = calloc(1, 8192);
    ssize_t n = pread(fd, all, 8192, 0);
    int r;

    assert_true(n > LAYER_HEADER_LEN && at + len <= (size_t) n);
    memcpy(all + LAYER_HEADER_LEN + at, bytes, len);
    le64_put(all + LAYER_HEADER_SUM,
             crc64_add(0, all + LAYER_HEADER_LEN, (size_t) n - LAYER_HEADER_LEN));
    le64_put(all + LAYER_HEADER_OWN_SUM, crc64_add(0, all, LAYER_HEADER_OWN_SUM));
    assert_int_equal(pwrite(fd, all, (size_t) n, 0), n);
    r = layer_index_open(fd, NULL, &x, &e);
    if (r == 0)
        r = layer_index_next(x, &c, &e);
    if (r < 0 && want && !strstr(mvm_error_message(e), want))
        fail_msg("at %zu: '%s', not '%s'", at, mvm_error_message(e), want);
    return r;
}

/* Places in the record of "abc/def" with a link or attributes. */
#define AT_PATH LAYER_RECORD_FIXED
#define AT_LINK (LAYER_RECORD_FIXED + 8)

static void hostile_records_are_refused(void **state)
{
    struct layer_record file = record_of(LAYER_FILE, "abc/def", "");
    struct layer_record large = file, dir = record_of(LAYER_DIR, "abc/def", "");
    struct layer_record symlink = record_of(LAYER_SYMLINK, "abc/def", "xyz");
    struct layer_record hard = record_of(LAYER_HARDLINK, "abc/def", "xyz");
    struct layer_record device = record_of(LAYER_CHAR, "abc/def", "");
    /* clang-format off */
    const struct {
        const struct layer_record *record;
        size_t at;
        const char *bytes;
        size_t len;
        const char *want; /* NULL: it is good */
    } cases[] = {
        { &file, AT_PATH, "abc/def", 7, NULL },
        { &file, AT_PATH, "abc/de\n", 7, NULL },
        { &file, AT_PATH, "/bc/def", 7, "not normal" },
        { &file, AT_PATH, "abc/de/", 7, "not normal" },
        { &file, AT_PATH, "abc//ef", 7, "not normal" },
        { &file, AT_PATH, "abc/../", 7, "not normal" },
        { &file, AT_PATH, "../cdef", 7, "not normal" },
        { &file, AT_PATH, "abcd/..", 7, "not normal" },
        { &file, AT_PATH, "./cdefg", 7, "not normal" },
        { &file, AT_PATH, "a/./efg", 7, "not normal" },
        { &file, AT_PATH, "a/...fg", 7, NULL },
        { &file, AT_PATH, "ab\0/def", 7, "NUL" },
        { &file, AT_PATH, "abc/defg", 8, "NUL" },
        { &file, LAYER_RECORD_PATH_LEN, "\0\0", 2, "NUL" },
        { &file, LAYER_RECORD_PATH_LEN, "\xff\xff", 2, "cut" },
        { &file, LAYER_RECORD_LINK_LEN, "\1\0", 2, "NUL" },
        { &file, LAYER_RECORD_KIND, "\0", 1, "unknown kind" },
        { &file, LAYER_RECORD_KIND, "\x0a", 1, "unknown kind" },
        { &file, LAYER_RECORD_KIND, "\xff", 1, "unknown kind" },
        { &file, LAYER_RECORD_KIND + 1, "\1", 1, "should be zero" },
        { &file, LAYER_RECORD_XATTRS + 2, "\1", 1, "should be zero" },
        { &file, LAYER_RECORD_XATTRS + 7, "\1", 1, "should be zero" },
        { &file, LAYER_RECORD_MODE, "\xff\x0f", 2, NULL },
        { &file, LAYER_RECORD_MODE, "\x00\x10", 2, "mode" },
        { &file, LAYER_RECORD_MTIME_NS, "\xff\xc9\x9a\x3b", 4, NULL },
        { &file, LAYER_RECORD_MTIME_NS, "\x00\xca\x9a\x3b", 4, "time" },
        { &file, LAYER_RECORD_SIZE, "\xff\x07", 2, "content is cut" },
        { &file, LAYER_RECORD_PLACE, "\1", 1, "a place in the data" },
        { &file, LAYER_RECORD_XATTRS, "\1", 1, "too many" },
        { &file, LAYER_RECORD_XATTRS, "\xff\xff", 2, "too many" },
        { &file, LAYER_RECORD_FIXED + 9, "\1", 1, "behind the last" },
        { &file, LAYER_RECORD_LENGTH, "\0\0\0\0", 4, "length" },
        { &file, LAYER_RECORD_LENGTH, "\x30\0\0\0", 4, "length" },
        { &file, LAYER_RECORD_LENGTH, "\x41\0\0\0", 4, "length" },
        { &file, LAYER_RECORD_LENGTH, "\xf8\xff\xff\xff", 4, "length" },
        { &dir, LAYER_RECORD_SIZE, "\1", 1, "content where none" },
        { &dir, LAYER_RECORD_PLACE, "\1", 1, "content where none" },
        { &dir, LAYER_RECORD_KIND, "\x08", 1, NULL },
        { &large, LAYER_RECORD_PLACE, "\x28", 1, NULL },
        { &large, LAYER_RECORD_PLACE, "\x29", 1, "beyond the end" },
        { &large, LAYER_RECORD_PLACE, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "beyond the end" },
        { &large, LAYER_RECORD_SIZE, "\x00\xa0\x02", 3, NULL },
        { &large, LAYER_RECORD_SIZE, "\x01\xa0\x02", 3, "beyond the end" },
        { &large, LAYER_RECORD_SIZE, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "beyond the end" },
        { &symlink, LAYER_RECORD_KIND, "\1", 1, "where none belongs" },
        { &symlink, AT_LINK, "../", 3, NULL },
        { &symlink, AT_LINK, "x\0z", 3, "NUL" },
        { &symlink, LAYER_RECORD_LINK_LEN, "\0", 1, "NUL" },
        { &hard, AT_LINK, "a/b", 3, NULL },
        { &hard, AT_LINK, "../", 3, "not normal" },
        { &hard, AT_LINK, "/yz", 3, "not normal" },
        { &device, LAYER_RECORD_PLACE, "\xff\xff\x0f\0\xff\x0f\0\0", 8, NULL },
        { &device, LAYER_RECORD_PLACE, "\xff\xff\x1f\0\xff\x0f\0\0", 8, "out of range" },
        { &device, LAYER_RECORD_PLACE, "\xff\xff\x0f\0\x00\x10\0\0", 8, "out of range" },
    };
    /* clang-format on */

    (void) state;
    large.size = 8192;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int r = read_changed(cases[i].record, cases[i].at, cases[i].bytes, cases[i].len,
                             cases[i].want);

        if (r != (cases[i].want ? MVM_E_FORMAT : 1))
            fail_msg("case %zu: %d", i, r);
    }
}

static void hostile_attributes_are_refused(void **state)
{
    static const struct layer_xattr two[] = { { "user.a", "1", 1 }, { "user.b", "2", 1 } };
    struct layer_record file = record_of(LAYER_FILE, "abc/def", "");
    /* They begin behind path and link: the lengths, the name, its NUL, the value. */
    size_t first = LAYER_RECORD_FIXED + 9, second = first + 14;

    (void) state;
    file.xattrs = two;
    file.n_xattrs = 2;
    assert_int_equal(read_changed(&file, second + 6, "user.b", 6, NULL), 1);
    assert_int_equal(read_changed(&file, second + 6, "user.a", 6, "twice"), MVM_E_FORMAT);
    assert_int_equal(read_changed(&file, second + 6, "user.A", 6, "in order"), MVM_E_FORMAT);
    assert_int_equal(read_changed(&file, second + 6, "use\0.b", 6, "cut"), MVM_E_FORMAT);
    assert_int_equal(read_changed(&file, second, "\2", 1, NULL), 1); /* a byte of the padding */
    assert_int_equal(read_changed(&file, second, "\xff", 1, "cut"), MVM_E_FORMAT);
    assert_int_equal(read_changed(&file, first + 4, "\0\0", 2, "cut"), MVM_E_FORMAT);
    assert_int_equal(read_changed(&file, first + 4, "\xff\xff", 2, "cut"), MVM_E_FORMAT);
    assert_int_equal(read_changed(&file, LAYER_RECORD_KIND, "\x08", 1, "none belong"),
                     MVM_E_FORMAT);
}

static int add_one(const struct layer_record *record, mvm_error **err)
{
    mvm_autoclose int fd = memory_file();
    mvm_auto(layer_writer) w = NULL;

    assert_int_equal(layer_writer_new(fd, &w, NULL), 0);
    return layer_writer_add(w, record, err);
}

static void limits_of_a_record_hold_at_their_value_and_not_above(void **state)
{
    mvm_autofree char *text = malloc(LAYER_PATH_MAX + 2), *value = calloc(1, 65536);
    struct layer_record r = record_of(LAYER_SYMLINK, "l", "");
    struct layer_xattr xattrs[4] = { { .name = text, .value = value } };

    (void) state;
    memset(text, 'a', LAYER_PATH_MAX + 2);
    r.link = text;
    r.link_len = LAYER_SYMLINK_MAX;
    assert_int_equal(add_one(&r, NULL), 0);
    r.link_len = LAYER_SYMLINK_MAX + 1;
    assert_int_equal(add_one(&r, NULL), MVM_E_FORMAT);
    r = record_of(LAYER_FIFO, "p", "");
    r.path = text;
    r.path_len = LAYER_NAME_MAX;
    assert_int_equal(add_one(&r, NULL), 0);
    r.path_len = LAYER_NAME_MAX + 1;
    assert_int_equal(add_one(&r, NULL), MVM_E_FORMAT);
    for (size_t i = 200; i < LAYER_PATH_MAX; i += 200)
        text[i] = '/';
    r.path_len = LAYER_PATH_MAX;
    assert_int_equal(add_one(&r, NULL), 0);
    r.path_len = LAYER_PATH_MAX + 1;
    assert_int_equal(add_one(&r, NULL), MVM_E_FORMAT);
    r = record_of(LAYER_FIFO, "p", "");
    r.xattrs = xattrs;
    r.n_xattrs = 1;
    text[LAYER_XATTR_NAME_MAX] = '\0';
    xattrs[0].value_len = LAYER_XATTR_VALUE_MAX;
    assert_int_equal(add_one(&r, NULL), 0);
    xattrs[0].value_len++;
    assert_int_equal(add_one(&r, NULL), MVM_E_FORMAT);
    xattrs[0].value_len = 0;
    text[LAYER_XATTR_NAME_MAX] = 'a';
    text[LAYER_XATTR_NAME_MAX + 1] = '\0';
    assert_int_equal(add_one(&r, NULL), MVM_E_FORMAT);
    /* 56 bytes, path and link with their NULs, and four times lengths, name and NUL come first. */
    r.n_xattrs = 4;
    for (size_t i = 0; i < 4; i++)
        xattrs[i] = (struct layer_xattr){ (const char *[]){ "a", "b", "c", "d" }[i], value, 65519 };
    xattrs[3].value_len = LAYER_RECORD_MAX - 56 - 3 - 4 * 8 - 3 * 65519;
    assert_int_equal(add_one(&r, NULL), 0);
    xattrs[3].value_len++;
    assert_int_equal(add_one(&r, NULL), MVM_E_LIMIT);
    xattrs[3] = (struct layer_xattr){ "a", value, 1 };
    assert_int_equal(add_one(&r, NULL), MVM_E_FORMAT);
}

static void content_lies_within_the_totals(void **state)
{
    struct layer_record r = record_of(LAYER_FILE, "f", "");
    mvm_autoclose int fd = memory_file();
    mvm_auto(layer_writer) w = NULL;

    (void) state;
    r.size = 4097;
    r.data_block = 7;
    assert_int_equal(layer_writer_new(fd, &w, NULL), 0);
    assert_int_equal(layer_writer_add(w, &r, NULL), 0);
    assert_int_equal(layer_writer_finish(w, &(struct layer_totals){ .data_blocks = 8 }, NULL),
                     MVM_E_FORMAT);
    assert_int_equal(layer_writer_finish(w, &(struct layer_totals){ .data_blocks = 9 }, NULL), 0);
    r.data_block = LAYER_DATA_BLOCKS_MAX - 1;
    assert_int_equal(layer_writer_add(w, &r, NULL), MVM_E_FORMAT);
    r.size = 100;
    r.data_block = 0;
    assert_int_equal(layer_writer_add(w, &r, NULL), MVM_E_FORMAT); /* where is its content? */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(empty_layer_has_an_index),
        cmocka_unit_test(records_are_gathered_and_summed),
        cmocka_unit_test(any_damage_is_found),
        cmocka_unit_test(lengths_of_an_index_have_a_limit),
        cmocka_unit_test(hostile_records_are_refused),
        cmocka_unit_test(hostile_attributes_are_refused),
        cmocka_unit_test(limits_of_a_record_hold_at_their_value_and_not_above),
        cmocka_unit_test(content_lies_within_the_totals),
    };

    return cmocka_run_group_tests_name("image-layer-index", tests, NULL, NULL);
}
