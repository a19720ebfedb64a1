/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of directory roots: a tree, its data, and the folder where it is presented. */
#ifndef ROOTFS_TEST_DIRECTORY_H
#define ROOTFS_TEST_DIRECTORY_H

#include "base/io.h"
#include "base/test-sandbox.h"
#include "image/test-tree.h"
#include "rootfs/directory.h"

#include <dirent.h>

#define SANDBOX_TEST(fn) cmocka_unit_test_setup_teardown(fn, sandbox_setup, sandbox_teardown)
#define DATA_BLOCKS 1000

/* One layer with its data, presented below a folder that is ours alone. */
struct bench {
    struct layer_stack stack;
    int data[STACK_MAX]; /* owned */
    int folder;          /* owned */
    int root;            /* owned: of the result; -EBADF */
    struct rootfs_directory_report report;
};
static inline void bench_deinit(struct bench *b)
{
    layer_stack_deinit(&b->stack);
    for (size_t i = 0; i < STACK_MAX; i++)
        if (b->data[i] >= 0)
            (void) close(b->data[i]);
    (void) close(b->folder);
    if (b->root >= 0)
        (void) close(b->root);
    rootfs_directory_report_deinit(&b->report);
}
MVM_DEFINE_AUTOVALUE(bench, bench_deinit)

static inline struct bench bench_new(const struct sandbox *sb, mode_t mode)
{
    struct bench b = { .root = -EBADF };

    for (size_t i = 0; i < STACK_MAX; i++)
        b.data[i] = -EBADF;
    if (mkdirat(sb->root_fd, "folder", 0700) < 0)
        fail_msg("mkdir: %s", strerror(errno));
    b.folder = sandbox_open(sb->root_fd, "folder");
    assert_int_equal(fchmod(b.folder, mode), 0);
    return b;
}

static inline void bench_add(struct bench *b, const struct record_spec *specs)
{
    mvm_autoerror mvm_error *e = NULL;
    struct layer_index *x = layer_of_specs(specs, b->data[b->stack.n] >= 0 ? DATA_BLOCKS : 0);

    if (stack_apply(&b->stack, x, &e) < 0)
        fail_msg("%s", mvm_error_message(e));
}

static inline int bench_make(struct bench *b, struct image_tick *tick, mvm_error **err)
{
    int r;

    assert_int_equal(tree_finish(b->stack.tree, NULL, NULL), 0);
    r = rootfs_directory_make(b->stack.tree, b->data, b->folder, "root", tick, &b->report, err);
    if (r == 0)
        b->root = sandbox_open(b->folder, "root");
    return r;
}

static inline void bench_must_make(struct bench *b)
{
    mvm_autoerror mvm_error *e = NULL;

    if (bench_make(b, NULL, &e) < 0)
        fail_msg("%s", mvm_error_message(e));
}

static inline unsigned count_entries(int dir_fd)
{
    DIR *dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void) closedir(dir);
    return n - 2;
}

static inline struct stat stat_of(const struct bench *b, const char *path)
{
    struct stat st;

    if (fstatat(b->root, path, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        fail_msg("'%s': %s", path, strerror(errno));
    return st;
}

static inline void expect_content(const struct bench *b, const char *path, const char *want)
{
    mvm_autoclose int fd = openat(b->root, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    mvm_autofree char *got = NULL;
    size_t len;

    assert_true(fd >= 0);
    assert_int_equal(io_read_all(fd, 1u << 20, &got, &len, NULL), 0);
    assert_string_equal(got, want);
}

#endif
