/* SPDX-License-Identifier: Apache-2.0 */
/* Each question is asked by a process of its own, which the jail then holds for good. */
#include "machine/qemu/jail.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#define ABI_WITH_TCP 4
#define FD_MIN 600

/* The kernel file and another one beside it. */
static char kernel_path[] = "/tmp/microvm-test-XXXXXX", other_path[] = "/tmp/microvm-test-XXXXXX";
static int kernel_fd = -EBADF;

static int landlock_abi(void)
{
    return (int) syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static int setup(void **state)
{
    int fd = mkostemp(other_path, O_CLOEXEC);

    (void) state;
    kernel_fd = mkostemp(kernel_path, O_CLOEXEC);
    return fd >= 0 && close(fd) == 0 && kernel_fd >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void) state;
    (void) unlink(other_path);
    (void) close(kernel_fd);
    return unlink(kernel_path);
}

/* What @ask gives inside of the jail: 0 or an errno. */
static int ask_inside(int (*ask)(void))
{
    int ruleset_fd = -EBADF, status = 0;
    pid_t pid;

    if (landlock_abi() < 1) {
        print_message("# this kernel has no Landlock\n");
        skip();
    }
    assert_int_equal(jail_make(kernel_fd, FD_MIN, &ruleset_fd, NULL), 0);
    assert_true(ruleset_fd >= FD_MIN); /* above the numbers that are dealt out */
    assert_int_equal(fcntl(ruleset_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(jail_enter(&ruleset_fd) == 0 ? ask() : 255);
    (void) close(ruleset_fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int try_open(const char *path, int flags)
{
    mvm_autoclose int fd = open(path, flags | O_CLOEXEC, 0600);

    return fd < 0 ? errno : 0;
}

static int read_other(void)
{
    return try_open(other_path, O_RDONLY);
}

static int read_kernel(void)
{
    return try_open(kernel_path, O_RDONLY);
}

static int write_kernel(void)
{
    return try_open(kernel_path, O_WRONLY);
}

static int read_system(void)
{
    return try_open("/usr/bin/env", O_RDONLY);
}

static int write_system(void)
{
    return try_open("/usr/bin/env", O_WRONLY);
}

static int make_file(void)
{
    return try_open("/tmp/microvm-test-made", O_WRONLY | O_CREAT);
}

static int read_accounts(void)
{
    return try_open("/etc/passwd", O_RDONLY);
}

static int use_null(void)
{
    return try_open("/dev/null", O_RDWR);
}

static int remove_other(void)
{
    return unlink(other_path) < 0 ? errno : 0;
}

static int connect_tcp(void)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons(9),
                                    .sin_addr = { htonl(INADDR_LOOPBACK) } };
    mvm_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd < 0 || connect(fd, (const struct sockaddr *) &to, sizeof(to)) < 0 ? errno : 0;
}

static int gain_privileges(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? EPERM : 0;
}

static void jail_reads_the_kernel_and_what_is_installed(void **state)
{
    (void) state;
    assert_int_equal(ask_inside(read_kernel), 0);
    assert_int_equal(ask_inside(read_system), 0);
    assert_int_equal(ask_inside(use_null), 0);
}

static void jail_reads_nothing_else(void **state)
{
    (void) state;
    assert_int_equal(ask_inside(read_other), EACCES);
    assert_int_equal(ask_inside(read_accounts), EACCES);
}

static void jail_changes_no_file(void **state)
{
    (void) state;
    assert_int_equal(ask_inside(write_kernel), EACCES);
    assert_int_equal(ask_inside(write_system), EACCES);
    assert_int_equal(ask_inside(make_file), EACCES);
    assert_int_equal(ask_inside(remove_other), EACCES);
}

static void jail_connects_nowhere(void **state)
{
    (void) state;
    if (landlock_abi() < ABI_WITH_TCP) {
        print_message("# this kernel's Landlock knows no TCP\n");
        skip();
    }
    assert_int_equal(ask_inside(connect_tcp), EACCES);
}

static void jail_gains_no_privileges(void **state)
{
    (void) state;
    assert_int_equal(ask_inside(gain_privileges), EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jail_reads_the_kernel_and_what_is_installed),
        cmocka_unit_test(jail_reads_nothing_else),
        cmocka_unit_test(jail_changes_no_file),
        cmocka_unit_test(jail_connects_nowhere),
        cmocka_unit_test(jail_gains_no_privileges),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
