/* SPDX-License-Identifier: Apache-2.0 */
#include "base/confine.h"

#include "base/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Runs @fn in a child, whose exit status tells which of its checks failed; 0: none. */
static int in_child(int (*fn)(void *user), void *user)
{
    int status = -1;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        syscall(SYS_exit_group, fn(user)); /* nothing of the test program's exit is allowed there */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static const struct confine_call few[] = {
    { .number = SYS_getppid },
    { .number = SYS_socket, .first_is = true, .first = AF_UNIX },
    { .number = SYS_getuid },
    { .number = SYS_exit_group },
};

static int only_listed_calls(void *user)
{
    (void) user;
    if (confine_privileges(NULL) < 0 || confine_calls(few, ARRAY_SIZE(few), NULL) < 0)
        return 1;
    if (syscall(SYS_getppid) <= 0 || syscall(SYS_getuid) < 0)
        return 2;
    if (syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0)
        return 3;
    if (syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 || errno != EPERM)
        return 4;
    if (syscall(SYS_getpgid, 0) >= 0 || errno != EPERM)
        return 5;
    return syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_CLOEXEC) >= 0 || errno != EPERM ? 6 : 0;
}

static void calls_that_are_not_listed_fail(void **state)
{
    (void) state;
    assert_int_equal(in_child(only_listed_calls, NULL), 0);
}

static int foreign_number(void *user)
{
    (void) user;
    if (confine_privileges(NULL) < 0 || confine_calls(few, ARRAY_SIZE(few), NULL) < 0)
        return 1;
    return (int) syscall(SYS_getppid | 0x40000000) > 0; /* of the x32 ABI */
}

static void calls_of_another_abi_kill(void **state)
{
    (void) state;
    assert_int_equal(in_child(foreign_number, NULL), -SIGSYS);
}

static void as_many_calls_as_the_limit_fit(void **state)
{
    struct confine_call many[CONFINE_CALLS_MAX + 1];

    (void) state;
    memset(many, 0, sizeof(many));
    assert_int_equal(confine_calls(many, ARRAY_SIZE(many), NULL), MVM_E_ARG);
}

static int full_filter(void *user)
{
    struct confine_call many[CONFINE_CALLS_MAX];

    (void) user;
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = (struct confine_call){ .number = 10000 + (int) i, .first_is = true, .first = 1 };
    many[CONFINE_CALLS_MAX - 1] = (struct confine_call){ .number = SYS_exit_group };
    return confine_privileges(NULL) < 0 || confine_calls(many, ARRAY_SIZE(many), NULL) < 0;
}

static void the_last_of_many_calls_is_allowed(void **state)
{
    (void) state;
    assert_int_equal(in_child(full_filter, NULL), 0);
}

static int files_are_gone(void *user)
{
    const struct sockaddr_un *un = user;
    mvm_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (confine_privileges(NULL) < 0 || confine_files(NULL) < 0)
        return 1;
    if (prctl(PR_GET_DUMPABLE) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 2;
    if (open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0 || errno != EACCES)
        return 3;
    if (open("/dev/null", O_WRONLY | O_CLOEXEC) >= 0 || errno != EACCES)
        return 4;
    /* By its path, which Landlock leaves alone. */
    return connect(fd, (const struct sockaddr *) un, sizeof(*un)) < 0 ? 5 : 0;
}

static void files_are_out_of_reach_and_sockets_are_not(void **state)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    mvm_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mvm_autoclose int ruleset = -EBADF;
    char folder[] = "/tmp/microvm-confine-XXXXXX";
    int abi, r;

    (void) state;
    if (confine_ruleset(&ruleset, &abi, NULL) == 0) {
        print_message("# this kernel has no Landlock\n");
        skip();
    }
    assert_non_null(mkdtemp(folder));
    (void) snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", folder);
    assert_int_equal(bind(fd, (struct sockaddr *) &un, sizeof(un)), 0);
    assert_int_equal(listen(fd, 4), 0);
    r = in_child(files_are_gone, &un);
    assert_int_equal(unlink(un.sun_path), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(r, 0);
}

static int close_others(void *user)
{
    const int *fds = user;
    const int keep[] = { 0, 1, 2, fds[1], fds[3] };

    if (confine_descriptors(keep, ARRAY_SIZE(keep), NULL) < 0)
        return 1;
    for (int i = 0; i < 5; i++)
        if ((fcntl(fds[i], F_GETFD) >= 0) != (i == 1 || i == 3))
            return 2 + i;
    return 0;
}

static void descriptors_that_are_not_kept_are_closed(void **state)
{
    int fds[5];

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(fds[i] > 2);
    }
    assert_int_equal(in_child(close_others, fds), 0);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        (void) close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_that_are_not_listed_fail),
        cmocka_unit_test(calls_of_another_abi_kill),
        cmocka_unit_test(as_many_calls_as_the_limit_fit),
        cmocka_unit_test(the_last_of_many_calls_is_allowed),
        cmocka_unit_test(files_are_out_of_reach_and_sockets_are_not),
        cmocka_unit_test(descriptors_that_are_not_kept_are_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
