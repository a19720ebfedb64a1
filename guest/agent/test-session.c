/* SPDX-License-Identifier: Apache-2.0 */
/* What happens around a program's end, and what it leaves behind. */
#include "guest/agent/session-internal.h"
#include "guest/agent/test-exec-client.h"

#include <sys/stat.h>

static unsigned count_zombies(const pid_t *pids, unsigned n)
{
    unsigned zombies = 0;

    for (unsigned i = 0; i < n; i++) {
        siginfo_t info = { .si_pid = 0 };

        zombies += waitid(P_PID, (id_t) pids[i], &info, WEXITED | WNOHANG | WNOWAIT) == 0;
    }
    return zombies;
}

/* Programs that make orphans without end must not keep the agent from its clients. */
static void orphans_are_reaped_in_batches(void **state)
{
    pid_t pids[3 * REAPER_BATCH];

    (void) state;
    need_root();
    for (unsigned i = 0; i < ARRAY_SIZE(pids); i++) {
        siginfo_t info;

        pids[i] = fork();
        if (pids[i] == 0)
            _exit(0);
        assert_true(pids[i] > 0);
        assert_int_equal(waitid(P_PID, (id_t) pids[i], &info, WEXITED | WNOWAIT), 0);
    }
    world_turn(&w, 0); /* one signal for all of them */
    assert_int_equal(count_zombies(pids, ARRAY_SIZE(pids)), 2 * REAPER_BATCH);
    for (int turn = 0; turn < 3; turn++)
        world_turn(&w, 0);
    assert_int_equal(count_zombies(pids, ARRAY_SIZE(pids)), 0);
}

static unsigned signals;

static void count_signal(void *user, pid_t pid, int number)
{
    signals++;
    machine_signal(user, pid, number);
}

/* Its output has not been delivered, but its id may be somebody else's by now. */
static void signal_after_the_end_goes_to_nobody(void **state)
{
    struct agent_start start = shell_start("echo started; read x; echo more");
    struct exec_client e;

    (void) state;
    need_root();
    signals = 0;
    w.machine.signal = count_signal;
    start.stdin_open = true;
    start.output_window = 1;
    exec_begin(&e, &c, start, 0);
    exec_wait_output(&e, 1);
    exec_number(&e, AGENT_INPUT_SIGNAL, SIGWINCH); /* which a shell ignores */
    exec_stdin(&e, "\n", 1);
    assert_true(world_is_childless(&w));
    assert_int_equal(signals, 1);
    exec_number(&e, AGENT_INPUT_SIGNAL, SIGTERM);
    assert_int_equal(client_health(&c), TTRPC_OK);
    assert_int_equal(signals, 1);
    exec_send(&e, &(struct agent_input){ .kind = AGENT_INPUT_WINDOW, .number = 1, .bytes = 100 });
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_string_equal(strbuf_str(&e.out), "started\nmore\n");
    assert_int_equal(e.status, 0);
    exec_deinit(&e);
}

/* The child that the program leaves fills the pipe again as fast as it is read. */
static void output_after_the_end_is_what_was_there(void **state)
{
    struct agent_start start = shell_start("yes 123456 & read x; exit 5");
    struct exec_client e;

    (void) state;
    need_root();
    start.stdin_open = true;
    start.output_window = 1;
    exec_begin(&e, &c, start, 0);
    exec_wait_output(&e, 1);
    exec_stdin(&e, "\n", 1);
    while (w.server.reaper.watches)
        world_turn(&w, 5);
    while (!e.done && e.out.len < 4 * SESSION_DRAIN_MIN) {
        size_t before = e.out.len;

        exec_send(&e,
                  &(struct agent_input){ .kind = AGENT_INPUT_WINDOW, .number = 1, .bytes = 999 });
        while (!e.done && e.out.len < before + 999)
            assert_true(exec_step(&e, WORLD_PATIENCE_MS));
    }
    assert_true(e.done);
    assert_int_equal(e.status, 5);
    assert_true(e.out.len <= 1 + SESSION_DRAIN_MIN);
    assert_true(world_is_childless(&w)); /* a broken pipe has ended the child */
    exec_deinit(&e);
}

/* Else a session's killing would go over /proc as often as it may each time: its leader is not
 * reaped before. */
static void who_has_ended_is_not_killed_again(void **state)
{
    siginfo_t info;
    pid_t pid;

    (void) state;
    need_root();
    pid = fork();
    if (pid == 0) {
        (void) setsid();
        (void) raise(SIGSTOP);
        _exit(1);
    }
    assert_int_equal(waitid(P_PID, (id_t) pid, &info, WSTOPPED), 0);
    assert_true(machine_kill_members(pid));
    assert_int_equal(waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(info.si_status, SIGKILL);
    assert_false(machine_kill_members(pid));
}

static void exec_file(struct exec_client *e, const char *path)
{
    struct agent_start start = { .tty = false };

    assert_int_equal(strv_add(&start.argv, path), 0);
    exec_begin(e, &c, start, 0);
}

/* A process that has @path open for writing until it is killed: were it this one, the program's
 * own process would inherit that. */
static pid_t keep_open(const char *path)
{
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0) {
        if (open(path, O_WRONLY | O_CLOEXEC) >= 0)
            (void) raise(SIGSTOP);
        _exit(1);
    }
    assert_int_equal(waitid(P_PID, (id_t) pid, &info, WSTOPPED), 0);
    return pid;
}

/* As after a Write, while a child that has not executed its program yet has the file open too. */
static void program_that_is_written_to_is_waited_for(void **state)
{
    struct exec_client e;
    char path[128];
    pid_t writer;
    FILE *f;

    (void) state;
    need_root();
    (void) snprintf(path, sizeof(path), "%s/program", w.root);
    f = fopen(path, "we");
    assert_true(fputs("#!/bin/sh\necho ran\n", f) >= 0);
    assert_int_equal(fchmod(fileno(f), 0755), 0);
    assert_int_equal(fclose(f), 0);
    writer = keep_open(path);
    exec_file(&e, path);
    assert_false(exec_step(&e, 50));
    assert_int_equal(kill(writer, SIGKILL), 0);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_string_equal(strbuf_str(&e.out), "ran\n");
    exec_deinit(&e);
    writer = keep_open(path);
    exec_file(&e, path);
    assert_int_equal(exec_finish(&e), TTRPC_PERMISSION_DENIED); /* but not for ever */
    assert_non_null(strstr(strbuf_str(&e.text), "busy"));
    assert_int_equal(kill(writer, SIGKILL), 0);
    exec_deinit(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(orphans_are_reaped_in_batches),
        TEST(signal_after_the_end_goes_to_nobody),
        TEST(output_after_the_end_is_what_was_there),
        TEST(who_has_ended_is_not_killed_again),
        TEST(program_that_is_written_to_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
