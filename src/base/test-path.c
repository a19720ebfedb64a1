/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"

#include "base/io.h"
#include "base/test-sandbox.h"

#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>

static void in_root_keeps_links_and_dots_inside(void **state)
{
    struct sandbox *sb = *state;
    static const char *const paths[] = {
        "abs", "dots", "/abs", "../../../etc/passwd", "etc/../../etc/passwd", "chain"
    };

    assert_int_equal(mkdirat(sb->root_fd, "etc", 0755), 0);
    sandbox_write(sb->root_fd, "etc/passwd", "inside");
    assert_int_equal(symlinkat("/etc/passwd", sb->root_fd, "abs"), 0);
    assert_int_equal(symlinkat("../../../../../../etc/passwd", sb->root_fd, "dots"), 0);
    assert_int_equal(symlinkat("../../abs", sb->root_fd, "chain"), 0);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        mvm_autoclose int fd = -EBADF;
        mvm_autofree char *text = NULL;
        size_t len;

        if (path_open_in_root(sb->root_fd, paths[i], O_RDONLY, &fd, NULL) != 0)
            fail_msg("'%s' is not opened", paths[i]);
        assert_int_equal(io_read_all(fd, 1000, &text, &len, NULL), 0);
        assert_string_equal(text, "inside");
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    }
}

static void in_root_refuses_magic_links(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoclose int proc = sandbox_open(AT_FDCWD, "/proc");
    mvm_autoclose int fd = -EBADF;
    mvm_autoerror mvm_error *e = NULL;

    (void) sb;
    assert_int_equal(path_open_in_root(proc, "self/root", O_RDONLY, &fd, &e), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(e), ELOOP);
    assert_int_equal(path_open_in_root(proc, "self/cwd", O_RDONLY, &fd, NULL), MVM_E_SYS);
    assert_int_equal(path_open_in_root(proc, "self/exe", O_RDONLY, &fd, NULL), MVM_E_SYS);
    assert_int_equal(fd, -EBADF);
}

static void in_root_names_what_is_absent(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoclose int fd = -EBADF;
    mvm_autoerror mvm_error *e = NULL;

    assert_int_equal(symlinkat("/outside/canary", sb->root_fd, "link"), 0);
    assert_int_equal(path_open_in_root(sb->root_fd, "link", O_RDONLY, &fd, &e), MVM_E_NOT_FOUND);
    assert_string_equal(mvm_error_message(e),
                        "open 'link' inside the image root: No such file or directory");
    assert_int_equal(fd, -EBADF);
}

static void beneath_refuses_every_way_out(void **state)
{
    struct sandbox *sb = *state;
    static const struct {
        const char *path;
        int errnum;
    } cases[] = { { "..", EXDEV },
                  { "../outside/canary", EXDEV },
                  { "/etc/passwd", EXDEV },
                  { "/", EXDEV },
                  { "sub/../..", EXDEV },
                  { "link", ELOOP },
                  { "dirlink/canary", ELOOP },
                  { "inner", ELOOP },
                  { "abs", ELOOP } };

    assert_int_equal(mkdirat(sb->root_fd, "sub", 0755), 0);
    sandbox_write(sb->root_fd, "sub/file", "x");
    assert_int_equal(symlinkat("../outside/canary", sb->root_fd, "link"), 0);
    assert_int_equal(symlinkat("../outside", sb->root_fd, "dirlink"), 0);
    assert_int_equal(symlinkat("sub/file", sb->root_fd, "inner"), 0);
    assert_int_equal(symlinkat("/etc/passwd", sb->root_fd, "abs"), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autoclose int fd = -EBADF;
        mvm_autoerror mvm_error *e = NULL;

        if (path_open_beneath(sb->root_fd, cases[i].path, O_RDONLY, 0, &fd, &e) != MVM_E_SYS)
            fail_msg("'%s' is opened", cases[i].path);
        if (mvm_error_errno(e) != cases[i].errnum)
            fail_msg("'%s': %s", cases[i].path, mvm_error_message(e));
        assert_int_equal(fd, -EBADF);
    }
}

static void beneath_does_not_write_through_links(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoclose int fd = -EBADF;

    assert_int_equal(symlinkat("../outside/canary", sb->root_fd, "link"), 0);
    assert_int_equal(symlinkat("../outside", sb->root_fd, "dir"), 0);
    assert_int_equal(
        path_open_beneath(sb->root_fd, "link", O_WRONLY | O_CREAT | O_TRUNC, 0644, &fd, NULL),
        MVM_E_SYS);
    assert_int_equal(path_open_beneath(sb->root_fd, "dir/new", O_WRONLY | O_CREAT, 0644, &fd, NULL),
                     MVM_E_SYS);
    assert_false(sandbox_has(sb->fd, "outside/new"));
}

static void beneath_creates_with_the_mode(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoclose int fd = -EBADF;
    mvm_autoclose int again = -EBADF;
    mvm_autoclose int unnamed = -EBADF;
    struct stat st;

    assert_int_equal(
        path_open_beneath(sb->root_fd, "new", O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, NULL), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(path_open_beneath(sb->root_fd, "new", O_RDONLY, 0644, &again, NULL), 0);
    assert_int_equal(path_open_beneath(sb->root_fd, ".", O_RDWR | O_TMPFILE, 0600, &unnamed, NULL),
                     0);
}

static void make_dirs_makes_parents_and_keeps_modes(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoclose int fd = -EBADF;
    mvm_autoclose int again = -EBADF;
    mvm_autofree char *path = path_join(sb->path, "root/a//b/c/");
    struct stat st;

    assert_non_null(path);
    assert_int_equal(mkdirat(sb->root_fd, "a", 0755), 0);
    assert_int_equal(path_make_dirs(path, 0700, &fd, NULL), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(fstatat(sb->root_fd, "a", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0755);
    assert_int_equal(fstatat(sb->root_fd, "a/b", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(path_make_dirs(path, 0755, &again, NULL), 0);
    assert_int_equal(fcntl(again, F_GETFD), FD_CLOEXEC);
}

static void make_dirs_refuses_what_is_not_absolute_or_not_a_folder(void **state)
{
    struct sandbox *sb = *state;
    mvm_autofree char *file = path_join(sb->path, "outside/canary");
    mvm_autofree char *below = path_join(sb->path, "outside/canary/x");
    mvm_autoerror mvm_error *e = NULL;
    mvm_autoclose int root = -EBADF;
    int fd = -EBADF;

    assert_int_equal(path_make_dirs("relative", 0700, &fd, &e), MVM_E_ARG);
    assert_string_equal(mvm_error_message(e), "'relative' is not an absolute path");
    assert_int_equal(path_make_dirs("", 0700, &fd, NULL), MVM_E_ARG);
    assert_int_equal(path_make_dirs(file, 0700, &fd, &e), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(e), ENOTDIR);
    assert_int_equal(path_make_dirs(below, 0700, &fd, &e), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(e), ENOTDIR);
    assert_int_equal(fd, -EBADF);
    assert_int_equal(path_make_dirs("/", 0700, &root, NULL), 0);
}

static void make_dir_at_opens_and_refuses_links_and_paths(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoclose int fd = -EBADF;
    mvm_autoclose int again = -EBADF;
    mvm_autoerror mvm_error *e = NULL;
    int none = -EBADF;

    assert_int_equal(path_make_dir_at(sb->root_fd, "d", 0700, &fd, NULL), 0);
    assert_int_equal(path_make_dir_at(sb->root_fd, "d", 0755, &again, NULL), 0);
    assert_int_equal(symlinkat("../outside", sb->root_fd, "link"), 0);
    assert_int_equal(path_make_dir_at(sb->root_fd, "link", 0700, &none, &e), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(e), ELOOP);
    sandbox_write(sb->root_fd, "file", "x");
    assert_int_equal(path_make_dir_at(sb->root_fd, "file", 0700, &none, &e), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(e), ENOTDIR);
    assert_int_equal(path_make_dir_at(sb->root_fd, "../outside/new", 0700, &none, &e), MVM_E_ARG);
    assert_string_equal(mvm_error_message(e), "'../outside/new' is not a plain name");
    assert_int_equal(path_make_dir_at(sb->root_fd, "..", 0700, &none, NULL), MVM_E_ARG);
    assert_false(sandbox_has(sb->fd, "outside/new"));
    assert_int_equal(none, -EBADF);
}

static void component_is_one_name_of_at_most_255_bytes(void **state)
{
    char name[257];

    (void) state;
    assert_true(path_is_component("a"));
    assert_true(path_is_component("..."));
    assert_true(path_is_component(".x"));
    assert_false(path_is_component(""));
    assert_false(path_is_component("."));
    assert_false(path_is_component(".."));
    assert_false(path_is_component("a/b"));
    assert_false(path_is_component("/"));
    memset(name, 'n', sizeof(name));
    name[255] = '\0';
    assert_true(path_is_component(name));
    name[255] = 'n';
    name[256] = '\0';
    assert_false(path_is_component(name));
}

static void join_puts_exactly_one_slash(void **state)
{
    static const char *const cases[][3] = { { "a", "b", "a/b" },        { "a/", "b", "a/b" },
                                            { "a//", "//b", "a/b" },    { "/", "b", "/b" },
                                            { "//", "b", "/b" },        { "", "b", "b" },
                                            { "/x/y", "z/", "/x/y/z/" } };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autofree char *joined = path_join(cases[i][0], cases[i][1]);

        assert_string_equal(joined, cases[i][2]);
    }
}

static void path_of_fd_gives_only_a_path_that_stands(void **state)
{
    struct sandbox *sb = *state;
    mvm_autofree char *path = NULL;
    mvm_autofree char *want = path_join(sb->path, "root");
    mvm_autofree char *none = NULL;
    mvm_autoclose int gone = -EBADF;
    mvm_autoclose int a = -EBADF;
    mvm_autoclose int b = -EBADF;
    int pair[2];

    assert_int_equal(path_of_fd(sb->root_fd, &path, NULL), 0);
    assert_string_equal(path, want);
    assert_int_equal(path_make_dir_at(sb->root_fd, "gone", 0700, &gone, NULL), 0);
    assert_int_equal(unlinkat(sb->root_fd, "gone", AT_REMOVEDIR), 0);
    assert_int_equal(path_of_fd(gone, &none, NULL), MVM_E_NOT_FOUND);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    a = pair[0];
    b = pair[1];
    assert_int_equal(path_of_fd(a, &none, NULL), MVM_E_NOT_FOUND);
    assert_int_equal(path_of_fd(-1, &none, NULL), MVM_E_SYS);
    assert_null(none);
}

static void temp_dir_is_fresh_private_and_open(void **state)
{
    struct sandbox *sb = *state;
    mvm_autofree char *first = NULL;
    mvm_autofree char *second = NULL;
    mvm_autofree char *none = NULL;
    mvm_autoclose int a = -EBADF;
    mvm_autoclose int b = -EBADF;
    int fd = -EBADF;
    struct stat st, named;

    assert_int_equal(path_make_temp_dir(sb->root_fd, "x-", &first, &a, NULL), 0);
    assert_int_equal(path_make_temp_dir(sb->root_fd, "x-", &second, &b, NULL), 0);
    assert_string_not_equal(first, second);
    assert_int_equal(strlen(first), 10);
    assert_memory_equal(first, "x-", 2);
    assert_int_equal(fstat(a, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(fstatat(sb->root_fd, first, &named, 0), 0);
    assert_int_equal(st.st_ino, named.st_ino);
    assert_int_equal(path_make_temp_dir(sb->root_fd, "../x-", &none, &fd, NULL), MVM_E_ARG);
    assert_null(none);
    assert_int_equal(fd, -EBADF);
}

static void remove_takes_files_links_and_the_absent(void **state)
{
    struct sandbox *sb = *state;

    sandbox_write(sb->root_fd, "file", "x");
    assert_int_equal(symlinkat("../outside", sb->root_fd, "link"), 0);
    assert_int_equal(symlinkat("nowhere", sb->root_fd, "dangling"), 0);
    assert_int_equal(mkfifoat(sb->root_fd, "fifo", 0600), 0);
    assert_int_equal(path_remove_tree(sb->root_fd, "file", NULL), 0);
    assert_int_equal(path_remove_tree(sb->root_fd, "link", NULL), 0);
    assert_int_equal(path_remove_tree(sb->root_fd, "dangling", NULL), 0);
    assert_int_equal(path_remove_tree(sb->root_fd, "fifo", NULL), 0);
    assert_int_equal(path_remove_tree(sb->root_fd, "absent", NULL), 0);
    assert_false(sandbox_has(sb->root_fd, "file"));
    assert_false(sandbox_has(sb->root_fd, "link"));
    assert_true(sandbox_canary_lives(sb));
}

static void remove_refuses_more_than_one_name(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoerror mvm_error *e = NULL;

    assert_int_equal(symlinkat("../outside", sb->root_fd, "link"), 0);
    assert_int_equal(path_remove_tree(sb->root_fd, "link/canary", &e), MVM_E_ARG);
    assert_string_equal(mvm_error_message(e), "'link/canary' is not a plain name");
    assert_int_equal(path_remove_tree(sb->root_fd, "..", NULL), MVM_E_ARG);
    assert_int_equal(path_remove_tree(sb->root_fd, ".", NULL), MVM_E_ARG);
    assert_int_equal(path_remove_tree(sb->root_fd, "", NULL), MVM_E_ARG);
    assert_true(sandbox_canary_lives(sb));
}

static void remove_does_not_follow_links_out(void **state)
{
    struct sandbox *sb = *state;

    assert_int_equal(mkdirat(sb->root_fd, "t", 0755), 0);
    assert_int_equal(mkdirat(sb->root_fd, "t/sub", 0755), 0);
    assert_int_equal(symlinkat("../../outside", sb->root_fd, "t/dir"), 0);
    assert_int_equal(symlinkat("../../../outside", sb->root_fd, "t/sub/dir"), 0);
    assert_int_equal(symlinkat("../../outside/canary", sb->root_fd, "t/file"), 0);
    assert_int_equal(symlinkat("/", sb->root_fd, "t/slash"), 0);
    assert_int_equal(symlinkat("..", sb->root_fd, "t/up"), 0);
    assert_int_equal(linkat(sb->fd, "outside/canary", sb->root_fd, "t/hard", 0), 0);
    assert_int_equal(path_remove_tree(sb->root_fd, "t", NULL), 0);
    assert_false(sandbox_has(sb->root_fd, "t"));
    assert_true(sandbox_canary_lives(sb));
}

static void remove_takes_many_entries_and_odd_names(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoclose int fd = -EBADF;

    assert_int_equal(path_make_dir_at(sb->root_fd, "t", 0755, &fd, NULL), 0);
    for (int i = 0; i < 2000; i++) {
        char name[32];

        (void) snprintf(name, sizeof(name), i % 2 ? "d%d" : "...f\n\xff%d", i);
        if (i % 2)
            assert_int_equal(mkdirat(fd, name, 0), 0);
        else
            sandbox_write(fd, name, "");
    }
    assert_int_equal(path_remove_tree(sb->root_fd, "t", NULL), 0);
    assert_false(sandbox_has(sb->root_fd, "t"));
}

/* A chain of @depth folders below "t", with a file and a folder beside the next one on each level.
 */
static void make_chain(int root_fd, unsigned depth)
{
    int fd = -EBADF;

    assert_int_equal(path_make_dir_at(root_fd, "t", 0700, &fd, NULL), 0);
    for (unsigned i = 0; i < depth; i++) {
        int next = -EBADF;

        sandbox_write(fd, "file", "x");
        assert_int_equal(mkdirat(fd, "beside", 0500), 0);
        assert_int_equal(path_make_dir_at(fd, "d", 0700, &next, NULL), 0);
        assert_int_equal(close(fd), 0);
        fd = next;
    }
    assert_int_equal(close(fd), 0);
}

static void remove_takes_trees_of_any_depth(void **state)
{
    struct sandbox *sb = *state;
    /* Around the depth of one walk, and far beyond the 1024 descriptors of a process. */
    static const unsigned depths[] = { 1, 31, 32, 33, 64, 65, 66, 1500 };

    for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
        mvm_autoerror mvm_error *e = NULL;

        make_chain(sb->root_fd, depths[i]);
        if (path_remove_tree(sb->root_fd, "t", &e) != 0)
            fail_msg("depth %u: %s", depths[i], mvm_error_message(e));
        assert_false(sandbox_has(sb->root_fd, "t"));
    }
}

static int remove_deep_with_few_descriptors(struct sandbox *sb)
{
    const struct rlimit few = { .rlim_cur = 64, .rlim_max = 64 };
    mvm_autoerror mvm_error *e = NULL;

    make_chain(sb->root_fd, 300);
    if (setrlimit(RLIMIT_NOFILE, &few) < 0)
        return 1;
    return path_remove_tree(sb->root_fd, "t", &e) == 0 ? 0 : 2;
}

static void remove_needs_few_descriptors(void **state)
{
    struct sandbox *sb = *state;

    assert_int_equal(sandbox_as_user(remove_deep_with_few_descriptors, sb), 0);
    assert_false(sandbox_has(sb->root_fd, "t"));
}

static int remove_locked_tree(struct sandbox *sb)
{
    mvm_autoerror mvm_error *e = NULL;

    if (mkdirat(sb->root_fd, "t", 0700) < 0 || mkdirat(sb->root_fd, "t/none", 0700) < 0 ||
        mkdirat(sb->root_fd, "t/none/deeper", 0700) < 0 ||
        mkdirat(sb->root_fd, "t/readonly", 0700) < 0 || mkdirat(sb->root_fd, "t/blind", 0700) < 0)
        return 1;
    sandbox_write(sb->root_fd, "t/none/deeper/f", "x");
    sandbox_write(sb->root_fd, "t/readonly/f", "x");
    sandbox_write(sb->root_fd, "t/blind/f", "x");
    if (fchmodat(sb->root_fd, "t/none/deeper", 0, 0) < 0 ||
        fchmodat(sb->root_fd, "t/none", 0, 0) < 0 ||
        fchmodat(sb->root_fd, "t/readonly", 0500, 0) < 0 ||
        fchmodat(sb->root_fd, "t/blind", 0300, 0) < 0 || fchmodat(sb->root_fd, "t", 0, 0) < 0)
        return 2;
    return path_remove_tree(sb->root_fd, "t", &e) == 0 ? 0 : 3;
}

static void remove_opens_unreadable_folders_of_its_own(void **state)
{
    struct sandbox *sb = *state;

    assert_int_equal(sandbox_as_user(remove_locked_tree, sb), 0);
    assert_false(sandbox_has(sb->root_fd, "t"));
}

static int remove_from_locked_folder(struct sandbox *sb)
{
    mvm_autoerror mvm_error *e = NULL;
    int r = path_remove_tree(sb->root_fd, "file", &e);

    if (r != MVM_E_SYS || mvm_error_errno(e) != EACCES)
        return 1;
    return strcmp(mvm_error_message(e), "remove 'file': Permission denied") == 0 ? 0 : 2;
}

static void remove_names_what_it_may_not_remove(void **state)
{
    struct sandbox *sb = *state;

    sandbox_write(sb->root_fd, "file", "x");
    assert_int_equal(fchmod(sb->root_fd, 0555), 0);
    assert_int_equal(sandbox_as_user(remove_from_locked_folder, sb), 0);
    assert_int_equal(fchmod(sb->root_fd, 0777), 0);
    assert_true(sandbox_has(sb->root_fd, "file"));
}

static int remove_tree_with_mount(struct sandbox *sb)
{
    mvm_autofree char *at = path_join(sb->path, "root/t/mount");
    mvm_autofree char *outside = path_join(sb->path, "outside");
    mvm_autoclose int fd = -EBADF;
    mvm_autoerror mvm_error *e = NULL;

    if (!at || !outside || unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return 77;
    if (mkdirat(sb->root_fd, "t", 0700) < 0 || mkdirat(sb->root_fd, "t/mount", 0700) < 0)
        return 1;
    if (mount(outside, at, NULL, MS_BIND, NULL) < 0)
        return 77;
    fd = sandbox_open(AT_FDCWD, sb->path); /* the one held is of the old namespace */
    if (path_remove_tree(fd, "root", &e) != MVM_E_SYS || mvm_error_errno(e) != EXDEV)
        return 2;
    return 0;
}

static void remove_does_not_cross_into_a_mount(void **state)
{
    struct sandbox *sb = *state;
    int r = sandbox_as_user(remove_tree_with_mount, sb);

    if (r == 77) {
        print_message("# no user namespace to mount in\n");
        assert_int_equal(sandbox_teardown(state), 0); /* a skipped test gets none */
        skip();
    }
    assert_int_equal(r, 0);
    assert_true(sandbox_canary_lives(sb));
}

#define SANDBOX_TEST(fn) cmocka_unit_test_setup_teardown(fn, sandbox_setup, sandbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SANDBOX_TEST(in_root_keeps_links_and_dots_inside),
        SANDBOX_TEST(in_root_refuses_magic_links),
        SANDBOX_TEST(in_root_names_what_is_absent),
        SANDBOX_TEST(beneath_refuses_every_way_out),
        SANDBOX_TEST(beneath_does_not_write_through_links),
        SANDBOX_TEST(beneath_creates_with_the_mode),
        SANDBOX_TEST(make_dirs_makes_parents_and_keeps_modes),
        SANDBOX_TEST(make_dirs_refuses_what_is_not_absolute_or_not_a_folder),
        SANDBOX_TEST(make_dir_at_opens_and_refuses_links_and_paths),
        cmocka_unit_test(component_is_one_name_of_at_most_255_bytes),
        cmocka_unit_test(join_puts_exactly_one_slash),
        SANDBOX_TEST(path_of_fd_gives_only_a_path_that_stands),
        SANDBOX_TEST(temp_dir_is_fresh_private_and_open),
        SANDBOX_TEST(remove_takes_files_links_and_the_absent),
        SANDBOX_TEST(remove_refuses_more_than_one_name),
        SANDBOX_TEST(remove_does_not_follow_links_out),
        SANDBOX_TEST(remove_takes_many_entries_and_odd_names),
        SANDBOX_TEST(remove_takes_trees_of_any_depth),
        SANDBOX_TEST(remove_needs_few_descriptors),
        SANDBOX_TEST(remove_opens_unreadable_folders_of_its_own),
        SANDBOX_TEST(remove_names_what_it_may_not_remove),
        SANDBOX_TEST(remove_does_not_cross_into_a_mount),
    };

    return cmocka_run_group_tests_name("base-path", tests, NULL, NULL);
}
