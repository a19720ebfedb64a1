/* SPDX-License-Identifier: Apache-2.0 */
#include "rootfs/test-directory.h"

#include "rootfs/override.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define NS 123456789

/* Its value, or "" when there is none. */
static void get_attribute(const struct bench *b, const char *path, const char *name, char *out,
                          size_t size)
{
    mvm_autofree char *full = NULL;
    ssize_t n;

    assert_true(asprintf(&full, "/proc/self/fd/%d/%s", b->root, path) > 0);
    n = lgetxattr(full, name, out, size - 1);
    out[n > 0 ? n : 0] = '\0';
}

static void expect_override(const struct bench *b, const char *path, const char *want)
{
    char got[OVERRIDE_STAT_MAX + 1];

    get_attribute(b, path, OVERRIDE_STAT, got, sizeof(got));
    if (strcmp(got, want) != 0)
        fail_msg("'%s' has '%s', not '%s'", path, got, want);
}

static const struct layer_xattr file_xattrs[] = {
    { "security.capability", "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20 },
    { "security.selinux", "label", 5 },
    { "trusted.note", "t", 1 },
    { "user.containers.override_stat", "0:0:0104777", 11 },
    { "user.note", "a\0b", 3 }
};
static const struct record_spec all_kinds[] = {
    { .kind = LAYER_DIR, .path = "", .mode = 0751, .uid = 1, .mtime_s = 500 },
    { .kind = LAYER_DIR, .path = "closed", .mode = 01000, .uid = 3, .mtime_s = 1000 },
    { .kind = LAYER_DIR, .path = "d", .mode = 01555, .uid = 5, .gid = 6, .mtime_s = 1000 },
    { .kind = LAYER_FILE,
      .path = "d/f",
      .text = "content",
      .mode = 06711,
      .uid = 7,
      .gid = 8,
      .mtime_s = 981173106,
      .mtime_ns = NS,
      .xattrs = file_xattrs,
      .n_xattrs = ARRAY_SIZE(file_xattrs) },
    { .kind = LAYER_FILE, .path = "closed/none", .text = "x", .mode = 01000 },
    { .kind = LAYER_SYMLINK, .path = "d/l", .text = "../..//x", .uid = 9, .mtime_s = -5 },
    { .kind = LAYER_FIFO, .path = "d/p", .mode = 0640, .gid = 4, .mtime_s = 3000 },
    { .kind = LAYER_CHAR, .path = "null", .mode = 0666, .device = 0x103, .mtime_s = 9 },
    { .kind = LAYER_BLOCK_DEVICE, .path = "disk", .mode = 0660, .gid = 6, .device = 0x800 },
    { .kind = LAYER_HARDLINK, .path = "z/h", .text = "d/f" },
    { .kind = LAYER_HARDLINK, .path = "z/y/m", .text = "d/l" },
    { .kind = LAYER_HARDLINK, .path = "d/again", .text = "d/f" },
    { 0 }
};

static void root_makes_what_the_image_says(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(bench) b = bench_new(sb, 0700);
    char value[32];
    struct stat st;

    if (geteuid() != 0) {
        print_message("# only root makes devices and gives files away\n");
        skip();
    }
    bench_add(&b, all_kinds);
    bench_must_make(&b);
    st = stat_of(&b, "");
    assert_int_equal(st.st_mode, S_IFDIR | 0751);
    assert_int_equal(st.st_uid, 1);
    assert_int_equal(st.st_mtim.tv_sec, 500);
    st = stat_of(&b, "d");
    assert_int_equal(st.st_mode, S_IFDIR | 01555);
    assert_int_equal(st.st_gid, 6);
    assert_int_equal(st.st_mtim.tv_sec, 1000);
    assert_int_equal(stat_of(&b, "closed").st_mode, S_IFDIR | 01000);
    assert_int_equal(stat_of(&b, "closed/none").st_mode, S_IFREG | 01000);
    st = stat_of(&b, "d/f");
    assert_int_equal(st.st_mode, S_IFREG | 06711);
    assert_int_equal(st.st_uid, 7);
    assert_int_equal(st.st_nlink, 3);
    assert_int_equal(st.st_mtim.tv_sec, 981173106);
    assert_int_equal(st.st_mtim.tv_nsec, NS);
    assert_int_equal(stat_of(&b, "z/h").st_ino, st.st_ino);
    expect_content(&b, "d/f", "content");
    st = stat_of(&b, "d/l");
    assert_int_equal(st.st_uid, 9);
    assert_int_equal(st.st_mtim.tv_sec, -5);
    assert_int_equal(stat_of(&b, "z/y/m").st_ino, st.st_ino);
    assert_int_equal(stat_of(&b, "z").st_mode, S_IFDIR | 0755);
    assert_int_equal(readlinkat(b.root, "d/l", value, sizeof(value)), 8);
    assert_memory_equal(value, "../..//x", 8);
    st = stat_of(&b, "d/p");
    assert_int_equal(st.st_mode, S_IFIFO | 0640);
    assert_int_equal(st.st_gid, 4);
    get_attribute(&b, "d/f", "security.capability", value, sizeof(value));
    assert_memory_equal(value, file_xattrs[0].value, 20);
    get_attribute(&b, "d/f", "user.note", value, sizeof(value));
    assert_memory_equal(value, "a\0b", 3);
    get_attribute(&b, "d/f", OVERRIDE_XATTR "security.selinux", value, sizeof(value));
    assert_string_equal(value, "label");
    /* The image does not speak for us. */
    expect_override(&b, "d/f", "");
    assert_true(b.report.overrides);
    assert_int_equal(b.report.copy, ROOTFS_COPY_NONE);
    assert_int_equal(b.report.lost, 1);
    assert_non_null(strstr(b.report.first_lost, OVERRIDE_STAT));
}

static void root_makes_devices(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(bench) b = bench_new(sb, 0700);
    struct stat st;

    if (geteuid() != 0) {
        print_message("# only root makes devices and gives files away\n");
        skip();
    }
    bench_add(&b, all_kinds);
    bench_must_make(&b);
    st = stat_of(&b, "null");
    /* In a user namespace root may not: an empty file stands for it then. */
    if (!S_ISCHR(st.st_mode)) {
        expect_override(&b, "null", "0:0:020666:char-1-3");
        return;
    }
    assert_int_equal(st.st_mode, S_IFCHR | 0666);
    assert_int_equal(st.st_rdev, makedev(1, 3));
    assert_int_equal(st.st_mtim.tv_sec, 9);
    st = stat_of(&b, "disk");
    assert_int_equal(st.st_mode, S_IFBLK | 0660);
    assert_int_equal(st.st_rdev, makedev(8, 0));
    assert_int_equal(st.st_gid, 6);
}

static int make_as_user(struct sandbox *sb)
{
    mvm_autovalue(bench) b = bench_new(sb, 0700);
    char value[32];
    struct stat st;

    bench_add(&b, all_kinds);
    bench_must_make(&b);
    expect_override(&b, ".", "1:0:040751");
    expect_override(&b, "d", "5:6:041555");
    st = stat_of(&b, "d");
    assert_int_equal(st.st_mode, S_IFDIR | 0755);
    assert_int_equal(st.st_mtim.tv_sec, 1000);
    expect_override(&b, "closed", "3:0:041000");
    assert_int_equal(stat_of(&b, "closed").st_mode, S_IFDIR | 0700);
    expect_override(&b, "closed/none", "0:0:0101000");
    expect_content(&b, "closed/none", "x");
    expect_override(&b, "d/f", "7:8:0106711");
    st = stat_of(&b, "z/h");
    assert_int_equal(st.st_mode, S_IFREG | 0711);
    assert_int_equal(st.st_nlink, 3);
    assert_int_equal(st.st_mtim.tv_nsec, NS);
    assert_int_equal(stat_of(&b, "d/l").st_mtim.tv_sec, -5);
    expect_override(&b, "d/p", "0:4:010640");
    expect_override(&b, "null", "0:0:020666:char-1-3");
    expect_override(&b, "disk", "0:6:060660:block-8-0");
    st = stat_of(&b, "null");
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(st.st_size, 0);
    get_attribute(&b, "d/f", OVERRIDE_XATTR "security.capability", value, sizeof(value));
    assert_memory_equal(value, file_xattrs[0].value, 20);
    get_attribute(&b, "d/f", OVERRIDE_XATTR "trusted.note", value, sizeof(value));
    assert_string_equal(value, "t");
    get_attribute(&b, "d/f", "user.note", value, sizeof(value));
    assert_memory_equal(value, "a\0b", 3);
    assert_true(b.report.overrides);
    /* The image's own override, and the symlink's owner. */
    assert_int_equal(b.report.lost, 2);
    return 0;
}

static void an_ordinary_user_keeps_what_it_may_not_set(void **state)
{
    struct sandbox *sb = *state;

    if (geteuid() == 0)
        assert_int_equal(fchown(sb->root_fd, 65534, 65534), 0);
    assert_int_equal(sandbox_as_user(make_as_user, sb), 0);
}

static void names_of_the_image_go_nowhere(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(bench) b = bench_new(sb, 0700);
    static const struct record_spec lower[] = { A_LINK("out", "../../../outside"),
                                                A_LINK("abs", "/tmp"),
                                                A_LINK("self", "self"),
                                                A_LINK("canary", "../../outside/canary"),
                                                A_FILE("-rf", "dash"),
                                                A_FILE("new\nline", "n"),
                                                A_FILE("\xff\x01*?\\", "odd"),
                                                A_FILE(".rootfs-x", "temp"),
                                                A_DIR("..."),
                                                A_FILE(".../ ", "blank"),
                                                { 0 } };
    static const struct record_spec upper[] = { A_FILE("canary", "mine"),
                                                A_HARD("h", "out"),
                                                { 0 } };

    bench_add(&b, lower);
    bench_add(&b, upper);
    bench_must_make(&b);
    assert_int_equal(count_entries(b.root), 10);
    expect_content(&b, "canary", "mine");
    expect_content(&b, "new\nline", "n");
    expect_content(&b, "\xff\x01*?\\", "odd");
    expect_content(&b, ".../ ", "blank");
    assert_true(S_ISLNK(stat_of(&b, "h").st_mode));
    assert_true(sandbox_canary_lives(sb));
    assert_int_equal(count_entries(b.folder), 1);
}

static void deep_trees_and_far_links_are_made(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(bench) b = bench_new(sb, 0700);
    char a[2 * TREE_DEPTH_MAX], z[2 * TREE_DEPTH_MAX];

    for (size_t i = 0; i < sizeof(a); i++) {
        a[i] = i % 2 ? '/' : 'a';
        z[i] = i % 2 ? '/' : 'z';
    }
    a[sizeof(a) - 1] = z[sizeof(z) - 1] = '\0';
    const struct record_spec specs[] = { A_FILE(a, "deep"), A_HARD(z, a), A_HARD("a/b", a), { 0 } };

    bench_add(&b, specs);
    bench_must_make(&b);
    expect_content(&b, a, "deep");
    expect_content(&b, z, "deep");
    assert_int_equal(stat_of(&b, "a/b").st_nlink, 3);
}

static void what_is_there_is_not_touched(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(bench) b = bench_new(sb, 0700);
    mvm_autoerror mvm_error *e = NULL;
    static const struct record_spec specs[] = { A_FILE("f", "x"), { 0 } };

    sandbox_write(b.folder, "root", "old");
    bench_add(&b, specs);
    assert_int_equal(bench_make(&b, NULL, &e), MVM_E_EXISTS);
    assert_non_null(strstr(mvm_error_message(e), "'root'"));
    assert_int_equal(count_entries(b.folder), 1);
    assert_int_equal(unlinkat(b.folder, "root", 0), 0);
    assert_int_equal(symlinkat("../outside", b.folder, "root"), 0);
    assert_int_equal(
        rootfs_directory_make(b.stack.tree, b.data, b.folder, "root", NULL, &b.report, NULL),
        MVM_E_EXISTS);
    assert_int_equal(
        rootfs_directory_make(b.stack.tree, b.data, b.folder, "a/b", NULL, &b.report, NULL),
        MVM_E_ARG);
}

static void the_folder_must_be_closed(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(bench) b = bench_new(sb, 0701);
    static const struct record_spec specs[] = { A_FILE("f", "x"), { 0 } };

    bench_add(&b, specs);
    assert_int_equal(bench_make(&b, NULL, NULL), MVM_E_ARG);
    assert_int_equal(count_entries(b.folder), 0);
}

struct countdown {
    int left;
    struct image_tick *tick;
};
static int count_down(void *user, const struct image_progress *progress)
{
    struct countdown *c = user;

    (void) progress;
    c->tick->last_ms = 0; /* asked at each entry */
    return --c->left < 0;
}

static void a_cancelled_one_leaves_nothing(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(bench) b = bench_new(sb, 0700);
    unsigned cancelled = 0;
    int r = MVM_E_CANCELLED;

    bench_add(&b, all_kinds);
    assert_int_equal(tree_finish(b.stack.tree, NULL, NULL), 0);
    for (int i = 0; r == MVM_E_CANCELLED; i++) {
        struct image_tick tick = { .fn = count_down };
        struct countdown c = { .left = i, .tick = &tick };

        tick.user = &c;
        r = rootfs_directory_make(b.stack.tree, b.data, b.folder, "root", &tick, &b.report, NULL);
        if (r == 0)
            break;
        assert_int_equal(r, MVM_E_CANCELLED);
        assert_int_equal(count_entries(b.folder), 0);
        cancelled++;
    }
    assert_int_equal(r, 0);
    assert_true(cancelled >= tree_n_entries(b.stack.tree));
    assert_int_equal(count_entries(b.folder), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SANDBOX_TEST(root_makes_what_the_image_says),
        SANDBOX_TEST(root_makes_devices),
        SANDBOX_TEST(an_ordinary_user_keeps_what_it_may_not_set),
        SANDBOX_TEST(names_of_the_image_go_nowhere),
        SANDBOX_TEST(deep_trees_and_far_links_are_made),
        SANDBOX_TEST(what_is_there_is_not_touched),
        SANDBOX_TEST(the_folder_must_be_closed),
        SANDBOX_TEST(a_cancelled_one_leaves_nothing),
    };

    return cmocka_run_group_tests_name("rootfs-directory", tests, NULL, NULL);
}
