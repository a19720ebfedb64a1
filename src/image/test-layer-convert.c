/* SPDX-License-Identifier: Apache-2.0 */
/* What the entries of a tar become. */
#include "image/test-layer-convert.h"

#include <sys/sysmacros.h>

#define SPECS_MAX 12

/* Entries, and the records that they become; what must fail says with which words. */
struct convert_case {
    const char *what;
    struct tar_spec specs[SPECS_MAX];
    const char *records; /* NULL: it fails */
    const char *error;
};

static void run_cases(const struct convert_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mvm_autovalue(converted) x = CONVERTED_INIT;
        mvm_autovalue(strbuf) got = STRBUF_INIT(1u << 16);
        mvm_autoerror mvm_error *e = NULL;
        int r = convert_specs(cases[i].specs, NULL, &x, &e);

        if (cases[i].error && (r >= 0 || !strstr(mvm_error_message(e), cases[i].error)))
            fail_msg("%s: '%s', not '%s'", cases[i].what, mvm_error_message(e), cases[i].error);
        if (cases[i].error)
            continue;
        if (r < 0)
            fail_msg("%s: %s", cases[i].what, mvm_error_message(e));
        records_list(&x, &got);
        if (strcmp(strbuf_str(&got), cases[i].records) != 0)
            fail_msg("%s: '%s'", cases[i].what, strbuf_str(&got));
    }
}

static void names_that_climb_out_are_refused(void **state)
{
    static const struct convert_case cases[] = {
        { "..", { FILE_OF("../outside/canary", "x") }, .error = "climbs out" },
        { "inner ..", { FILE_OF("a/../b", "x") }, .error = "climbs out" },
        { ". ..", { FILE_OF("./..", "x") }, .error = "climbs out" },
        { "last ..", { DIR("a/..") }, .error = "climbs out" },
        { "absolute", { FILE_OF("/etc/passwd", "x") }, .error = "is absolute" },
        { "doubly absolute", { FILE_OF("//etc", "x") }, .error = "is absolute" },
        { "whiteout ..", { FILE_OF("../outside/.wh.canary", "") }, .error = "climbs out" },
        { "newline", { FILE_OF("a\nb", "x") }, .error = "has a newline" },
        { "whiteout with a newline", { FILE_OF("a/.wh.x\n", "") }, .error = "has a newline" },
        { "names its entry",
          { FILE_OF("good", "x"), FILE_OF("x/../y", "x") },
          .error = "'x/../y'" },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void names_become_normal_paths(void **state)
{
    static const struct convert_case cases[] = {
        { "dots and slashes",
          { FILE_OF("./a//./x", "1"), DIR("./b/"), FILE_OF("...", "") },
          .records = "file a/x\ndir b\nfile ...\n" },
        { "the root", { DIR("./"), DIR("."), DIR("/") }, .records = "dir \ndir \ndir \n" },
        { "control bytes are kept",
          { FILE_OF("a\tb\x01\x7f\r", "x") },
          .records = "file a\tb\x01\x7f\r\n" },
        { "duplicates stay, in order",
          { FILE_OF("x", "1"), DIR("x"), FILE_OF("x", "2") },
          .records = "file x\ndir x\nfile x\n" },
        { "a file with a slash behind it is a directory",
          { FILE_OF("d/", "") },
          .records = "dir d\n" },
        { "nothing", { { 0 } }, .records = "" },
        { "the root is a directory",
          { SYMLINK("./", "x") },
          .error = "the root of the image must be a directory" },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void links_are_kept_as_they_are(void **state)
{
    static const struct convert_case cases[] = {
        { "targets are verbatim",
          { SYMLINK("l", "../../../etc/passwd"), SYMLINK("m", "/etc//passwd/."),
            SYMLINK("n", "a\nb") },
          .records = "symlink l -> ../../../etc/passwd\nsymlink m -> /etc//passwd/.\n"
                     "symlink n -> a\nb\n" },
        { "sources are normal paths",
          { FILE_OF("d/f", "x"), HARDLINK("h", "./d//f") },
          .records = "file d/f\nhardlink h -> d/f\n" },
        { "a source that comes later, or never",
          { HARDLINK("h", "nowhere") },
          .records = "hardlink h -> nowhere\n" },
        { "no target", { SYMLINK("l", "") }, .error = "without a target" },
        { "..", { HARDLINK("h", "../outside/canary") }, .error = "climbs out" },
        { "absolute", { HARDLINK("h", "/etc/passwd") }, .error = "is absolute" },
        { "root", { HARDLINK("h", ".") }, .error = "the root" },
        { "newline", { HARDLINK("h", "a\nb") }, .error = "has a newline" },
        { "names its source", { HARDLINK("h", "/x") }, .error = "hard link to '/x'" },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void whiteouts_become_records(void **state)
{
    static const struct convert_case cases[] = {
        { "plain",
          { FILE_OF("d/.wh.a", ""), FILE_OF(".wh.b", ""), FILE_OF("d/.wh.wh", "") },
          .records = "whiteout d/a\nwhiteout b\nwhiteout d/wh\n" },
        { "opaque",
          { FILE_OF("d/e/.wh..wh..opq", ""), FILE_OF("./.wh..wh..opq", "") },
          .records = "opaque d/e\nopaque \n" },
        { "content is without effect",
          { FILE_OF("d/.wh.a", "some content"), FILE_OF("f", "x") },
          .records = "whiteout d/a\nfile f\n" },
        { "whatever its type",
          { DIR("d/.wh.a"), SYMLINK("d/.wh.b", "x"), HARDLINK("d/.wh.c", "../x") },
          .records = "whiteout d/a\nwhiteout d/b\nwhiteout d/c\n" },
        { "nothing below one",
          { FILE_OF(".wh.d/x", "1"), FILE_OF("a/.wh.b/c/.wh.d", "") },
          .records = "" },
        { "bookkeeping of AUFS",
          { FILE_OF(".wh..wh.aufs", ""), DIR(".wh..wh.plnk"), FILE_OF(".wh..wh.plnk/1.2", "x"),
            FILE_OF("d/.wh..wh..opqx", "") },
          .records = "" },
        { "no whiteouts",
          { FILE_OF(".whnot", "x"), FILE_OF("a.wh.b", "x") },
          .records = "file .whnot\nfile a.wh.b\n" },
        { "of nothing", { FILE_OF("d/.wh.", "") }, .error = "a whiteout of ''" },
        { "of .", { FILE_OF("d/.wh..", "") }, .error = "a whiteout of '.'" },
        { "of ..", { FILE_OF("d/.wh...", "") }, .error = "a whiteout of '..'" },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void attributes_are_kept(void **state)
{
    mvm_autovalue(strbuf) pax = STRBUF_INIT(4096);
    mvm_autovalue(converted) x = CONVERTED_INIT;
    mvm_autovalue(layer_cursor) c = { 0 };
    const struct layer_record *r;

    (void) state;
    pax_record(&pax, "mtime", "981173106.123456789", 19);
    pax_record(&pax, "uid", "4294967294", 10);
    const struct tar_spec specs[] = {
        { .name = "d", .type = '5', .mode = 01555, .mtime = 1000, .uid = 5, .gid = 6 },
        { .name = "d/f", .data = "x", .mode = 06711, .gid = 8, .pax = strbuf_str(&pax) },
        { .name = "d/l", .type = '2', .link = "x", .mtime = 2000, .uid = 9, .gid = 10 },
        { .name = "d/p", .type = '6', .mode = 0640, .mtime = 3000 },
        { .name = "null", .type = '3', .mode = 0666, .major = 1, .minor = 3 },
        { .name = "disk", .type = '4', .mode = 0660, .major = 254, .minor = 17 },
        { .name = "h", .type = '1', .link = "d/f", .mode = 0777, .uid = 3, .mtime = 4 },
        { 0 }
    };
    assert_int_equal(convert_specs(specs, NULL, &x, NULL), 0);
    r = record_find(&x, "d", &c);
    assert_int_equal(r->kind, LAYER_DIR);
    assert_int_equal(r->mode, 01555);
    assert_int_equal(r->uid, 5);
    assert_int_equal(r->gid, 6);
    assert_int_equal(r->mtime_s, 1000);
    r = record_find(&x, "d/f", &c);
    assert_int_equal(r->mode, 06711);
    assert_int_equal(r->uid, 4294967294);
    assert_int_equal(r->gid, 8);
    assert_int_equal(r->mtime_s, 981173106);
    assert_int_equal(r->mtime_ns, 123456789);
    r = record_find(&x, "d/l", &c);
    assert_int_equal(r->uid, 9);
    assert_int_equal(r->gid, 10);
    assert_int_equal(r->mtime_s, 2000);
    r = record_find(&x, "d/p", &c);
    assert_int_equal(r->kind, LAYER_FIFO);
    assert_int_equal(r->mode, 0640);
    r = record_find(&x, "null", &c);
    assert_int_equal(r->kind, LAYER_CHAR);
    assert_int_equal(r->device, makedev(1, 3));
    r = record_find(&x, "disk", &c);
    assert_int_equal(r->kind, LAYER_BLOCK_DEVICE);
    assert_int_equal(r->device, makedev(254, 17));
    r = record_find(&x, "h", &c);
    assert_int_equal(r->mode, 0);
    assert_int_equal(r->mtime_s, 0);
}

static void times_before_1970_are_kept(void **state)
{
    mvm_autovalue(strbuf) pax = STRBUF_INIT(4096);
    mvm_autovalue(converted) x = CONVERTED_INIT;
    mvm_autovalue(layer_cursor) c = { 0 };
    const struct layer_record *r;

    (void) state;
    pax_record(&pax, "mtime", "-100.25", 7);
    const struct tar_spec specs[] = { { .name = "f", .pax = strbuf_str(&pax) }, { 0 } };
    assert_int_equal(convert_specs(specs, NULL, &x, NULL), 0);
    r = record_find(&x, "f", &c);
    assert_int_equal(r->mtime_s, -101);
    assert_int_equal(r->mtime_ns, 750000000);
}

/* Compares the attributes of a record with a list of "name=value" in order, values in hex. */
static void expect_xattrs(const struct layer_record *r, const char *want)
{
    mvm_autovalue(strbuf) got = STRBUF_INIT(1u << 16);

    for (size_t i = 0; i < r->n_xattrs; i++) {
        strbuf_addf(&got, "%s%s=", i > 0 ? " " : "", r->xattrs[i].name);
        for (size_t k = 0; k < r->xattrs[i].value_len; k++)
            strbuf_addf(&got, "%02x", ((const unsigned char *) r->xattrs[i].value)[k]);
    }
    assert_string_equal(strbuf_str(&got), want);
}

static void extended_attributes_are_kept(void **state)
{
    mvm_autovalue(strbuf) pax = STRBUF_INIT(4096);
    mvm_autovalue(converted) x = CONVERTED_INIT;
    mvm_autovalue(layer_cursor) c = { 0 };

    (void) state;
    pax_record(&pax, "SCHILY.xattr.user.note", "first", 5);
    pax_record(&pax, "SCHILY.xattr.user.note", "a\0b\n", 4);
    pax_record(&pax, "SCHILY.xattr.security.capability", "\1\0\0\2", 4);
    pax_record(&pax, "SCHILY.xattr.security.selinux", "label", 5);
    pax_record(&pax, "SCHILY.xattr.system.other", "x", 1);
    pax_record(&pax, "SCHILY.xattr.trusted.overlay.metacopy", "", 0);
    pax_record(&pax, "SCHILY.xattr.trusted.t", "", 0);
    pax_record(&pax, "LIBARCHIVE.xattr.user.b", "YWI=", 4);
    const struct tar_spec specs[] = {
        { .name = "f", .data = "x", .pax = pax.data, .pax_len = pax.len },
        { .name = "l", .type = '2', .link = "x", .pax = pax.data, .pax_len = pax.len },
        { .name = "d", .type = '5', .pax = pax.data, .pax_len = pax.len },
        { .name = "h", .type = '1', .link = "f", .pax = pax.data, .pax_len = pax.len },
        FILE_OF("none", "x"),
        { 0 }
    };
    static const char want[] = "security.capability=01000002 trusted.t= user.b=6162 "
                               "user.note=6100620a";

    assert_int_equal(convert_specs(specs, NULL, &x, NULL), 0);
    expect_xattrs(record_find(&x, "f", &c), want);
    expect_xattrs(record_find(&x, "l", &c), want);
    expect_xattrs(record_find(&x, "d", &c), want);
    expect_xattrs(record_find(&x, "h", &c), "");
    expect_xattrs(record_find(&x, "none", &c), "");
}

static void acls_become_attributes(void **state)
{
    static const char access[] = "user::rw-,user:1000:rwx,group::r--,group:5:-w-,mask::rwx,"
                                 "other::r--";
    static const char named[] = "user::rw-,user:lisa:rwx,group::r--,mask::rwx,other::r--";
    static const char of_dir[] = "user::rwx,group::r-x,other::---";
    mvm_autovalue(strbuf) file = STRBUF_INIT(4096);
    mvm_autovalue(strbuf) dir = STRBUF_INIT(4096);
    mvm_autovalue(strbuf) nobody = STRBUF_INIT(4096);
    mvm_autovalue(converted) x = CONVERTED_INIT;
    mvm_autovalue(layer_cursor) c = { 0 };
    const struct layer_record *r;

    (void) state;
    pax_record(&file, "SCHILY.acl.access", access, strlen(access));
    pax_record(&dir, "SCHILY.acl.default", of_dir, strlen(of_dir));
    pax_record(&nobody, "SCHILY.acl.access", named, strlen(named));
    const struct tar_spec specs[] = {
        { .name = "f", .data = "x", .mode = 04674, .pax = strbuf_str(&file) },
        { .name = "d", .type = '5', .mode = 0750, .pax = strbuf_str(&dir) },
        { .name = "n", .data = "x", .mode = 0674, .pax = strbuf_str(&nobody) },
        { 0 }
    };
    assert_int_equal(convert_specs(specs, NULL, &x, NULL), 0);
    r = record_find(&x, "f", &c);
    /* Version 2; each entry: what it is about (1, 2, 4, 8, 16, 32), what it permits, an id. */
    expect_xattrs(r, "system.posix_acl_access=02000000"
                     "01000600ffffffff02000700e803000004000400ffffffff0800020005000000"
                     "10000700ffffffff20000400ffffffff");
    assert_int_equal(r->mode, 04674); /* its group bits are the mask */
    r = record_find(&x, "d", &c);
    expect_xattrs(r, "system.posix_acl_default=02000000"
                     "01000700ffffffff04000500ffffffff20000000ffffffff");
    assert_int_equal(r->mode, 0750);
    r = record_find(&x, "n", &c);
    expect_xattrs(r, "");
    assert_int_equal(r->mode, 0674);
}

static void contents_are_aligned_and_small_ones_in_the_index(void **state)
{
    static const size_t sizes[] = {
        0, 1, 2047, 2048, 2049, 4095, 4096, 4097, 262144, 700001, 3000
    };
    mvm_autofree char *content = malloc(700001 + ARRAY_SIZE(sizes));
    struct tar_spec specs[ARRAY_SIZE(sizes) + 1] = { 0 };
    char names[ARRAY_SIZE(sizes)][8];
    mvm_autovalue(converted) x = CONVERTED_INIT;
    mvm_autovalue(layer_cursor) c = { 0 };
    uint64_t blocks = 0, bytes = 0;

    (void) state;
    for (size_t i = 0; i < 700001 + ARRAY_SIZE(sizes); i++)
        content[i] = (char) (i * 13 + i / 4096 + 1);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        (void) snprintf(names[i], sizeof(names[i]), "f%zu", i);
        specs[i] = (struct tar_spec){ .name = names[i],
                                      .data = sizes[i] > 0 ? content + i : "",
                                      .size = sizes[i] };
    }
    assert_int_equal(convert_specs(specs, NULL, &x, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        const struct layer_record *r = record_find(&x, names[i], &c);

        expect_content(&x, r, content + i, sizes[i]);
        if (sizes[i] > LAYER_INLINE_MAX) {
            assert_int_equal(r->data_block, blocks);
            blocks += (sizes[i] + 4095) / 4096;
        }
        bytes += sizes[i];
    }
    assert_int_equal(x.sums.data_size, blocks * 4096);
    assert_int_equal(layer_index_totals(x.index)->file_bytes, bytes);
    assert_int_equal(layer_index_totals(x.index)->records, ARRAY_SIZE(sizes));
}

static void plain_bytes_are_counted(void **state)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    mvm_autovalue(converted) x = CONVERTED_INIT;
    struct image_budget budget = { .limits = IMAGE_LIMITS_DEFAULT };

    (void) state;
    tar_add(&tar, &(struct tar_spec) FILE_OF("f", "x"));
    tar_add(&tar, &(struct tar_spec) SYMLINK("link", "four"));
    tar_end(&tar);
    strbuf_add(&tar, "behind the end", 14);
    assert_int_equal(convert_tar(&tar, &budget, &x, NULL), 0);
    assert_int_equal(layer_index_totals(x.index)->plain_bytes, tar.len);
    assert_int_equal(budget.plain_bytes, tar.len);
    assert_int_equal(budget.entries, 2);
    assert_int_equal(budget.file_bytes, 1);
    assert_int_equal(budget.path_bytes, 1 + 4 + 4);
}

static void same_layer_gives_the_same_bytes(void **state)
{
    static const struct tar_spec specs[] = {
        DIR("d"), FILE_OF("d/f", "x"), SYMLINK("l", "d"), { 0 }
    };
    mvm_autovalue(converted) x = CONVERTED_INIT;
    mvm_autovalue(converted) y = CONVERTED_INIT;

    (void) state;
    assert_int_equal(convert_specs(specs, NULL, &x, NULL), 0);
    assert_int_equal(convert_specs(specs, NULL, &y, NULL), 0);
    assert_memory_equal(&x.sums, &y.sums, sizeof(x.sums));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_climb_out_are_refused),
        cmocka_unit_test(names_become_normal_paths),
        cmocka_unit_test(links_are_kept_as_they_are),
        cmocka_unit_test(whiteouts_become_records),
        cmocka_unit_test(attributes_are_kept),
        cmocka_unit_test(times_before_1970_are_kept),
        cmocka_unit_test(extended_attributes_are_kept),
        cmocka_unit_test(acls_become_attributes),
        cmocka_unit_test(contents_are_aligned_and_small_ones_in_the_index),
        cmocka_unit_test(plain_bytes_are_counted),
        cmocka_unit_test(same_layer_gives_the_same_bytes),
    };

    return cmocka_run_group_tests_name("image-layer-convert", tests, NULL, NULL);
}
