/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/init/sysctl.h"

#include "base/test-sandbox.h"

static void set_writes_the_value_alone_below_the_root(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoclose int fd = -EBADF;
    char root[96], text[8] = "";

    (void) snprintf(root, sizeof(root), "%s/root", sb->path);
    assert_int_equal(mkdirat(sb->root_fd, "kernel", 0755), 0);
    assert_int_equal(mkdirat(sb->root_fd, "kernel/yama", 0755), 0);
    sandbox_write(sb->root_fd, "kernel/yama/ptrace_scope", "");
    assert_int_equal(sysctl_set(root, "kernel.yama.ptrace_scope", "1", NULL), 0);
    fd = openat(sb->root_fd, "kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof(text)), 1);
    assert_string_equal(text, "1");
}

static void set_names_the_key_that_is_not_there(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoerror mvm_error *err = NULL;
    char root[96];

    (void) snprintf(root, sizeof(root), "%s/root", sb->path);
    assert_int_equal(sysctl_set(root, "kernel.none", "7", &err), MVM_E_SYS);
    assert_non_null(strstr(mvm_error_message(err), "set kernel.none to 7"));
    assert_false(sandbox_has(sb->root_fd, "kernel"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sandbox_setup, sandbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(set_writes_the_value_alone_below_the_root),
        TEST(set_names_the_key_that_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
