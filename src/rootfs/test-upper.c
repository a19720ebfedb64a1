/* SPDX-License-Identifier: Apache-2.0 */
#include "rootfs/upper.h"

#include "base/child.h"
#include "base/test-sandbox.h"

#include <signal.h>
#include <sys/resource.h>

#define DISK "upper.img"
#define TEMPLATE "disks/ext4-1-64"
#define SIZE (64ULL << 20)

static void need_mke2fs(void)
{
    mvm_autofree char *path = rootfs_upper_find_mke2fs();

    if (!path) {
        print_message("# no mke2fs is here\n");
        skip();
    }
}

static void expect_made(struct sandbox *sb, uint64_t size)
{
    mvm_autoerror mvm_error *err = NULL;
    struct stat st;

    if (rootfs_upper_make(sb->fd, sb->root_fd, DISK, size, &err) < 0)
        fail_msg("%s", mvm_error_message(err));
    assert_int_equal(fstatat(sb->root_fd, DISK, &st, 0), 0);
    assert_true((uint64_t) st.st_size == size);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true((uint64_t) st.st_blocks * 512 < 8 << 20);
}

/* What e2fsprogs itself says of the file system. */
static void check_file_system(const struct sandbox *sb)
{
    mvm_autofree char *path = NULL;
    mvm_autofree char *output = NULL;
    mvm_autoerror mvm_error *err = NULL;

    assert_true(asprintf(&path, "%s/root/" DISK, sb->path) > 0);
    char *const argv[] = { (char *) "/sbin/e2fsck", (char *) "-fn", path, NULL };
    const struct child_spec spec = { .argv = argv };

    if (child_run(&spec, 60000, 65536, &output, &err) < 0)
        fail_msg("%s: %s", mvm_error_message(err), output ? output : "");
}

static void disk_is_a_sound_file_system(void **state)
{
    struct sandbox *sb = *state;

    need_mke2fs();
    expect_made(sb, SIZE);
    check_file_system(sb);
    assert_true(sandbox_has(sb->fd, TEMPLATE));
    assert_int_equal(unlinkat(sb->root_fd, DISK, 0), 0);
    expect_made(sb, SIZE); /* from the template */
    check_file_system(sb);
}

static void template_that_is_damaged_is_made_anew(void **state)
{
    struct sandbox *sb = *state;
    struct stat before, after;

    need_mke2fs();
    expect_made(sb, SIZE);
    assert_int_equal(fstatat(sb->fd, TEMPLATE, &before, 0), 0);
    sandbox_write(sb->fd, TEMPLATE, "MVMDISK1 and then nothing");
    assert_int_equal(unlinkat(sb->root_fd, DISK, 0), 0);
    expect_made(sb, SIZE);
    check_file_system(sb);
    assert_int_equal(fstatat(sb->fd, TEMPLATE, &after, 0), 0);
    assert_true(after.st_size == before.st_size);
}

static void disk_is_made_from_the_template_alone(void **state)
{
    struct sandbox *sb = *state;
    mvm_autofree char *saved = strdup(getenv("PATH"));

    need_mke2fs();
    expect_made(sb, SIZE);
    assert_int_equal(unlinkat(sb->root_fd, DISK, 0), 0);
    /* One that would be run leaves its mark. */
    sandbox_write(sb->fd, "mke2fs", "#!/bin/sh\nexit 9\n");
    assert_int_equal(fchmodat(sb->fd, "mke2fs", 0755, 0), 0);
    assert_int_equal(setenv("PATH", sb->path, 1), 0);
    expect_made(sb, SIZE);
    assert_int_equal(unlinkat(sb->root_fd, DISK, 0), 0);
    assert_int_equal(rootfs_upper_make(sb->fd, sb->root_fd, DISK, 2 * SIZE, NULL), MVM_E_CHILD);
    assert_false(sandbox_has(sb->root_fd, DISK));
    assert_int_equal(setenv("PATH", saved, 1), 0);
}

static void sizes_have_limits(void **state)
{
    static const uint64_t wrong[] = { 0, ROOTFS_UPPER_MIN - ROOTFS_UPPER_UNIT, ROOTFS_UPPER_MIN + 1,
                                      ROOTFS_UPPER_MAX + ROOTFS_UPPER_UNIT, UINT64_MAX };
    struct sandbox *sb = *state;

    need_mke2fs();
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(rootfs_upper_make(sb->fd, sb->root_fd, DISK, wrong[i], NULL), MVM_E_ARG);
    assert_false(sandbox_has(sb->root_fd, DISK));
    expect_made(sb, ROOTFS_UPPER_MIN);
    check_file_system(sb);
    assert_int_equal(unlinkat(sb->root_fd, DISK, 0), 0);
    expect_made(sb, ROOTFS_UPPER_MAX);
}

static int exceed_file_limit(struct sandbox *sb)
{
    const struct rlimit file = { SIZE - 1, SIZE - 1 };
    mvm_autoerror mvm_error *err = NULL;

    if (setrlimit(RLIMIT_FSIZE, &file) < 0)
        return 1;
    return rootfs_upper_make(sb->fd, sb->root_fd, DISK, SIZE, &err) == MVM_E_LIMIT &&
                   strstr(mvm_error_message(err), "(ulimit -f)")
               ? 0
               : 2;
}

static void limit_of_file_sizes_is_told_and_not_died_of(void **state)
{
    assert_int_equal(sandbox_as_user(exceed_file_limit, *state), 0);
}

static void disk_that_is_there_is_nobody_s_to_overwrite(void **state)
{
    struct sandbox *sb = *state;

    need_mke2fs();
    sandbox_write(sb->root_fd, DISK, "mine");
    assert_int_equal(rootfs_upper_make(sb->fd, sb->root_fd, DISK, SIZE, NULL), MVM_E_SYS);
    assert_true(sandbox_has(sb->root_fd, DISK));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, sandbox_setup, sandbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(disk_is_a_sound_file_system),
        TEST(template_that_is_damaged_is_made_anew),
        TEST(disk_is_made_from_the_template_alone),
        TEST(sizes_have_limits),
        TEST(limit_of_file_sizes_is_told_and_not_died_of),
        TEST(disk_that_is_there_is_nobody_s_to_overwrite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
