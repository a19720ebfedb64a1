/* SPDX-License-Identifier: Apache-2.0 */
/* What is found out about QEMU's files before it is started. */
#include "machine/qemu/files.h"

#include "base/io.h"
#include "machine/qemu/command.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[] = "/tmp/microvm-test-XXXXXX";
static char *block_path, *missing_path;

static int setup(void **state)
{
    char block[MACHINE_EXTENT_ALIGN] = { 0 };
    int fd;

    (void) state;
    if (!mkdtemp(folder) || asprintf(&block_path, "%s/block", folder) < 0 ||
        asprintf(&missing_path, "%s/missing", folder) < 0)
        return -1;
    fd = open(block_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 && io_write_all(fd, block, sizeof(block), NULL) == 0 ? close(fd) : -1;
}

static int teardown(void **state)
{
    (void) state;
    (void) unlink(block_path);
    free(block_path);
    free(missing_path);
    return rmdir(folder);
}

static int open_extents(const struct machine_extent *root, size_t n, struct qemu_files *ret,
                        mvm_error **err)
{
    const struct machine_spec spec = { .kernel_path = block_path, .root = root, .n_root = n };

    return qemu_files_open(&spec, ret, err);
}

/* An unlimited process's soft limit is the hard one here, as in the runner. */
static rlim_t set_files_limit(rlim_t limit)
{
    struct rlimit files;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = limit && limit < files.rlim_max ? limit : files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    return files.rlim_cur;
}

static void list_of_extents_is_open_for_reading_alone(void **state)
{
    const struct machine_extent two[] = { { block_path, 4096 }, { block_path, 4096 } };
    mvm_autovalue(qemu_files) files = QEMU_FILES_NONE;
    mvm_autofree char *text = NULL;
    size_t len = 0;

    (void) state;
    (void) set_files_limit(0);
    assert_int_equal(open_extents(two, 2, &files, NULL), 0);
    assert_int_equal(files.n_extents, 2);
    assert_int_equal(fcntl(files.root_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(io_read_all(files.root_fd, QEMU_EXTENTS_TEXT_MAX, &text, &len, NULL), 0);
    assert_non_null(strstr(text, "RW 8 FLAT \"/dev/fdset/17\" 0\n"));
}

static void a_disk_of_one_needs_no_list(void **state)
{
    const struct machine_extent one = { .path = block_path };
    mvm_autovalue(qemu_files) files = QEMU_FILES_NONE;
    struct stat st;

    (void) state;
    assert_int_equal(open_extents(&one, 1, &files, NULL), 0);
    assert_int_equal(files.n_extents, 0);
    assert_int_equal(fstat(files.root_fd, &st), 0);
    assert_int_equal(st.st_size, 4096);
}

static void expect_refused(const struct machine_extent *root, size_t n, int code, const char *part)
{
    mvm_autovalue(qemu_files) files = QEMU_FILES_NONE;
    mvm_autoerror mvm_error *err = NULL;

    assert_int_equal(open_extents(root, n, &files, &err), code);
    if (!strstr(mvm_error_message(err), part))
        fail_msg("'%s' does not name '%s'", mvm_error_message(err), part);
    assert_int_equal(files.root_fd, -EBADF);
}

static void extents_that_cannot_be_read_are_named(void **state)
{
    const struct machine_extent longer[] = { { block_path, 4096 }, { block_path, 8192 } };
    const struct machine_extent gone[] = { { block_path, 4096 }, { missing_path, 4096 } };
    const struct machine_extent dir[] = { { folder, 4096 }, { block_path, 4096 } };

    (void) state;
    expect_refused(longer, 2, MVM_E_FORMAT, "block' has 4096 bytes instead of 8192");
    expect_refused(gone, 2, MVM_E_NOT_FOUND, missing_path);
    expect_refused(dir, 2, MVM_E_FORMAT, "is not a regular file");
}

static void extents_have_a_limit(void **state)
{
    struct machine_extent *all = calloc(MACHINE_EXTENTS_MAX + 1, sizeof(*all));
    mvm_autovalue(qemu_files) files = QEMU_FILES_NONE;

    (void) state;
    assert_non_null(all);
    for (size_t i = 0; i <= MACHINE_EXTENTS_MAX; i++)
        all[i] = (struct machine_extent){ block_path, 4096 };
    expect_refused(all, MACHINE_EXTENTS_MAX + 1, MVM_E_LIMIT, "513 extents; 512 are possible");
    if (set_files_limit(0) >= 2048)
        assert_int_equal(open_extents(all, MACHINE_EXTENTS_MAX, &files, NULL), 0);
    free(all);
}

/* 16 numbers come before them, each is there twice, and QEMU has files of its own. */
static void files_of_the_process_have_a_limit(void **state)
{
    struct machine_extent all[21];
    mvm_autovalue(qemu_files) files = QEMU_FILES_NONE;

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        all[i] = (struct machine_extent){ block_path, 4096 };
    assert_int_equal(set_files_limit(16 + 2 * 20 + 128), 184);
    assert_int_equal(open_extents(all, 20, &files, NULL), 0);
    expect_refused(all, 21, MVM_E_LIMIT, "21 extents take 186 open files; the limit is 184");
    (void) set_files_limit(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_of_extents_is_open_for_reading_alone),
        cmocka_unit_test(a_disk_of_one_needs_no_list),
        cmocka_unit_test(extents_that_cannot_be_read_are_named),
        cmocka_unit_test(extents_have_a_limit),
        cmocka_unit_test(files_of_the_process_have_a_limit),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
