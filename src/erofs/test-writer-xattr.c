/* SPDX-License-Identifier: Apache-2.0 */
#include "erofs/test-trees.h"
#include "image/layer-record.h"

static const char bytes[LAYER_XATTR_VALUE_MAX] = "value";

static void add_with(struct trees *t, const char *path, const struct layer_xattr *xattrs, size_t n)
{
    struct layer_record r = trees_record(LAYER_FILE, path);

    r.content = "";
    r.xattrs = xattrs;
    r.n_xattrs = (uint16_t) n;
    trees_add(t, &r);
}

static unsigned shared_of(const struct trees *t, const struct view_inode *n)
{
    return n->xattrs_len ? t->view.p[n->xattrs_at + 4] : 0;
}

static void every_namespace_of_linux_is_kept(void **state)
{
    static const struct layer_xattr xattrs[] = {
        { "security.capability", "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20 },
        { "security.selinux", "system_u:object_r:bin_t:s0", 27 },
        { "system.posix_acl_access", "\2\0\0\0", 4 },
        { "system.posix_acl_default", "\2\0\0\0", 4 },
        { "trusted.a", "", 0 },
        { "user.\xff", "\0", 1 },
        { "user.a.b", "xyz", 3 },
    };
    struct trees t;
    struct view_inode n;

    (void) state;
    trees_begin(&t);
    add_with(&t, "f", xattrs, ARRAY_SIZE(xattrs));
    trees_next_layer(&t, 0);
    trees_write(&t);
    n = trees_look(&t, "f");
    assert_int_equal(shared_of(&t, &n), 0);
    /* Each entry is 4 bytes and its name without the prefix and its value, rounded up to 4. */
    assert_int_equal(n.xattrs_len, 12 + 36 + 40 + 8 + 8 + 8 + 8 + 12);
    trees_end(&t);
}

static void what_linux_cannot_have_is_left_out(void **state)
{
    static const struct layer_xattr mixed[] = {
        { "com.apple.provenance", "x", 1 },
        { "system.nfs4_acl", "x", 1 },
        { "system.posix_acl_access2", "x", 1 },
        { "user.", "x", 1 },
        { "user.kept", "x", 1 },
    };
    struct trees t;

    (void) state;
    trees_begin(&t);
    add_with(&t, "all", mixed, 4);
    add_with(&t, "some", mixed, 5);
    trees_next_layer(&t, 0);
    trees_write(&t);
    assert_int_equal(trees_look(&t, "all").xattrs_len, 0);
    assert_int_equal(trees_look(&t, "some").xattrs_len, 12 + 12);
    trees_end(&t);
}

static void what_repeats_is_kept_once(void **state)
{
    static const struct layer_xattr both[] = { { "security.selinux", "label", 6 },
                                               { "user.own", "1", 1 } };
    static const struct layer_xattr other[] = { { "security.selinux", "label", 6 },
                                                { "user.own", "2", 1 } };
    struct trees t;
    struct view_inode a, b;

    (void) state;
    trees_begin(&t);
    add_with(&t, "a", both, 2);
    add_with(&t, "b", other, 2);
    trees_next_layer(&t, 0);
    trees_write(&t);
    a = trees_look(&t, "a");
    b = trees_look(&t, "b");
    assert_int_equal(shared_of(&t, &a), 1);
    assert_int_equal(shared_of(&t, &b), 1);
    assert_int_equal(a.xattrs_len, 12 + 4 + 8);
    assert_int_equal(le32_get(t.view.p + a.xattrs_at + 12), le32_get(t.view.p + b.xattrs_at + 12));
    trees_end(&t);
}

static void long_attributes_are_not_shared(void **state)
{
    (void) state;
    for (uint32_t over = 0; over < 2; over++) {
        /* "user.v" takes 5 bytes and its value. */
        const struct layer_xattr xattr = { "user.v", bytes, 256 - 5 + over };
        struct trees t;
        struct view_inode a;

        trees_begin(&t);
        add_with(&t, "a", &xattr, 1);
        add_with(&t, "b", &xattr, 1);
        trees_next_layer(&t, 0);
        trees_write(&t);
        a = trees_look(&t, "a");
        assert_int_equal(shared_of(&t, &a), over ? 0 : 1);
        trees_end(&t);
    }
}

#define MANY 300

/* Every inode counts those that it shares in one byte. */
static void the_256th_shared_one_is_inline(void **state)
{
    (void) state;
    for (size_t n = 255; n <= 256; n++) {
        static struct layer_xattr xattrs[MANY];
        static char names[MANY][16];
        struct trees t;
        struct view_inode a;

        for (size_t i = 0; i < n; i++) {
            (void) snprintf(names[i], sizeof(names[i]), "user.%zu", i);
            xattrs[i] = (struct layer_xattr){ names[i], "v", 1 };
        }
        trees_begin(&t);
        add_with(&t, "a", xattrs, n);
        add_with(&t, "b", xattrs, n);
        trees_next_layer(&t, 0);
        trees_write(&t);
        a = trees_look(&t, "a");
        assert_int_equal(shared_of(&t, &a), 255);
        assert_int_equal(a.xattrs_len, 12 + 255 * 4 + (n - 255) * 8);
        trees_end(&t);
    }
}

/* More different ones than the pool holds: some stay inline, none is lost. */
static void a_full_pool_loses_nothing(void **state)
{
    struct trees t;

    (void) state;
    trees_begin(&t);
    for (unsigned i = 0; i < 6000; i++) {
        char path[16], value[16];
        const struct layer_xattr xattr = { "user.v", value, 6 };

        (void) snprintf(path, sizeof(path), "f%u", i);
        (void) snprintf(value, sizeof(value), "%06u", i / 3);
        add_with(&t, path, &xattr, 1);
    }
    trees_next_layer(&t, 0);
    trees_write(&t);
    trees_end(&t);
}

static void the_longest_value_fits(void **state)
{
    const struct layer_xattr xattr = { "user.v", bytes, LAYER_XATTR_VALUE_MAX };
    struct layer_record r = trees_record(LAYER_FILE, "f");
    struct trees t;

    (void) state;
    r.content = bytes;
    r.size = LAYER_INLINE_MAX; /* no room beside its inode */
    r.xattrs = &xattr;
    r.n_xattrs = 1;
    trees_begin(&t);
    trees_add(&t, &r);
    trees_next_layer(&t, 0);
    trees_write(&t);
    assert_int_equal(trees_look(&t, "f").layout, 0);
    assert_int_equal(trees_look(&t, "f").size, LAYER_INLINE_MAX);
    trees_end(&t);
}

/* Inode, attributes and content fill one block exactly, and then not any more. */
static void inline_content_ends_with_the_block(void **state)
{
    (void) state;
    for (uint32_t over = 0; over < 2; over++) {
        const struct layer_xattr xattr = { "user.v", bytes, 4096 - 32 - 12 - 5 - 2048 + over };
        struct layer_record r = trees_record(LAYER_FILE, "f");
        struct trees t;

        r.content = bytes;
        r.size = 2048;
        r.xattrs = &xattr;
        r.n_xattrs = 1;
        trees_begin(&t);
        trees_add(&t, &r);
        trees_add_content(&t, "of-the-same-time", "", 0);
        trees_next_layer(&t, 0);
        trees_write(&t);
        assert_false(trees_look(&t, "f").extended);
        assert_int_equal(trees_look(&t, "f").layout, over ? 0 : 2);
        trees_end(&t);
    }
}

/* As much as a record of a layer can say. */
static void a_full_record_fits(void **state)
{
    /* Beside its value an attribute takes 4 + 2 + 6 + 1 bytes of the record. */
    const uint32_t room = LAYER_RECORD_MAX - LAYER_RECORD_FIXED - sizeof("dir/f") - 1;
    const struct layer_xattr xattrs[] = { { "user.a", bytes, LAYER_XATTR_VALUE_MAX },
                                          { "user.b", bytes, LAYER_XATTR_VALUE_MAX },
                                          { "user.c", bytes, LAYER_XATTR_VALUE_MAX },
                                          { "user.d", bytes,
                                            room - 4 * 13 - 3 * LAYER_XATTR_VALUE_MAX } };
    struct trees t;

    (void) state;
    trees_begin(&t);
    add_with(&t, "dir/f", xattrs, ARRAY_SIZE(xattrs));
    trees_next_layer(&t, 0);
    trees_write(&t);
    assert_true(trees_look(&t, "dir/f").xattrs_len > LAYER_RECORD_MAX - 128);
    trees_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_namespace_of_linux_is_kept),
        cmocka_unit_test(what_linux_cannot_have_is_left_out),
        cmocka_unit_test(what_repeats_is_kept_once),
        cmocka_unit_test(long_attributes_are_not_shared),
        cmocka_unit_test(the_256th_shared_one_is_inline),
        cmocka_unit_test(a_full_pool_loses_nothing),
        cmocka_unit_test(the_longest_value_fits),
        cmocka_unit_test(inline_content_ends_with_the_block),
        cmocka_unit_test(a_full_record_fits),
    };

    return cmocka_run_group_tests_name("erofs-writer-xattr", tests, NULL, NULL);
}
