/* SPDX-License-Identifier: Apache-2.0 */
/* What entries become: attributes, limits, malformed and hostile tars. */
#include "image/test-unpack-case.h"

#include <limits.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static void attributes_are_kept(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(strbuf) pax = STRBUF_INIT(4096);
    mvm_auto(rootfs_unpack) u = unpack_open(sb);
    char value[16] = "";
    struct stat st;

    pax_record(&pax, "SCHILY.xattr.user.note", "a\0b", 3);
    pax_record(&pax, "mtime", "981173106.123456789", 19);
    const struct tar_spec specs[] = {
        { .name = "d", .type = '5', .mode = 01555, .mtime = 1000, .uid = 5, .gid = 6 },
        { .name = "d/f",
          .data = "x",
          .mode = 06711,
          .uid = 7,
          .gid = 8,
          .pax = pax.data,
          .pax_len = pax.len },
        { .name = "d/l", .type = '2', .link = "x", .mtime = 2000, .uid = 9, .gid = 10 },
        { .name = "d/p", .type = '6', .mode = 0640, .mtime = 3000 },
        { .name = "i/f", .data = "y" },
        { 0 }
    };
    assert_int_equal(apply_specs(u, specs, NULL), 0);
    assert_int_equal(rootfs_unpack_finish(u, NULL, NULL), 0);
    assert_int_equal(fstatat(sb->root_fd, "d", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 01555);
    assert_int_equal(st.st_mtim.tv_sec, 1000);
    assert_int_equal(fstatat(sb->root_fd, "d/f", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 06711);
    assert_int_equal(st.st_mtim.tv_sec, 981173106);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
    if (geteuid() == 0) {
        assert_int_equal(st.st_uid, 7);
        assert_int_equal(st.st_gid, 8);
        assert_int_equal(fstatat(sb->root_fd, "d/l", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_uid, 9);
    }
    mvm_autoclose int fd = openat(sb->root_fd, "d/f", O_PATH | O_CLOEXEC);
    mvm_autofree char *path = NULL;

    assert_int_equal(path_of_fd(fd, &path, NULL), 0);
    assert_int_equal(getxattr(path, "user.note", value, sizeof(value)), 3);
    assert_memory_equal(value, "a\0b", 3);
    assert_int_equal(fstatat(sb->root_fd, "d/l", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mtim.tv_sec, 2000);
    assert_int_equal(fstatat(sb->root_fd, "d/p", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFIFO | 0640);
    assert_int_equal(fstatat(sb->root_fd, "i", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_mtim.tv_sec, 0);
    assert_int_equal(fstat(sb->root_fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
}

static void root_entry_and_upper_directories_set_attributes(void **state)
{
    struct sandbox *sb = *state;
    mvm_auto(rootfs_unpack) u = unpack_open(sb);
    static const struct tar_spec lower[] = {
        { .name = "./", .type = '5', .mode = 0711, .mtime = 50 },
        { .name = "d", .type = '5', .mode = 0700, .mtime = 60 },
        { .name = "/", .type = '5', .mode = 0710, .mtime = 55 },
        { 0 }
    };
    static const struct tar_spec upper[] = {
        { .name = "d", .type = '5', .mode = 0511, .mtime = 70 },
        { .name = "d/f", .data = "x" },
        { 0 }
    };
    static const struct tar_spec bad[] = { SYMLINK("./", "x"), { 0 } };
    struct stat st;

    assert_int_equal(apply_specs(u, lower, NULL), 0);
    assert_int_equal(apply_specs(u, upper, NULL), 0);
    assert_int_equal(apply_specs(u, bad, NULL), MVM_E_FORMAT);
    assert_int_equal(rootfs_unpack_finish(u, NULL, NULL), 0);
    assert_int_equal(fstat(sb->root_fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0710);
    assert_int_equal(st.st_mtim.tv_sec, 55);
    assert_int_equal(fstatat(sb->root_fd, "d", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0511);
    assert_int_equal(st.st_mtim.tv_sec, 70);
}

static void devices_are_made_by_root(void **state)
{
    struct sandbox *sb = *state;
    mvm_auto(rootfs_unpack) u = NULL;
    static const struct tar_spec specs[] = {
        { .name = "null", .type = '3', .mode = 0666, .major = 1, .minor = 3 },
        { .name = "disk", .type = '4', .mode = 0660, .major = 254, .minor = 17 },
        { 0 }
    };
    struct stat st;

    if (geteuid() != 0)
        skip();
    u = unpack_open(sb);
    assert_int_equal(apply_specs(u, specs, NULL), 0);
    assert_int_equal(fstatat(sb->root_fd, "null", &st, 0), 0);
    assert_int_equal(st.st_mode, S_IFCHR | 0666);
    assert_int_equal(st.st_rdev, makedev(1, 3));
    assert_int_equal(fstatat(sb->root_fd, "disk", &st, 0), 0);
    assert_int_equal(st.st_mode, S_IFBLK | 0660);
    assert_int_equal(st.st_rdev, makedev(254, 17));
}

/* A directory that its owner may not write, devices and foreign owners do not stop an ordinary
 * user. */
static int unpack_as_user(struct sandbox *sb)
{
    static const struct tar_spec lower[] = {
        { .name = "d", .type = '5', .mode = 0555, .uid = 1, .gid = 2 },
        { .name = "d/none", .data = "x", .mode = 0 | 01000, .uid = 3 },
        { .name = "null", .type = '3', .mode = 0666, .major = 1, .minor = 3 },
        { .name = "closed", .type = '5', .mode = 01000 },
        { 0 }
    };
    static const struct tar_spec upper[] = { { .name = "d/more", .data = "y" },
                                             { .name = "closed/f", .data = "z" },
                                             { 0 } };
    mvm_auto(rootfs_unpack) u = unpack_open(sb);
    struct stat st;

    if (apply_specs(u, lower, NULL) < 0 || apply_specs(u, upper, NULL) < 0)
        return 1;
    if (rootfs_unpack_finish(u, NULL, NULL) < 0 || rootfs_unpack_keeps_owners(u))
        return 2;
    if (fstatat(sb->root_fd, "d", &st, 0) < 0 || (st.st_mode & 07777) != 0555 ||
        !sandbox_has(sb->root_fd, "d/more"))
        return 3;
    return sandbox_has(sb->root_fd, "null") ? 4 : 0;
}

static void ordinary_user_fills_what_the_image_closes(void **state)
{
    struct sandbox *sb = *state;

    if (geteuid() == 0)
        assert_int_equal(fchown(sb->root_fd, 65534, 65534), 0);
    assert_int_equal(sandbox_as_user(unpack_as_user, sb), 0);
}

static int apply_limited(struct sandbox *sb, const struct unpack_limits *limits,
                         const struct tar_spec *specs, mvm_error **err)
{
    mvm_auto(rootfs_unpack) u = NULL;

    assert_int_equal(rootfs_unpack_new(sb->root_fd, limits, NULL, &u, NULL), 0);
    return apply_specs(u, specs, err);
}

static void limits_hold_at_their_value_and_not_above(void **state)
{
    static const struct tar_spec three[] = {
        FILE_OF("a", "12345"), FILE_OF("b", "12345"), DIR("p/q"), { 0 }
    };
    struct unpack_limits limits = { .entries = 3, .file_bytes = 10, .depth = 2, .xattr_bytes = 12 };
    mvm_autovalue(strbuf) pax = STRBUF_INIT(4096);
    struct sandbox *sb = *state;

    pax_record(&pax, "SCHILY.xattr.user.n", "123456", 6);
    const struct tar_spec attribute[] = { { .name = "x", .data = "", .pax = strbuf_str(&pax) },
                                          { 0 } };

    assert_int_equal(apply_limited(sb, &limits, three, NULL), 0);
    limits.entries = 2;
    assert_int_equal(apply_limited(sb, &limits, three, NULL), MVM_E_LIMIT);
    limits.entries = 3;
    limits.file_bytes = 9;
    assert_int_equal(apply_limited(sb, &limits, three, NULL), MVM_E_LIMIT);
    limits.file_bytes = 10;
    limits.depth = 1;
    assert_int_equal(apply_limited(sb, &limits, three, NULL), MVM_E_LIMIT);
    assert_int_equal(apply_limited(sb, &limits, attribute, NULL), 0);
    limits.xattr_bytes = 11;
    assert_int_equal(apply_limited(sb, &limits, attribute, NULL), MVM_E_LIMIT);
}

/* One entry whose name, or link, comes from a pax record. */
static int apply_pax(struct sandbox *sb, const char *key, const char *value,
                     const struct tar_spec *spec)
{
    const struct unpack_limits limits = UNPACK_LIMITS_DEFAULT;
    mvm_autovalue(strbuf) pax = STRBUF_INIT(1u << 20);
    struct tar_spec specs[2] = { *spec, { 0 } };

    pax_record(&pax, key, value, strlen(value));
    specs[0].pax = strbuf_str(&pax);
    return apply_limited(sb, &limits, specs, NULL);
}

static void long_names_hold_at_the_limit_and_not_above(void **state)
{
    static const struct tar_spec file = FILE_OF("short", "x"), link = SYMLINK("l", "x");
    mvm_autofree char *name = malloc(PATH_MAX + 10);
    struct sandbox *sb = *state;

    memset(name, 'a', PATH_MAX + 9);
    name[PATH_MAX + 9] = '\0';
    name[NAME_MAX] = '\0';
    assert_int_equal(apply_pax(sb, "path", name, &file), 0);
    name[NAME_MAX] = 'a';
    name[NAME_MAX + 1] = '\0';
    assert_int_equal(apply_pax(sb, "path", name, &file), MVM_E_LIMIT);
    for (size_t i = 0; i < PATH_MAX + 9; i++)
        name[i] = i % 200 == 199 ? '/' : 'a';
    name[4096] = '\0';
    assert_int_equal(apply_pax(sb, "path", name, &file), 0);
    name[4096] = 'a';
    name[4097] = '\0';
    assert_int_equal(apply_pax(sb, "path", name, &file), MVM_E_LIMIT);
    name[PATH_MAX] = '\0';
    assert_int_equal(apply_pax(sb, "linkpath", name, &link), MVM_E_LIMIT);
    name[PATH_MAX - 1] = '\0';
    assert_int_equal(apply_pax(sb, "linkpath", name, &link), 0);
}

static void depth_holds_through_links_too(void **state)
{
    struct unpack_limits limits = UNPACK_LIMITS_DEFAULT;
    static const struct tar_spec deep[] = {
        DIR("a/b/c"), SYMLINK("l", "a/b/c"), FILE_OF("l/d/x", "1"), { 0 }
    };
    struct sandbox *sb = *state;

    limits.depth = 4;
    assert_int_equal(apply_limited(sb, &limits, deep, NULL), 0);
    limits.depth = 3;
    assert_int_equal(apply_limited(sb, &limits, deep, NULL), MVM_E_LIMIT);
}

static void names_are_bytes(void **state)
{
    /* Decomposed (NFD) and composed (NFC) stay what they are, as do bytes that are no UTF-8. */
    static const char *const names[] = { "e\xcc\x81", "\xc3\xa9", "inv\xff\xfe" };
    static const struct tar_spec file = FILE_OF("f", "x"), link = SYMLINK("l", "t");
    struct sandbox *sb = *state;
    char target[64] = "";

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(apply_pax(sb, "path", names[i], &file), 0);
        assert_true(sandbox_has(sb->root_fd, names[i]));
        assert_int_equal(apply_pax(sb, "linkpath", names[i], &link), 0);
        memset(target, 0, sizeof(target));
        assert_true(readlinkat(sb->root_fd, "l", target, sizeof(target) - 1) > 0);
        assert_string_equal(target, names[i]);
    }
}

static void malformed_tars_are_refused(void **state)
{
    const struct unpack_limits limits = UNPACK_LIMITS_DEFAULT;
    struct sandbox *sb = *state;
    static const struct tar_spec bad_pax[] = { { .name = "x", .data = "y", .pax = "99 path=foo\n" },
                                               { 0 } };
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    mvm_auto(rootfs_unpack) u = unpack_open(sb);

    assert_int_equal(apply_limited(sb, &limits, bad_pax, NULL), MVM_E_FORMAT);
    strbuf_adds(&tar, "this is not a tar, and longer than nothing");
    assert_int_equal(layer_apply(u, &tar, NULL), MVM_E_FORMAT);
    strbuf_reset(&tar);
    tar_add(&tar, &(struct tar_spec) FILE_OF("f", "some content"));
    tar.len -= 100;
    assert_int_equal(layer_apply(u, &tar, NULL), MVM_E_FORMAT);
    tar.len = 300;
    assert_int_equal(layer_apply(u, &tar, NULL), MVM_E_FORMAT);
    tar.len = 0;
    assert_int_equal(layer_apply(u, &tar, NULL), 0);
    tar_add(&tar, &(struct tar_spec) FILE_OF("f", "no end marker"));
    assert_int_equal(layer_apply(u, &tar, NULL), 0);
    strbuf_reset(&tar);
    tar_add(&tar, &(struct tar_spec) FILE_OF("f", "x"));
    tar.data[3] ^= 1; /* the checksum of the header is wrong now */
    assert_int_equal(layer_apply(u, &tar, NULL), MVM_E_FORMAT);
}

/* xorshift64*: good enough to choose, and the same everywhere. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static const char *random_pick(uint64_t *state)
{
    static const char *const names[] = { "a",
                                         "b",
                                         "a/b",
                                         "a/b/c",
                                         "l",
                                         "l/x",
                                         "l/a/b",
                                         "../outside/canary",
                                         "/abs",
                                         "a/.wh.b",
                                         ".wh.l",
                                         "a/.wh..wh..opq",
                                         ".wh..wh..opq",
                                         "l/../a",
                                         "b/l",
                                         "b/l/canary",
                                         "a/l/outside/canary",
                                         "l/canary",
                                         "." };

    return names[random_next(state) % ARRAY_SIZE(names)];
}

static void random_hostile_tars_stay_inside_the_root(void **state)
{
    static const char types[] = "00112255566";
    static const char *const targets[] = { "..",     "../outside", "/", "a", "/a",
                                           "../../", "b/l",        ".", "l", "../a/../.." };
    struct sandbox *sb = *state;

    for (uint64_t seed = 1; seed <= 400; seed++) {
        mvm_auto(rootfs_unpack) u = unpack_open(sb);
        uint64_t s = seed * UINT64_C(0x9e3779b97f4a7c15);

        for (int entry = 0; entry < 40; entry++) {
            const char *name = random_pick(&s);
            char type = types[random_next(&s) % (sizeof(types) - 1)];
            const char *link = type == '1' ? random_pick(&s)
                                           : targets[random_next(&s) % ARRAY_SIZE(targets)];
            const struct tar_spec spec[] = { { .name = name,
                                               .type = type,
                                               .link = link,
                                               .data = type == '0' ? "evil" : NULL,
                                               .mode = 0777 },
                                             { 0 } };

            (void) apply_specs(u, spec, NULL);
            if (!sandbox_canary_lives(sb))
                fail_msg("seed %llu, entry %d: '%s' type %c to '%s'", (unsigned long long) seed,
                         entry, name, type, link);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SANDBOX_TEST(attributes_are_kept),
        SANDBOX_TEST(root_entry_and_upper_directories_set_attributes),
        SANDBOX_TEST(devices_are_made_by_root),
        SANDBOX_TEST(ordinary_user_fills_what_the_image_closes),
        SANDBOX_TEST(limits_hold_at_their_value_and_not_above),
        SANDBOX_TEST(long_names_hold_at_the_limit_and_not_above),
        SANDBOX_TEST(depth_holds_through_links_too),
        SANDBOX_TEST(names_are_bytes),
        SANDBOX_TEST(malformed_tars_are_refused),
        SANDBOX_TEST(random_hostile_tars_stay_inside_the_root),
    };

    return cmocka_run_group_tests_name("image-layer-unpack", tests, NULL, NULL);
}
