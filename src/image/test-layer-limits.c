/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of a layer, names as bytes, tars that are broken, and random hostile ones. */
#include "image/test-layer.h"

#include <limits.h>

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
        SANDBOX_TEST(limits_hold_at_their_value_and_not_above),
        SANDBOX_TEST(long_names_hold_at_the_limit_and_not_above),
        SANDBOX_TEST(depth_holds_through_links_too),
        SANDBOX_TEST(names_are_bytes),
        SANDBOX_TEST(malformed_tars_are_refused),
        SANDBOX_TEST(random_hostile_tars_stay_inside_the_root),
    };

    return cmocka_run_group_tests_name("image-layer-unpack", tests, NULL, NULL);
}
