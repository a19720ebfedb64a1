/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: the client's side of one Exec, and a world with a client for each test. */
#ifndef GUEST_AGENT_TEST_EXEC_CLIENT_H
#define GUEST_AGENT_TEST_EXEC_CLIENT_H

#include "guest/agent/test-world.h"

#include "agent/messages.h"

struct exec_client {
    struct client *c;
    uint32_t stream;
    struct strbuf out, err, text;  /* @text: of the response's status */
    uint32_t pid, window, granted; /* @granted: all that stdin_window messages gave */
    bool started, exited, done;
    uint32_t status, signal;
    int code;
};

static inline void exec_send(struct exec_client *e, const struct agent_input *m)
{
    mvm_autovalue(strbuf) message = STRBUF_INIT(AGENT_FRAME_MAX);

    agent_input_encode(m, &message);
    assert_int_equal(message.failed, 0);
    client_data(e->c, e->stream, buf_view(&message), 0);
}

/* Sends the start; what @start holds is freed. */
static inline void exec_begin(struct exec_client *e, struct client *c, struct agent_start start,
                              int64_t timeout_ns)
{
    struct agent_input m = { .kind = AGENT_INPUT_START, .start = start };

    *e = (struct exec_client){ .c = c };
    e->out = e->err = e->text = (struct strbuf) STRBUF_INIT(64u << 20);
    e->stream = client_request(
        c,
        (struct request){ .method = "Exec", .flags = TTRPC_REMOTE_OPEN, .timeout_ns = timeout_ns });
    exec_send(e, &m);
    agent_input_deinit(&m);
}

static inline struct agent_start shell_start(const char *script)
{
    struct agent_start s = { .tty = false };

    assert_int_equal(strv_add(&s.argv, "/bin/sh"), 0);
    assert_int_equal(strv_add(&s.argv, "-c"), 0);
    assert_int_equal(strv_add(&s.argv, script), 0);
    return s;
}

static inline void exec_shell(struct exec_client *e, struct client *c, const char *script)
{
    exec_begin(e, c, shell_start(script), 0);
}

static inline void exec_note(struct exec_client *e, const struct agent_output *m)
{
    switch (m->kind) {
    case AGENT_OUTPUT_STARTED:
        e->started = true;
        e->pid = m->pid;
        e->window = m->window;
        break;
    case AGENT_OUTPUT_STDOUT:
        strbuf_add(&e->out, m->data.data, m->data.len);
        break;
    case AGENT_OUTPUT_STDERR:
        strbuf_add(&e->err, m->data.data, m->data.len);
        break;
    case AGENT_OUTPUT_STDIN_WINDOW:
        e->window += m->window;
        e->granted += m->window;
        break;
    case AGENT_OUTPUT_EXITED:
        e->exited = true;
        e->status = m->status;
        e->signal = m->signal;
        break;
    }
}

/* Handles one frame; false when none comes within @ms. */
static inline bool exec_step(struct exec_client *e, int ms)
{
    struct frame *f = client_take(e->c, e->stream, ms);
    const uint8_t *data;

    if (!f)
        return false;
    data = (const uint8_t *) strbuf_str(&f->payload);
    assert_false(e->done);
    if (f->h.type == TTRPC_RESPONSE) {
        struct ttrpc_response m;

        assert_int_equal(ttrpc_response_decode(data, f->payload.len, &m, NULL), 0);
        e->done = true;
        e->code = m.code;
        strbuf_add(&e->text, m.message.data, m.message.len);
    } else {
        struct agent_output m;

        assert_int_equal(agent_output_decode(data, f->payload.len, &m, NULL), 0);
        assert_false(e->exited);
        exec_note(e, &m);
    }
    frame_free(f);
    return true;
}

static inline void exec_wait_started(struct exec_client *e)
{
    while (!e->started)
        if (!exec_step(e, WORLD_PATIENCE_MS) || e->done)
            fail_msg("not started: %s", strbuf_str(&e->text));
}

static inline void exec_wait_output(struct exec_client *e, size_t len)
{
    while (e->out.len < len)
        if (!exec_step(e, WORLD_PATIENCE_MS) || e->done)
            fail_msg("%zu of %zu bytes, then %s", e->out.len, len, strbuf_str(&e->text));
}

/* To the end; gives the status' code. */
static inline int exec_finish(struct exec_client *e)
{
    while (!e->done)
        if (!exec_step(e, WORLD_PATIENCE_MS))
            fail_msg("no response; stdout '%s'", strbuf_str(&e->out));
    return e->code;
}

static inline void exec_deinit(struct exec_client *e)
{
    strbuf_deinit(&e->out);
    strbuf_deinit(&e->err);
    strbuf_deinit(&e->text);
}

static inline void exec_stdin(struct exec_client *e, const void *data, size_t len)
{
    const struct agent_input m = { .kind = AGENT_INPUT_STDIN, .data = { data, len } };

    exec_send(e, &m);
}

static inline void exec_number(struct exec_client *e, enum agent_input_kind kind, uint32_t number)
{
    const struct agent_input m = { .kind = kind, .number = number };

    exec_send(e, &m);
}

/* True once no child of the test is left. */
static inline bool world_is_childless(struct world *w)
{
    uint64_t deadline = clock_now_ms() + WORLD_PATIENCE_MS;

    while (clock_now_ms() < deadline) {
        siginfo_t info = { .si_pid = 0 };

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD)
            return true;
        world_turn(w, 5);
    }
    return false;
}

/* Of each test: */
static struct world w;
static struct client c;

static inline int set_up(void **state)
{
    (void) state;
    if (geteuid() != 0)
        return 0;
    world_open(&w, NULL);
    client_open(&c, &w);
    return 0;
}

static inline int tear_down(void **state)
{
    (void) state;
    if (geteuid() != 0)
        return 0;
    client_close(&c);
    world_turn(&w, 0);
    world_close(&w);
    return 0;
}

/* Programs are started as any user. */
static inline void need_root(void)
{
    if (geteuid() != 0) {
        print_message("# only root starts programs as another user\n");
        skip();
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
