/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/test-sandbox.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/resource.h>

static void read_gives_what_was_written(void **state)
{
    struct sandbox *sb = *state;
    mvm_autofree char *text = NULL;
    struct stat st;
    size_t len = 0;

    assert_int_equal(file_write(sb->root_fd, "f", "a\0b", 3, 0640, NULL), 0);
    assert_int_equal(file_read(sb->root_fd, "f", 100, &text, &len, NULL), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(text, "a\0b", 4); /* NUL-ended */
    assert_int_equal(fstatat(sb->root_fd, "f", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void read_takes_the_maximum_and_refuses_one_above(void **state)
{
    struct sandbox *sb = *state;
    mvm_autofree char *text = NULL;
    mvm_autofree char *none = NULL;
    mvm_autoerror mvm_error *e = NULL;
    size_t len = 0;

    sandbox_write(sb->root_fd, "f", "12345");
    assert_int_equal(file_read(sb->root_fd, "f", 5, &text, &len, NULL), 0);
    assert_int_equal(len, 5);
    assert_int_equal(file_read(sb->root_fd, "f", 4, &none, &len, &e), MVM_E_LIMIT);
    assert_string_equal(mvm_error_message(e), "'f': more than 4 bytes");
    assert_null(none);
    assert_int_equal(len, 5);
}

static void a_path_of_the_user_is_followed(void **state)
{
    struct sandbox *sb = *state;
    mvm_autofree char *path = NULL, *text = NULL;
    mvm_autoerror mvm_error *e = NULL;
    size_t len = 0;

    assert_true(asprintf(&path, "%s/root/link", sb->path) > 0);
    assert_int_equal(file_read_path(path, 5, &text, &len, &e), MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(e), path));
    assert_int_equal(symlinkat("../outside/canary", sb->root_fd, "link"), 0);
    assert_int_equal(file_read_path(path, 4, &text, &len, NULL), MVM_E_LIMIT);
    assert_int_equal(file_read_path(path, 5, &text, &len, NULL), 0);
    assert_string_equal(text, "alive");
    free(steal_ptr(&text));
    assert_int_equal(file_read_path(sb->path, 5, &text, &len, NULL), MVM_E_FORMAT);
}

static void read_refuses_what_is_no_file_of_the_folder(void **state)
{
    struct sandbox *sb = *state;
    static const struct {
        const char *name;
        int code;
    } cases[] = { { "absent", MVM_E_NOT_FOUND },
                  { "fifo", MVM_E_FORMAT },
                  { "dir", MVM_E_FORMAT },
                  { "link", MVM_E_FORMAT },
                  { "../outside/canary", MVM_E_SYS } };

    assert_int_equal(mkfifoat(sb->root_fd, "fifo", 0600), 0);
    assert_int_equal(mkdirat(sb->root_fd, "dir", 0700), 0);
    assert_int_equal(symlinkat("../outside/canary", sb->root_fd, "link"), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autofree char *text = NULL;
        mvm_autoerror mvm_error *e = NULL;
        size_t len = 7;
        int r = file_read(sb->root_fd, cases[i].name, 100, &text, &len, &e);

        if (r != cases[i].code)
            fail_msg("'%s' gives %d: %s", cases[i].name, r, mvm_error_message(e));
        assert_non_null(strstr(mvm_error_message(e), cases[i].name));
        assert_null(text);
        assert_int_equal(len, 7);
    }
}

static void write_replaces_the_file_not_what_a_link_names(void **state)
{
    struct sandbox *sb = *state;
    mvm_autofree char *text = NULL;
    struct stat st;
    size_t len = 0;

    assert_int_equal(symlinkat("../outside/canary", sb->root_fd, "f"), 0);
    assert_int_equal(file_write(sb->root_fd, "f", "new", 3, 0600, NULL), 0);
    assert_int_equal(fstatat(sb->root_fd, "f", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(file_write(sb->root_fd, "f", "", 0, 0600, NULL), 0);
    assert_int_equal(file_read(sb->root_fd, "f", 10, &text, &len, NULL), 0);
    assert_int_equal(len, 0);
    assert_true(sandbox_canary_lives(sb));
}

static void write_without_sync_is_whole_to_every_process(void **state)
{
    struct sandbox *sb = *state;
    mvm_autofree char *text = NULL;
    struct stat st;
    size_t len = 0;

    assert_int_equal(file_write_unsynced(sb->root_fd, "f", "old one", 7, 0644, NULL), 0);
    assert_int_equal(file_write_unsynced(sb->root_fd, "f", "new", 3, 0600, NULL), 0);
    assert_int_equal(file_read(sb->root_fd, "f", 10, &text, &len, NULL), 0);
    assert_string_equal(text, "new");
    assert_int_equal(fstatat(sb->root_fd, "f", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void write_refuses_more_than_one_name(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoerror mvm_error *e = NULL;

    assert_int_equal(file_write(sb->root_fd, "../outside/canary", "x", 1, 0600, &e), MVM_E_ARG);
    assert_string_equal(mvm_error_message(e), "'../outside/canary' is not a plain name");
    assert_true(sandbox_canary_lives(sb));
}

static unsigned count_entries(int dir_fd)
{
    int fd = sandbox_open(dir_fd, ".");
    DIR *dir = fdopendir(fd);
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void) closedir(dir);
    return n - 2;
}

static void failed_write_leaves_the_old_file_and_nothing_else(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoerror mvm_error *e = NULL;

    assert_int_equal(mkdirat(sb->root_fd, "d", 0700), 0);
    assert_int_equal(file_write(sb->root_fd, "d", "x", 1, 0600, &e), MVM_E_SYS);
    assert_string_equal(mvm_error_message(e), "write 'd': rename the new file: Is a directory");
    assert_int_equal(count_entries(sb->root_fd), 1);
}

/* A full disk, by the limit on the size of a file. */
static int write_above_the_file_size(struct sandbox *sb)
{
    const struct rlimit small = { .rlim_cur = 4, .rlim_max = 4 };
    mvm_autofree char *text = NULL;
    mvm_autoerror mvm_error *e = NULL;
    size_t len = 0;

    if (file_write(sb->root_fd, "f", "old", 3, 0600, NULL) < 0)
        return 1;
    (void) signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &small) < 0)
        return 2;
    if (file_write(sb->root_fd, "f", "too long", 8, 0600, &e) != MVM_E_SYS ||
        mvm_error_errno(e) != EFBIG)
        return 3;
    if (file_read(sb->root_fd, "f", 100, &text, &len, NULL) < 0 || strcmp(text, "old") != 0)
        return 4;
    return count_entries(sb->root_fd) == 1 ? 0 : 5;
}

static void full_disk_keeps_the_old_file(void **state)
{
    assert_int_equal(sandbox_as_user(write_above_the_file_size, *state), 0);
}

static void sweep_removes_what_dead_writers_left(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoclose int alive = -EBADF;

    assert_int_equal(file_write(sb->root_fd, "kept", "x", 1, 0600, NULL), 0);
    sandbox_write(sb->root_fd, ".tmp-dead", "half");
    sandbox_write(sb->root_fd, ".tmp-alive", "half");
    alive = openat(sb->root_fd, ".tmp-alive", O_WRONLY | O_CLOEXEC);
    assert_int_equal(flock(alive, LOCK_EX), 0);
    file_sweep(sb->root_fd);
    assert_false(sandbox_has(sb->root_fd, ".tmp-dead"));
    assert_true(sandbox_has(sb->root_fd, ".tmp-alive"));
    assert_true(sandbox_has(sb->root_fd, "kept"));
}

#define SANDBOX_TEST(fn) cmocka_unit_test_setup_teardown(fn, sandbox_setup, sandbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SANDBOX_TEST(read_gives_what_was_written),
        SANDBOX_TEST(sweep_removes_what_dead_writers_left),
        SANDBOX_TEST(read_takes_the_maximum_and_refuses_one_above),
        SANDBOX_TEST(read_refuses_what_is_no_file_of_the_folder),
        SANDBOX_TEST(a_path_of_the_user_is_followed),
        SANDBOX_TEST(write_replaces_the_file_not_what_a_link_names),
        SANDBOX_TEST(write_without_sync_is_whole_to_every_process),
        SANDBOX_TEST(write_refuses_more_than_one_name),
        SANDBOX_TEST(failed_write_leaves_the_old_file_and_nothing_else),
        SANDBOX_TEST(full_disk_keeps_the_old_file),
    };

    return cmocka_run_group_tests_name("base-file", tests, NULL, NULL);
}
