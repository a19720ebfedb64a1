/* SPDX-License-Identifier: Apache-2.0 */
/* What happens around a program's end, and what it leaves behind. */
#include "guest/agent/session-internal.h"
#include "guest/agent/test-exec-client.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(orphans_are_reaped_in_batches),
        TEST(signal_after_the_end_goes_to_nobody),
        TEST(output_after_the_end_is_what_was_there),
        TEST(who_has_ended_is_not_killed_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
