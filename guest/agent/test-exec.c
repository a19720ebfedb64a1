/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/conn.h"
#include "guest/agent/test-exec-client.h"

#include <sys/stat.h>

static void streams_and_status_come_apart(void **state)
{
    struct exec_client e;

    (void) state;
    need_root();
    exec_shell(&e, &c, "echo out; echo err >&2; exit 7");
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_true(e.started && e.exited);
    assert_true(e.pid > 1);
    assert_int_equal(e.window, 0);
    assert_string_equal(strbuf_str(&e.out), "out\n");
    assert_string_equal(strbuf_str(&e.err), "err\n");
    assert_int_equal(e.status, 7);
    assert_int_equal(e.signal, 0);
    exec_deinit(&e);
}

static void signal_goes_to_the_group(void **state)
{
    struct exec_client e;

    (void) state;
    need_root();
    exec_shell(&e, &c, "sh -c 'echo x; exec sleep 1000'; echo never");
    exec_wait_output(&e, 2);
    exec_number(&e, AGENT_INPUT_SIGNAL, SIGTERM);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_int_equal(e.status, 128 + SIGTERM);
    assert_int_equal(e.signal, SIGTERM);
    assert_string_equal(strbuf_str(&e.out), "x\n");
    exec_deinit(&e);
}

static int start_code(const char *program, const char *user, const char *cwd)
{
    struct agent_start start = { .user = user ? strdup(user) : NULL,
                                 .cwd = cwd ? strdup(cwd) : NULL };
    struct exec_client e;
    int code;

    assert_int_equal(strv_add(&start.argv, program), 0);
    exec_begin(&e, &c, start, 0);
    code = exec_finish(&e);
    assert_true(code == TTRPC_OK || e.text.len > 0);
    assert_true(code == TTRPC_OK || !e.exited);
    exec_deinit(&e);
    return code;
}

static void failures_to_start_differ(void **state)
{
    char missing[128];
    struct stat st;

    (void) state;
    need_root();
    assert_int_equal(start_code("/no/such/program", NULL, NULL), TTRPC_NOT_FOUND);
    assert_int_equal(start_code("no-such-program", NULL, NULL), TTRPC_NOT_FOUND);
    assert_int_equal(start_code("/etc/passwd", NULL, NULL), TTRPC_PERMISSION_DENIED);
    assert_int_equal(start_code("/bin/true", "nobody-of-this-name", NULL), TTRPC_INVALID_ARGUMENT);
    assert_int_equal(start_code("/bin/true", NULL, "/etc/passwd/x"), TTRPC_INTERNAL);
    (void) snprintf(missing, sizeof(missing), "%s/missing", w.root);
    assert_int_equal(start_code("/bin/true", NULL, missing), TTRPC_INTERNAL);
    assert_int_not_equal(lstat(missing, &st), 0); /* for the main program alone */
    assert_int_equal(start_code("true", NULL, NULL), TTRPC_OK);
    assert_int_equal(w.server.n_sessions, 0);
}

static void config_is_what_the_client_leaves_out(void **state)
{
    struct agent_start start = shell_start("echo $A $B $HOME $HOSTNAME; pwd; id -u");
    struct exec_client e;

    (void) state;
    need_root();
    assert_int_equal(strv_add(&w.config.env, "A=config"), 0);
    assert_int_equal(strv_add(&w.config.env, "B=config"), 0);
    assert_int_equal(strv_add(&start.env, "B=client"), 0);
    w.config.workdir = strdup("/usr");
    exec_begin(&e, &c, start, 0);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_string_equal(strbuf_str(&e.out), "config client /root host\n/usr\n0\n");
    exec_deinit(&e);
    start = shell_start("pwd; id -u; id -g; echo $HOME");
    start.cwd = strdup("/");
    start.user = strdup("65534:123");
    exec_begin(&e, &c, start, 0);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_true(strncmp(strbuf_str(&e.out), "/\n65534\n123\n", 12) == 0);
    exec_deinit(&e);
}

static void input_reaches_the_program_and_ends(void **state)
{
    struct agent_start start = shell_start("cat; echo end");
    struct exec_client e;

    (void) state;
    need_root();
    start.stdin_open = true;
    exec_begin(&e, &c, start, 0);
    exec_wait_started(&e);
    assert_int_equal(e.window, AGENT_WINDOW);
    exec_stdin(&e, "hello\n", 6);
    exec_number(&e, AGENT_INPUT_STDIN_END, 0);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_string_equal(strbuf_str(&e.out), "hello\nend\n");
    exec_deinit(&e);
}

static void end_of_the_clients_side_ends_stdin(void **state)
{
    struct agent_start start = shell_start("cat; echo end");
    struct exec_client e;

    (void) state;
    need_root();
    start.stdin_open = true;
    exec_begin(&e, &c, start, 0);
    exec_wait_started(&e);
    client_data(&c, e.stream, (struct bytes_view){ .len = 0 }, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_string_equal(strbuf_str(&e.out), "end\n");
    exec_deinit(&e);
}

/* Megabytes both ways, within the windows. */
static void bulk_keeps_to_both_windows(void **state)
{
    enum {
        TOTAL = 3000000,
        OUT_WINDOW = 100000
    };
    struct agent_start start = shell_start("exec cat");
    uint8_t *data = malloc(TOTAL);
    size_t sent = 0, granted = OUT_WINDOW;
    struct exec_client e;

    (void) state;
    need_root();
    assert_non_null(data);
    for (size_t i = 0; i < TOTAL; i++)
        data[i] = (uint8_t) (i * 2654435761u >> 13);
    start.stdin_open = true;
    start.output_window = OUT_WINDOW;
    exec_begin(&e, &c, start, 0);
    exec_wait_started(&e);
    while (e.out.len < TOTAL) {
        size_t n = TOTAL - sent < 50000 ? TOTAL - sent : 50000;

        if (n > e.window)
            n = e.window;
        if (n > 0)
            exec_stdin(&e, data + sent, n);
        sent += n;
        e.window -= (uint32_t) n;
        (void) exec_step(&e, 5);
        assert_true(e.out.len <= granted);
        if (granted - e.out.len < OUT_WINDOW / 2) {
            const struct agent_input m = { .kind = AGENT_INPUT_WINDOW,
                                           .number = 1,
                                           .bytes = OUT_WINDOW / 2 };

            exec_send(&e, &m);
            granted += OUT_WINDOW / 2;
        }
    }
    assert_memory_equal(e.out.data, data, TOTAL);
    assert_true(e.granted <= TOTAL);
    exec_number(&e, AGENT_INPUT_STDIN_END, 0);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    exec_deinit(&e);
    free(data);
}

static void output_waits_for_the_window(void **state)
{
    struct agent_start start = shell_start("printf 0123456789abcdef; printf xyz >&2");
    const struct agent_input more = { .kind = AGENT_INPUT_WINDOW, .number = 1, .bytes = 6 };
    struct exec_client e;

    (void) state;
    need_root();
    start.output_window = 10;
    exec_begin(&e, &c, start, 0);
    while (exec_step(&e, 300))
        assert_false(e.done);
    assert_string_equal(strbuf_str(&e.out), "0123456789");
    assert_string_equal(strbuf_str(&e.err), "xyz");
    assert_false(e.exited);
    exec_send(&e, &more); /* for what there is, exactly: the end needs no window */
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_string_equal(strbuf_str(&e.out), "0123456789abcdef");
    exec_deinit(&e);
}

static void stdin_above_the_window_ends_its_stream_alone(void **state)
{
    struct agent_start start = shell_start("exec sleep 1000");
    static uint8_t data[AGENT_DATA_MAX];
    struct exec_client bad, good;

    (void) state;
    need_root();
    start.stdin_open = true;
    exec_begin(&bad, &c, start, 0);
    exec_wait_started(&bad);
    start = shell_start("cat");
    start.stdin_open = true;
    exec_begin(&good, &c, start, 0);
    exec_wait_started(&good);
    /* All of the window, and what is granted when the program's pipe takes a part of it. */
    while (bad.window > 0 || exec_step(&bad, 200)) {
        size_t n = bad.window < sizeof(data) ? bad.window : sizeof(data);

        assert_false(bad.done);
        bad.window -= (uint32_t) n;
        if (n > 0)
            exec_stdin(&bad, data, n);
    }
    exec_stdin(&bad, data, 1);
    assert_int_equal(exec_finish(&bad), TTRPC_INVALID_ARGUMENT);
    exec_stdin(&good, "x", 1);
    exec_number(&good, AGENT_INPUT_STDIN_END, 0);
    assert_int_equal(exec_finish(&good), TTRPC_OK);
    assert_string_equal(strbuf_str(&good.out), "x");
    assert_true(world_is_childless(&w)); /* the bad one's program was killed */
    exec_deinit(&bad);
    exec_deinit(&good);
}

static void closed_output_is_a_broken_pipe(void **state)
{
    struct exec_client e;

    (void) state;
    need_root();
    exec_shell(&e, &c, "echo; exec yes");
    exec_wait_output(&e, 1);
    exec_number(&e, AGENT_INPUT_OUTPUT_CLOSED, 1);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_int_equal(e.signal, SIGPIPE);
    exec_deinit(&e);
}

static void end_does_not_wait_for_who_holds_the_pipes(void **state)
{
    struct exec_client e;
    uint64_t start = clock_now_ms();

    (void) state;
    need_root();
    exec_shell(&e, &c, "sleep 30 & i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done");
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_int_equal(e.status, 0);
    assert_int_equal(e.out.len, 108890);
    assert_true(clock_now_ms() - start < 20000);
    /* And it is still there: its parent has ended, and not by a hang-up. */
    assert_int_equal(kill(-(pid_t) e.pid, 0), 0);
    assert_int_equal(kill(-(pid_t) e.pid, SIGKILL), 0);
    assert_true(world_is_childless(&w));
    exec_deinit(&e);
}

static void terminal_has_size_and_end_of_file(void **state)
{
    struct agent_start start = shell_start("stty size; read x; stty size; cat; echo end");
    const struct agent_input bigger = { .kind = AGENT_INPUT_RESIZE, .rows = 40, .cols = 132 };
    struct exec_client e;

    (void) state;
    need_root();
    start.tty = start.stdin_open = true;
    start.rows = 24;
    start.cols = 80;
    exec_begin(&e, &c, start, 0);
    exec_wait_output(&e, strlen("24 80\r\n"));
    exec_send(&e, &bigger);
    exec_stdin(&e, "go\n", 3);
    exec_wait_output(&e, strlen("24 80\r\ngo\r\n40 132\r\n"));
    exec_stdin(&e, "part", 4);
    exec_number(&e, AGENT_INPUT_STDIN_END, 0);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_string_equal(strbuf_str(&e.out), "24 80\r\ngo\r\n40 132\r\npartpartend\r\n");
    assert_int_equal(e.err.len, 0);
    exec_deinit(&e);
}

static void terminal_without_stdin_gets_no_end(void **state)
{
    struct agent_start start = shell_start("tty >/dev/null && echo yes; exec sleep 0.2");
    struct exec_client e;

    (void) state;
    need_root();
    start.tty = true;
    exec_begin(&e, &c, start, 0);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_int_equal(e.window, 0);
    assert_string_equal(strbuf_str(&e.out), "yes\r\n");
    assert_int_equal(e.status, 0);
    exec_deinit(&e);
}

static bool is_gone(pid_t pid)
{
    uint64_t deadline = clock_now_ms() + WORLD_PATIENCE_MS;

    while (kill(pid, 0) == 0 && clock_now_ms() < deadline)
        world_turn(&w, 5);
    return kill(pid, 0) < 0;
}

/* Job control makes a group for each job: the session is more than one. And a program's name, which
 * the kernel tells before its session, may look like anything. */
static void vanished_client_takes_its_session_along(void **state)
{
    char script[256];
    struct exec_client e;
    struct client other;
    uint64_t pid;
    size_t len;

    (void) state;
    need_root();
    client_open(&other, &w);
    (void) snprintf(
        script, sizeof(script),
        "cp /bin/sleep '%s/a) Z 1 (' && set -m; '%s/a) Z 1 (' 1000 & echo $!; sleep 1000", w.root,
        w.root);
    exec_shell(&e, &other, script);
    exec_wait_output(&e, 2);
    while (!memchr(e.out.data, '\n', e.out.len))
        assert_true(exec_step(&e, WORLD_PATIENCE_MS));
    for (len = 0, pid = 0; e.out.data[len] != '\n'; len++)
        pid = pid * 10 + (uint64_t) (e.out.data[len] - '0');
    assert_true(pid != e.pid && kill((pid_t) pid, 0) == 0);
    client_close(&other);
    assert_true(is_gone((pid_t) pid));
    assert_true(is_gone((pid_t) e.pid));
    assert_true(world_is_childless(&w));
    assert_int_equal(w.server.n_sessions, 0);
    assert_int_equal(client_health(&c), TTRPC_OK);
    exec_deinit(&e);
}

static void deadline_kills_the_program(void **state)
{
    struct exec_client e;

    (void) state;
    need_root();
    exec_begin(&e, &c, shell_start("sleep 1000 & exec sleep 1000"), 200 * 1000000);
    assert_int_equal(exec_finish(&e), TTRPC_DEADLINE_EXCEEDED);
    assert_true(e.started && !e.exited);
    assert_true(world_is_childless(&w));
    exec_deinit(&e);
}

static void messages_out_of_order_end_the_stream(void **state)
{
    struct exec_client e;

    (void) state;
    need_root();
    exec_shell(&e, &c, "exec sleep 1000");
    {
        struct agent_input again = { .kind = AGENT_INPUT_START, .start = shell_start("true") };

        exec_send(&e, &again);
        agent_input_deinit(&again);
    }
    assert_int_equal(exec_finish(&e), TTRPC_INVALID_ARGUMENT);
    exec_deinit(&e);
    exec_shell(&e, &c, "exec sleep 1000"); /* stdin is not open: no byte may come */
    exec_stdin(&e, "x", 1);
    assert_int_equal(exec_finish(&e), TTRPC_INVALID_ARGUMENT);
    assert_true(world_is_childless(&w));
    exec_deinit(&e);
}

static void orphans_are_reaped(void **state)
{
    struct exec_client e;

    (void) state;
    need_root();
    exec_shell(&e, &c, "for i in 1 2 3 4 5; do (sleep 0.1 &) ; done");
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_true(world_is_childless(&w));
    exec_deinit(&e);
}

static void deaf_client_stalls_its_own_program(void **state)
{
    struct exec_client deaf, good;
    struct client other;

    (void) state;
    need_root();
    client_open(&other, &w);
    exec_shell(&deaf, &other, "yes");
    for (int i = 0; i < 200; i++) /* nobody reads @other */
        world_turn(&w, 5);
    assert_true(w.server.conns->out.len < CONN_QUEUE_STOP);
    exec_shell(&good, &c, "echo well");
    assert_int_equal(exec_finish(&good), TTRPC_OK);
    assert_string_equal(strbuf_str(&good.out), "well\n");
    exec_number(&deaf, AGENT_INPUT_SIGNAL, SIGKILL);
    assert_int_equal(exec_finish(&deaf), TTRPC_OK);
    assert_int_equal(deaf.signal, SIGKILL);
    client_close(&other);
    exec_deinit(&deaf);
    exec_deinit(&good);
}

static void programs_at_once_have_a_limit(void **state)
{
    enum {
        CLIENTS = SERVER_SESSIONS_MAX / CONN_CALLS_MAX
    };
    struct client all[CLIENTS];
    struct exec_client e;

    (void) state;
    need_root();
    for (int i = 0; i < CLIENTS; i++) {
        client_open(&all[i], &w);
        for (int k = 0; k < CONN_CALLS_MAX; k++) {
            exec_shell(&e, &all[i], "exec sleep 1000");
            exec_wait_started(&e);
            exec_deinit(&e);
        }
    }
    exec_shell(&e, &c, "true");
    assert_int_equal(exec_finish(&e), TTRPC_RESOURCE_EXHAUSTED);
    exec_deinit(&e);
    client_close(&all[0]);
    while (w.server.n_sessions == SERVER_SESSIONS_MAX)
        world_turn(&w, 5);
    exec_shell(&e, &c, "true");
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    exec_deinit(&e);
    for (int i = 1; i < CLIENTS; i++)
        client_close(&all[i]);
    assert_true(world_is_childless(&w));
}

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static void many_programs_leave_nothing(void **state)
{
    enum {
        WARM = 50,
        PROGRAMS = 1000
    };
    unsigned fds = 0;
    size_t memory = 0;

    (void) state;
    need_root();
    for (int i = 0; i < WARM + PROGRAMS; i++) {
        struct exec_client e;

        exec_shell(&e, &c, i % 3 ? "echo x" : "exec no-such-program");
        assert_int_equal(exec_finish(&e), TTRPC_OK);
        assert_int_equal(e.status, i % 3 ? 0 : 127);
        exec_deinit(&e);
        world_turn(&w, 0);
        if (i == WARM - 1) {
            fds = count_fds();
            memory = __sanitizer_get_current_allocated_bytes
                         ? __sanitizer_get_current_allocated_bytes()
                         : 0;
        }
    }
    assert_int_equal(count_fds(), fds);
    assert_int_equal(w.server.n_sessions, 0);
    assert_null(w.server.reaper.watches);
    assert_int_equal(w.server.conns->n_calls, 0);
    assert_true(world_is_childless(&w));
    if (__sanitizer_get_current_allocated_bytes)
        assert_true(__sanitizer_get_current_allocated_bytes() < memory + 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(streams_and_status_come_apart),
        TEST(signal_goes_to_the_group),
        TEST(failures_to_start_differ),
        TEST(config_is_what_the_client_leaves_out),
        TEST(input_reaches_the_program_and_ends),
        TEST(end_of_the_clients_side_ends_stdin),
        TEST(bulk_keeps_to_both_windows),
        TEST(output_waits_for_the_window),
        TEST(stdin_above_the_window_ends_its_stream_alone),
        TEST(closed_output_is_a_broken_pipe),
        TEST(end_does_not_wait_for_who_holds_the_pipes),
        TEST(terminal_has_size_and_end_of_file),
        TEST(terminal_without_stdin_gets_no_end),
        TEST(vanished_client_takes_its_session_along),
        TEST(deadline_kills_the_program),
        TEST(messages_out_of_order_end_the_stream),
        TEST(orphans_are_reaped),
        TEST(deaf_client_stalls_its_own_program),
        TEST(programs_at_once_have_a_limit),
        TEST(many_programs_leave_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
