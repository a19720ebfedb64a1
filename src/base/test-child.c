/* SPDX-License-Identifier: Apache-2.0 */
#include "base/child.h"

#include "base/clock.h"
#include "base/io.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Far above what any of these programs needs, far below the patience of the test runner. */
#define PATIENCE_MS 30000

/* A vector of literals: execve(2) takes it without const and changes nothing. */
#define ARGV(...) ((char *const *) (const char *const[]){ __VA_ARGS__, NULL })
#define SH(script)                         \
    {                                      \
        .argv = ARGV("sh", "-c", (script)) \
    }

static int run(const struct child_spec *spec, char **ret_stdout, mvm_error **err)
{
    return child_run(spec, PATIENCE_MS, 100000, ret_stdout, err);
}

/* Without CLOEXEC, as a careless library in the same process would leave it. */
static int leaked_descriptor(void)
{
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
    return fd;
}

static void run_gives_the_output(void **state)
{
    const struct child_spec spec = SH("echo out; echo err >&2");
    mvm_autofree char *out = NULL;
    mvm_autoerror mvm_error *e = NULL;

    (void) state;
    assert_int_equal(run(&spec, &out, &e), 0);
    assert_string_equal(out, "out\n");
    assert_int_equal(run(&spec, NULL, &e), 0);
}

static void run_reports_the_status_and_the_last_line(void **state)
{
    static const struct {
        const char *script;
        const char *message;
    } cases[] = {
        { "exit 3", "run sh: sh ended with status 3" },
        { "echo first >&2; echo 'disk full' >&2; echo >&2; exit 1",
          "run sh: sh ended with status 1: disk full" },
        { "printf 'no end' >&2; exit 255", "run sh: sh ended with status 255: no end" },
        { "kill -9 $$", "run sh: sh ended with signal 9" },
        { "printf 'a\\033[31m\\n' >&2; exit 1", "run sh: sh ended with status 1: a\\x1b[31m" },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct child_spec spec = SH(cases[i].script);
        mvm_autofree char *out = NULL;
        mvm_autoerror mvm_error *e = NULL;

        assert_int_equal(run(&spec, &out, &e), MVM_E_CHILD);
        assert_string_equal(mvm_error_message(e), cases[i].message);
        assert_null(out);
    }
}

static void run_keeps_the_tail_of_a_long_stderr(void **state)
{
    static const char *const scripts[] = {
        /* In one write, in many, and a last line that is longer than what is kept. */
        "head -c 100000 /dev/zero | tr '\\0' x >&2; printf '\\nthe end\\n' >&2; exit 1",
        "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; echo the end >&2; exit 1",
        "{ head -c 4000 /dev/zero | tr '\\0' x; printf '\\n%4000s\\nthe end\\n' y; } >&2; exit 1",
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
        const struct child_spec spec = SH(scripts[i]);
        mvm_autoerror mvm_error *e = NULL;

        assert_int_equal(run(&spec, NULL, &e), MVM_E_CHILD);
        assert_string_equal(mvm_error_message(e), "run sh: sh ended with status 1: the end");
    }
}

static void run_takes_the_maximum_and_refuses_one_above(void **state)
{
    const struct child_spec spec = SH("printf 12345");
    const struct child_spec endless = { .argv = ARGV("cat", "/dev/zero") };
    mvm_autofree char *out = NULL;
    mvm_autofree char *none = NULL;
    mvm_autoerror mvm_error *e = NULL;

    (void) state;
    assert_int_equal(child_run(&spec, PATIENCE_MS, 5, &out, NULL), 0);
    assert_string_equal(out, "12345");
    assert_int_equal(child_run(&spec, PATIENCE_MS, 4, &none, &e), MVM_E_LIMIT);
    assert_string_equal(mvm_error_message(e), "run sh: a program's output: more than 4 bytes");
    assert_int_equal(child_run(&endless, PATIENCE_MS, 100000, &none, NULL), MVM_E_LIMIT);
    assert_null(none);
}

static void run_ends_at_the_time_limit(void **state)
{
    static const char *const scripts[] = { "exec sleep 1000", "exec sleep 1000 >&- 2>&-" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
        const struct child_spec spec = SH(scripts[i]);
        mvm_autoerror mvm_error *e = NULL;
        uint64_t start = clock_now_ms();

        assert_int_equal(child_run(&spec, 100, 100, NULL, &e), MVM_E_TIMEOUT);
        assert_in_range(clock_now_ms() - start, 100, PATIENCE_MS);
        assert_memory_equal(mvm_error_message(e), "run sh: ", 8);
    }
    /* Nothing of ours is left, not even a zombie. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void run_passes_descriptor_0_and_refuses_others(void **state)
{
    mvm_autoclose int input = -EBADF;
    mvm_autofree char *out = NULL;
    mvm_autoerror mvm_error *e = NULL;
    struct child_fd fds[2] = { { .to = 0 }, { .from = 2, .to = 3 } };
    struct child_spec spec = { .argv = ARGV("cat"), .fds = fds, .n_fds = 1 };

    (void) state;
    assert_int_equal(io_memfd("input", "hello", 5, true, &input, NULL), 0);
    fds[0].from = input;
    assert_int_equal(run(&spec, &out, NULL), 0);
    assert_string_equal(out, "hello");
    spec.n_fds = 2;
    assert_int_equal(run(&spec, NULL, &e), MVM_E_ARG);
    spec.n_fds = 1;
    fds[0].to = 1;
    assert_int_equal(run(&spec, NULL, &e), MVM_E_ARG);
    assert_non_null(strstr(mvm_error_message(e), "only descriptor 0"));
}

static void unlisted_descriptors_are_null_or_closed(void **state)
{
    mvm_autoclose int fd = leaked_descriptor();
    const struct child_spec spec = SH(
        "cat; ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0");
    mvm_autofree char *out = NULL;

    (void) state;
    assert_int_equal(run(&spec, &out, NULL), 0);
    /* 3 is the folder that ls itself reads. */
    assert_string_equal(out, "0 1 2 3 /dev/null\n");
    assert_int_equal(fcntl(fd, F_GETFD), 0); /* ours is as it was */
}

static void failed_exec_comes_back_with_its_errno(void **state)
{
    static const struct {
        const char *path;
        const char *argv0;
        int code;
        int errnum;
    } cases[] = {
        { NULL, "microvm-no-such-program", MVM_E_NOT_FOUND, ENOENT },
        { "/nonexistent/x", "x", MVM_E_NOT_FOUND, ENOENT },
        { "/etc/passwd", "passwd", MVM_E_SYS, EACCES },
        { "/proc", "proc", MVM_E_SYS, EACCES },
        { "/etc/passwd/x", "x", MVM_E_SYS, ENOTDIR },
        { "sh", "sh", MVM_E_NOT_FOUND, ENOENT }, /* a path is not looked for in PATH */
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct child_spec spec = { .path = cases[i].path, .argv = ARGV(cases[i].argv0) };
        struct child c = CHILD_NONE;
        mvm_autoerror mvm_error *e = NULL;

        assert_int_equal(child_spawn(&spec, &c, &e), cases[i].code);
        assert_int_equal(mvm_error_errno(e), cases[i].errnum);
        assert_memory_equal(mvm_error_message(e), "start '", 7);
        assert_int_equal(c.pidfd, -EBADF);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static int refuse(void *user)
{
    return *(const int *) user;
}

static void prepare_can_refuse(void **state)
{
    int e = EPROTO;
    const struct child_spec spec = { .argv = ARGV("true"), .prepare = refuse, .prepare_user = &e };
    struct child c = CHILD_NONE;
    mvm_autoerror mvm_error *error = NULL;

    (void) state;
    assert_int_equal(child_spawn(&spec, &c, &error), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(error), EPROTO);
    e = 0;
    assert_int_equal(child_spawn(&spec, &c, NULL), 0);
    child_deinit(&c);
}

static void environment_and_folder_are_those_of_the_spec(void **state)
{
    mvm_autoclose int dir = open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct child_spec env = { .path = "/usr/bin/env",
                                    .argv = ARGV("env"),
                                    .envp = ARGV("A=x y", "B=") };
    struct child_spec pwd = SH("pwd");
    mvm_autofree char *env_out = NULL;
    mvm_autofree char *pwd_out = NULL;

    (void) state;
    assert_int_equal(run(&env, &env_out, NULL), 0);
    assert_string_equal(env_out, "A=x y\nB=\n");
    pwd.cwd_fd = dir;
    assert_int_equal(run(&pwd, &pwd_out, NULL), 0);
    assert_string_equal(pwd_out, "/usr\n");
}

static void signals_are_as_new(void **state)
{
    struct child_spec spec = SH("grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status");
    mvm_autofree char *out = NULL;
    sigset_t block, old;

    (void) state;
    (void) sigemptyset(&block);
    (void) sigaddset(&block, SIGTERM);
    (void) sigaddset(&block, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &block, &old), 0);
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    assert_int_equal(run(&spec, &out, NULL), 0);
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    if (!strstr(out, "SigBlk:\t0000000000000000") || !strstr(out, "SigIgn:\t0000000000000000"))
        fail_msg("not as new: %s", out);
    /* The caller's own mask is what it was. */
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, &block), 0);
    assert_int_equal(sigismember(&block, SIGTERM), 1);
    assert_int_equal(sigismember(&block, SIGINT), 0);
}

static void new_session_leads_itself(void **state)
{
    struct child_spec spec = SH("read -r pid c s p g sid rest < /proc/self/stat; [ $sid = $$ ]");

    (void) state;
    assert_int_equal(run(&spec, NULL, NULL), MVM_E_CHILD);
    spec.new_session = true;
    assert_int_equal(run(&spec, NULL, NULL), 0);
}

/* A process that starts a child with a death signal, tells its number and waits to be killed. */
static _Noreturn void mortal_parent(int fd)
{
    struct child_spec spec = { .argv = ARGV("sleep", "1000"), .death_signal = SIGKILL };
    struct child c = CHILD_NONE;

    if (child_spawn(&spec, &c, NULL) < 0 || write(fd, &c.pid, sizeof(c.pid)) != sizeof(c.pid))
        _exit(1);
    for (;;)
        (void) pause();
}

static void death_signal_follows_the_parent(void **state)
{
    mvm_autoclose int reader = -EBADF;
    int pair[2];
    pid_t parent, grandchild = 0;
    uint64_t start;

    (void) state;
    /* The orphan becomes ours, so that its end is seen for certain. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    reader = pair[0];
    parent = fork();
    if (parent == 0)
        mortal_parent(pair[1]);
    assert_true(parent > 0);
    assert_int_equal(close(pair[1]), 0);
    assert_int_equal(io_read_full(reader, &grandchild, sizeof(grandchild), NULL),
                     sizeof(grandchild));
    assert_int_equal(kill(grandchild, 0), 0);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    start = clock_now_ms();
    assert_int_equal(waitpid(grandchild, NULL, 0), grandchild);
    assert_in_range(clock_now_ms() - start, 0, PATIENCE_MS);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void wait_tells_exit_from_signal(void **state)
{
    const struct child_spec spec = SH("kill -TERM $$");
    const struct child_spec seven = SH("exit 7");
    struct child c = CHILD_NONE;
    struct child_status status = { .exited = true };
    mvm_autoerror mvm_error *e = NULL;

    (void) state;
    assert_int_equal(child_spawn(&spec, &c, NULL), 0);
    assert_int_equal(fcntl(c.pidfd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(child_wait(&c, PATIENCE_MS, &status, NULL), 0);
    assert_false(status.exited);
    assert_int_equal(status.code, SIGTERM);
    assert_int_equal(child_spawn(&seven, &c, NULL), 0);
    assert_int_equal(child_wait(&c, -1, &status, NULL), 0);
    assert_true(status.exited);
    assert_int_equal(status.code, 7);
    assert_int_equal(c.pidfd, -EBADF);
    assert_int_equal(child_wait(&c, 0, &status, &e), MVM_E_STATE);
}

static void ignore_alarm(int number)
{
    (void) number;
}

static void wait_keeps_its_limit_under_signals(void **state)
{
    const struct child_spec spec = { .argv = ARGV("sleep", "1000") };
    const struct sigaction action = { .sa_handler = ignore_alarm };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
    struct itimerspec often = { .it_interval.tv_nsec = 20000000, .it_value.tv_nsec = 20000000 };
    mvm_autovalue(child) c = CHILD_NONE;
    struct child_status status;
    timer_t timer;
    uint64_t start = clock_now_ms();

    (void) state;
    assert_int_equal(child_spawn(&spec, &c, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &often, NULL), 0);
    assert_int_equal(child_wait(&c, 200, &status, NULL), MVM_E_TIMEOUT);
    assert_in_range(clock_now_ms() - start, 199, PATIENCE_MS);
    assert_int_equal(timer_delete(timer), 0);
}

static void kill_and_deinit_leave_nothing(void **state)
{
    const struct child_spec spec = { .argv = ARGV("sleep", "1000") };
    struct child c = CHILD_NONE;
    struct child_status status;
    mvm_autoerror mvm_error *e = NULL;
    int pidfd;

    (void) state;
    assert_int_equal(child_spawn(&spec, &c, NULL), 0);
    assert_int_equal(child_wait(&c, 0, &status, &e), MVM_E_TIMEOUT);
    assert_int_equal(child_kill(&c, 0, NULL), 0);
    assert_int_equal(child_kill(&c, 12345, &e), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(e), EINVAL);
    pidfd = c.pidfd;
    errno = EXDEV;
    child_deinit(&c);
    assert_int_equal(errno, EXDEV);
    assert_int_equal(fcntl(pidfd, F_GETFD), -1);
    child_deinit(&c);
    assert_int_equal(child_kill(&c, SIGTERM, NULL), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void kill_of_an_ended_child_is_no_error(void **state)
{
    const struct child_spec spec = { .argv = ARGV("true") };
    mvm_autovalue(child) c = CHILD_NONE;
    struct pollfd p = { .events = POLLIN };

    (void) state;
    assert_int_equal(child_spawn(&spec, &c, NULL), 0);
    p.fd = c.pidfd;
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    assert_int_equal(child_kill(&c, SIGTERM, NULL), 0);
}

static void child_reaped_by_others_leaks_nothing(void **state)
{
    const struct child_spec spec = { .argv = ARGV("true") };
    struct child c = CHILD_NONE;
    struct child_status status;
    mvm_autoerror mvm_error *e = NULL;
    int pidfd;

    (void) state;
    assert_int_equal(child_spawn(&spec, &c, NULL), 0);
    pidfd = c.pidfd;
    assert_int_equal(waitpid(c.pid, NULL, 0), c.pid);
    assert_int_equal(child_wait(&c, PATIENCE_MS, &status, &e), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(e), ECHILD);
    child_deinit(&c);
    assert_int_equal(fcntl(pidfd, F_GETFD), -1);
}

static int stop_after_three(void *user)
{
    unsigned *asked = user;

    return ++*asked >= 3;
}

static void a_watch_can_cancel_a_run(void **state)
{
    /* With output that is kept, and without. */
    static const char *const scripts[] = { "exec sleep 60", "exec >&- 2>&-; exec sleep 60" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
        char *const argv[] = { (char *) "sh", (char *) "-c", (char *) scripts[i], NULL };
        unsigned asked = 0;
        const struct child_spec spec = { .argv = argv,
                                         .watch = stop_after_three,
                                         .watch_user = &asked };
        mvm_autofree char *out = NULL;

        assert_int_equal(child_run(&spec, PATIENCE_MS, 100, &out, NULL), MVM_E_CANCELLED);
        assert_int_equal(asked, 3);
        assert_null(out);
    }
}

static void outputs_may_go_to_a_file(void **state)
{
    char *const argv[] = { (char *) "sh", (char *) "-c", (char *) "echo out; echo err >&2; exit 3",
                           NULL };
    mvm_autoclose int fd = memfd_create("output", MFD_CLOEXEC);
    struct child_spec spec = { .argv = argv, .output_fd = fd };
    char text[32] = "";

    (void) state;
    assert_true(fd > 0);
    assert_int_equal(child_run(&spec, PATIENCE_MS, 0, NULL, NULL), MVM_E_CHILD);
    assert_int_equal(pread(fd, text, sizeof(text) - 1, 0), 8);
    assert_string_equal(text, "out\nerr\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_gives_the_output),
        cmocka_unit_test(run_reports_the_status_and_the_last_line),
        cmocka_unit_test(run_keeps_the_tail_of_a_long_stderr),
        cmocka_unit_test(run_takes_the_maximum_and_refuses_one_above),
        cmocka_unit_test(run_ends_at_the_time_limit),
        cmocka_unit_test(a_watch_can_cancel_a_run),
        cmocka_unit_test(outputs_may_go_to_a_file),
        cmocka_unit_test(run_passes_descriptor_0_and_refuses_others),
        cmocka_unit_test(unlisted_descriptors_are_null_or_closed),
        cmocka_unit_test(failed_exec_comes_back_with_its_errno),
        cmocka_unit_test(prepare_can_refuse),
        cmocka_unit_test(environment_and_folder_are_those_of_the_spec),
        cmocka_unit_test(signals_are_as_new),
        cmocka_unit_test(new_session_leads_itself),
        cmocka_unit_test(death_signal_follows_the_parent),
        cmocka_unit_test(wait_tells_exit_from_signal),
        cmocka_unit_test(wait_keeps_its_limit_under_signals),
        cmocka_unit_test(kill_and_deinit_leave_nothing),
        cmocka_unit_test(kill_of_an_ended_child_is_no_error),
        cmocka_unit_test(child_reaped_by_others_leaks_nothing),
    };

    /* A folder in PATH that the user may not enter would turn "not found" into "permission denied".
     */
    if (setenv("PATH", "/usr/bin:/bin", 1) < 0)
        return 1;
    return cmocka_run_group_tests_name("base-child", tests, NULL, NULL);
}
