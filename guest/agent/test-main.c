/* SPDX-License-Identifier: Apache-2.0 */
/* The main program and the machine's end, and Run. */
#include "guest/agent/conn.h"
#include "guest/agent/test-exec-client.h"

static void set_command(const char *script)
{
    assert_int_equal(strv_add(&w.config.cmd, "/bin/sh"), 0);
    assert_int_equal(strv_add(&w.config.cmd, "-c"), 0);
    assert_int_equal(strv_add(&w.config.cmd, script), 0);
}

static void begin_main(struct exec_client *e)
{
    exec_begin(e, &c, (struct agent_start){ .tty = false }, 0);
}

static bool ends_within(uint64_t ms)
{
    uint64_t deadline = clock_now_ms() + ms;

    while (w.ends == 0 && clock_now_ms() < deadline)
        world_turn(&w, 5);
    return w.ends > 0;
}

/* What others wrote before they were killed is delivered as well. */
static void main_program_ends_the_machine_after_its_output(void **state)
{
    struct exec_client e;

    (void) state;
    need_root();
    set_command("(echo child; exec sleep 1000) & i=0; "
                "while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done; exit 3");
    begin_main(&e);
    exec_wait_started(&e);
    assert_int_equal(w.server.main, MAIN_RUNNING);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_int_equal(e.status, 3);
    assert_int_equal(e.out.len, 108890 + strlen("child\n"));
    assert_int_equal(w.kill_alls, 1);
    assert_int_equal(w.syncs, 1);
    assert_true(world_is_childless(&w));
    assert_int_equal(w.ends, 0); /* the host has not said farewell */
    client_close(&c);
    assert_true(ends_within(1000));
    exec_deinit(&e);
}

static void main_program_gets_its_folder_made(void **state)
{
    mvm_autofree char *want = NULL;
    struct exec_client e;

    (void) state;
    need_root();
    set_command("pwd");
    assert_true(asprintf(&w.config.workdir, "%s/a/b", w.root + 1) > 0); /* from "/" */
    assert_true(asprintf(&want, "%s/a/b\n", w.root) > 0);
    begin_main(&e);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_string_equal(strbuf_str(&e.out), want);
    exec_deinit(&e);
}

static void client_that_stays_does_not_keep_the_machine(void **state)
{
    uint64_t start = clock_now_ms();
    struct exec_client e;

    (void) state;
    need_root();
    set_command("exit 0");
    begin_main(&e);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_true(ends_within(SERVER_FAREWELL_MS + WORLD_PATIENCE_MS));
    assert_true(clock_now_ms() - start >= SERVER_FAREWELL_MS - 1);
    exec_deinit(&e);
}

static void there_is_one_main_program(void **state)
{
    struct exec_client first, second;

    (void) state;
    need_root();
    set_command("read x");
    w.boot.stdin_open = true;
    begin_main(&first);
    exec_wait_started(&first);
    assert_int_equal(first.window, AGENT_WINDOW); /* the config says that stdin is open */
    begin_main(&second);
    assert_int_equal(exec_finish(&second), TTRPC_FAILED_PRECONDITION);
    exec_deinit(&second);
    exec_number(&first, AGENT_INPUT_STDIN_END, 0);
    assert_int_equal(exec_finish(&first), TTRPC_OK);
    begin_main(&second);
    assert_int_equal(exec_finish(&second), TTRPC_FAILED_PRECONDITION);
    exec_deinit(&second);
    exec_shell(&second, &c, "true"); /* nor any other, by now */
    assert_int_equal(exec_finish(&second), TTRPC_FAILED_PRECONDITION);
    exec_deinit(&first);
    exec_deinit(&second);
}

static void main_program_that_cannot_start_ends_the_machine(void **state)
{
    struct exec_client e;

    (void) state;
    need_root();
    assert_int_equal(strv_add(&w.config.cmd, "/no/such"), 0);
    begin_main(&e);
    assert_int_equal(exec_finish(&e), TTRPC_NOT_FOUND);
    assert_non_null(strstr(strbuf_str(&e.text), "exec '/no/such'"));
    client_close(&c);
    assert_true(ends_within(1000));
    exec_deinit(&e);
}

static void user_of_the_config_that_is_none_ends_the_machine(void **state)
{
    struct exec_client e;

    (void) state;
    need_root();
    set_command("true");
    w.boot.user = strdup("nobody-of-this-name");
    begin_main(&e);
    assert_int_equal(exec_finish(&e), TTRPC_INVALID_ARGUMENT);
    client_close(&c);
    assert_true(ends_within(1000));
    exec_deinit(&e);
}

static void vanished_client_of_the_main_program_ends_the_machine(void **state)
{
    struct exec_client e;

    (void) state;
    need_root();
    set_command("exec sleep 1000");
    begin_main(&e);
    exec_wait_started(&e);
    client_close(&c);
    assert_true(ends_within(1000));
    assert_true(w.kill_alls > 0);
    assert_true(w.syncs > 0);
    assert_true(world_is_childless(&w));
    exec_deinit(&e);
}

static void ask_shutdown(struct client *from, int64_t grace_ms)
{
    mvm_autovalue(strbuf) ask = STRBUF_INIT(64);

    agent_number_encode(grace_ms, &ask);
    assert_int_equal(client_call(from, "Shutdown", buf_view(&ask), NULL), TTRPC_OK);
}

static void shutdown_asks_the_main_program_first(void **state)
{
    struct exec_client e;

    (void) state;
    need_root();
    set_command("trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.05; done");
    begin_main(&e);
    exec_wait_output(&e, 3);
    ask_shutdown(&c, 60000);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_int_equal(e.status, 9);
    assert_string_equal(strbuf_str(&e.out), "up\nbye\n");
    client_close(&c);
    assert_true(ends_within(1000));
    exec_deinit(&e);
}

static void shutdown_kills_who_does_not_hear(void **state)
{
    struct exec_client e, late;
    struct client other;

    (void) state;
    need_root();
    set_command("trap '' TERM; echo up; while :; do sleep 0.05; done");
    client_open(&other, &w);
    begin_main(&e);
    exec_wait_output(&e, 3);
    ask_shutdown(&other, 300);
    exec_shell(&late, &other, "true");
    assert_int_equal(exec_finish(&late), TTRPC_FAILED_PRECONDITION);
    assert_int_equal(w.kill_alls, 0);
    assert_int_equal(exec_finish(&e), TTRPC_OK);
    assert_int_equal(e.signal, SIGKILL);
    client_close(&other);
    client_close(&c);
    assert_true(ends_within(1000));
    exec_deinit(&late);
    exec_deinit(&e);
}

/* Its output finds no reader, and the machine ends all the same. */
static void shutdown_does_not_wait_for_a_deaf_client(void **state)
{
    struct exec_client e;
    struct client other;
    uint64_t start;

    (void) state;
    need_root();
    set_command("yes");
    client_open(&other, &w);
    begin_main(&e);
    for (int i = 0; i < 100; i++)
        world_turn(&w, 2);
    ask_shutdown(&other, 0);
    start = clock_now_ms();
    assert_true(ends_within(SERVER_REAP_MS + SERVER_FAREWELL_MS + WORLD_PATIENCE_MS));
    assert_true(clock_now_ms() - start >= SERVER_REAP_MS);
    client_close(&other);
    exec_deinit(&e);
}

static int run(struct client *from, const char *script, struct bytes_view input,
               struct strbuf *answer, struct agent_run_response *ret)
{
    struct agent_run_request m = { .start = shell_start(script), .input = input };
    mvm_autovalue(strbuf) ask = STRBUF_INIT(AGENT_FRAME_MAX);
    int code;

    agent_run_request_encode(&m, &ask);
    assert_int_equal(ask.failed, 0);
    agent_start_deinit(&m.start);
    strbuf_reset(answer);
    code = client_call(from, "Run", buf_view(&ask), answer);
    if (code == TTRPC_OK)
        assert_int_equal(
            agent_run_response_decode((const uint8_t *) strbuf_str(answer), answer->len, ret, NULL),
            0);
    return code;
}

static void run_collects_what_a_program_does(void **state)
{
    mvm_autovalue(strbuf) answer = STRBUF_INIT(AGENT_FRAME_MAX);
    struct agent_run_response m;

    (void) state;
    need_root();
    assert_int_equal(run(&c, "cat; echo err >&2; exit 4", text_view("in"), &answer, &m), TTRPC_OK);
    assert_int_equal(m.status, 4);
    assert_int_equal(m.out.len, 2);
    assert_memory_equal(m.out.data, "in", 2);
    assert_int_equal(m.err.len, 4);
    assert_memory_equal(m.err.data, "err\n", 4);
    assert_false(m.truncated);
    assert_int_equal(run(&c, "cat; kill -9 $$", text_view(""), &answer, &m), TTRPC_OK);
    assert_int_equal(m.status, 137);
    assert_int_equal(m.signal, 9);
    assert_int_equal(run(&c, "exec /no/such", text_view(""), &answer, &m), TTRPC_OK);
    assert_int_equal(m.status, 127);
}

static void run_keeps_output_up_to_its_limit(void **state)
{
    mvm_autovalue(strbuf) answer = STRBUF_INIT(AGENT_FRAME_MAX);
    char script[128];
    struct agent_run_response m;

    (void) state;
    need_root();
    (void) snprintf(script, sizeof(script), "head -c %u /dev/zero", AGENT_RUN_OUTPUT_MAX);
    assert_int_equal(run(&c, script, text_view(""), &answer, &m), TTRPC_OK);
    assert_int_equal(m.out.len, AGENT_RUN_OUTPUT_MAX);
    assert_false(m.truncated);
    (void) snprintf(script, sizeof(script), "head -c %u /dev/zero; head -c %u /dev/zero >&2",
                    AGENT_RUN_OUTPUT_MAX + 1, 4 * AGENT_RUN_OUTPUT_MAX);
    assert_int_equal(run(&c, script, text_view(""), &answer, &m), TTRPC_OK);
    assert_int_equal(m.out.len, AGENT_RUN_OUTPUT_MAX);
    assert_int_equal(m.err.len, AGENT_RUN_OUTPUT_MAX);
    assert_true(m.truncated);
}

static void runs_at_once_have_a_limit(void **state)
{
    struct agent_run_request m = { .start = shell_start("exec sleep 1000") };
    mvm_autovalue(strbuf) ask = STRBUF_INIT(AGENT_FRAME_MAX);
    mvm_autovalue(strbuf) answer = STRBUF_INIT(AGENT_FRAME_MAX);
    struct agent_run_response response;
    struct client other;

    (void) state;
    need_root();
    client_open(&other, &w);
    agent_run_request_encode(&m, &ask);
    agent_start_deinit(&m.start);
    for (int i = 0; i < SERVER_RUNS_MAX; i++)
        (void) client_request(&other,
                              (struct request){ .method = "Run", .payload = buf_view(&ask) });
    while (w.server.n_runs < SERVER_RUNS_MAX)
        world_turn(&w, 5);
    assert_int_equal(run(&c, "true", text_view(""), &answer, &response), TTRPC_RESOURCE_EXHAUSTED);
    client_close(&other);
    while (w.server.n_runs > 0)
        world_turn(&w, 5);
    assert_int_equal(run(&c, "true", text_view(""), &answer, &response), TTRPC_OK);
    assert_true(world_is_childless(&w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(main_program_ends_the_machine_after_its_output),
        TEST(main_program_gets_its_folder_made),
        TEST(client_that_stays_does_not_keep_the_machine),
        TEST(there_is_one_main_program),
        TEST(main_program_that_cannot_start_ends_the_machine),
        TEST(user_of_the_config_that_is_none_ends_the_machine),
        TEST(vanished_client_of_the_main_program_ends_the_machine),
        TEST(shutdown_asks_the_main_program_first),
        TEST(shutdown_kills_who_does_not_hear),
        TEST(shutdown_does_not_wait_for_a_deaf_client),
        TEST(run_collects_what_a_program_does),
        TEST(run_keeps_output_up_to_its_limit),
        TEST(runs_at_once_have_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
