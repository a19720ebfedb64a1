/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/init/guest-files.h"

#include "base/test-sandbox.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
    struct sandbox *sb;
    char from[96], root[96];
};

/* "from" with etc/a.json, and an empty root. */
static struct fixture fixture_of(void **state)
{
    struct fixture f = { .sb = *state };
    mvm_autoclose int from = -EBADF;

    (void) snprintf(f.from, sizeof(f.from), "%s/from", f.sb->path);
    (void) snprintf(f.root, sizeof(f.root), "%s/root", f.sb->path);
    assert_int_equal(mkdirat(f.sb->fd, "from", 0755), 0);
    from = sandbox_open(f.sb->fd, "from");
    assert_int_equal(mkdirat(from, "etc", 0755), 0);
    sandbox_write(from, "etc/a.json", "new");
    return f;
}

static void assert_content(int dir_fd, const char *name, const char *want)
{
    mvm_autoclose int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char text[16] = "";

    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof(text) - 1) >= 0);
    assert_string_equal(text, want);
}

static void install_makes_missing_folders(void **state)
{
    struct fixture f = fixture_of(state);
    struct stat st;

    assert_int_equal(guest_files_install(f.from, f.root, NULL), 0);
    assert_content(f.sb->root_fd, "etc/a.json", "new");
    assert_int_equal(fstatat(f.sb->root_fd, "etc/a.json", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
}

static void install_replaces_a_file_and_a_link_of_its_name(void **state)
{
    struct fixture f = fixture_of(state);

    assert_int_equal(mkdirat(f.sb->root_fd, "etc", 0755), 0);
    assert_int_equal(symlinkat("../../outside/canary", f.sb->root_fd, "etc/a.json"), 0);
    assert_int_equal(guest_files_install(f.from, f.root, NULL), 0);
    assert_content(f.sb->root_fd, "etc/a.json", "new");
}

static void install_follows_a_linked_folder_within_the_root(void **state)
{
    struct fixture f = fixture_of(state);

    assert_int_equal(mkdirat(f.sb->root_fd, "outside", 0755), 0);
    assert_int_equal(symlinkat("/../outside", f.sb->root_fd, "etc"), 0);
    assert_int_equal(guest_files_install(f.from, f.root, NULL), 0);
    assert_content(f.sb->root_fd, "outside/a.json", "new");
}

static void install_names_what_it_cannot_put(void **state)
{
    struct fixture f = fixture_of(state);
    mvm_autoerror mvm_error *err = NULL;

    assert_int_equal(mkdirat(f.sb->root_fd, "etc", 0755), 0);
    assert_int_equal(mkdirat(f.sb->root_fd, "etc/a.json", 0755), 0);
    assert_true(guest_files_install(f.from, f.root, &err) < 0);
    if (strncmp(mvm_error_message(err), "host's file '/etc/a.json': ", 27) != 0 ||
        strstr(mvm_error_message(err) + 1, "host's file"))
        fail_msg("%s", mvm_error_message(err));
}

static void install_of_nothing_is_fine(void **state)
{
    struct sandbox *sb = *state;

    assert_int_equal(guest_files_install("/nowhere/files", sb->path, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sandbox_setup, sandbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(install_makes_missing_folders),
        TEST(install_replaces_a_file_and_a_link_of_its_name),
        TEST(install_follows_a_linked_folder_within_the_root),
        TEST(install_names_what_it_cannot_put),
        TEST(install_of_nothing_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
