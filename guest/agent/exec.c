/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exec. Both sides may have so much on its way that the other's window allows: the agent takes
 * AGENT_WINDOW bytes of stdin in advance and grants more as the program reads them; of each output
 * the client says how much it takes.
 */
#include "guest/agent/methods.h"

#include "guest/agent/conn.h"
#include "guest/agent/session.h"

#include "agent/messages.h"

/* Bytes that the program has taken before the client is granted as many again. */
#define EXEC_GRANT_STEP (AGENT_WINDOW / 4)

struct exec {
    struct session *session; /* owned; NULL: the start has not come */
    bool limited;            /* the client grants its outputs */
    uint64_t window[2];
    uint32_t input_window; /* bytes that the client may send */
    size_t taken;          /* bytes that the program took since the last grant */
};

static void send_output(struct call *c, const struct agent_output *m)
{
    mvm_autoerror mvm_error *why = NULL;

    agent_output_encode(m, call_message(c));
    if (call_send(c, &why) < 0)
        call_fail_error(c, why);
}

static void exec_started(struct call *c, pid_t pid, bool reads_stdin)
{
    struct exec *e = c->state;
    const struct agent_output m = {
        .kind = AGENT_OUTPUT_STARTED,
        .pid = (uint32_t) pid,
        .window = reads_stdin ? AGENT_WINDOW : 0,
    };

    e->input_window = m.window;
    send_output(c, &m);
}

static size_t exec_room(struct call *c, int stream)
{
    const struct exec *e = c->state;

    if (!call_has_room(c))
        return 0;
    if (e->limited && e->window[stream - 1] < AGENT_DATA_MAX)
        return (size_t) e->window[stream - 1];
    return AGENT_DATA_MAX;
}

static void exec_output(struct call *c, int stream, const uint8_t *data, size_t len)
{
    struct exec *e = c->state;
    const struct agent_output m = {
        .kind = stream == 1 ? AGENT_OUTPUT_STDOUT : AGENT_OUTPUT_STDERR,
        .data = { .data = data, .len = len },
    };

    if (e->limited)
        e->window[stream - 1] -= len;
    send_output(c, &m);
}

static void exec_taken(struct call *c, size_t len)
{
    struct exec *e = c->state;
    struct agent_output m = { .kind = AGENT_OUTPUT_STDIN_WINDOW };

    e->taken += len;
    if (c->done || c->client_closed || e->taken < EXEC_GRANT_STEP)
        return;
    m.window = (uint32_t) e->taken;
    e->input_window += m.window;
    e->taken = 0;
    send_output(c, &m);
}

static void exec_exited(struct call *c, uint32_t status, uint32_t signal)
{
    const struct agent_output m = {
        .kind = AGENT_OUTPUT_EXITED,
        .status = status,
        .signal = signal,
    };

    if (c->done)
        return;
    send_output(c, &m);
    (void) call_message(c); /* the response itself is empty */
    call_answer(c);
}

static const struct session_events exec_events = {
    .started = exec_started,
    .room = exec_room,
    .output = exec_output,
    .taken = exec_taken,
    .exited = exec_exited,
};

static int exec_open(struct call *c, struct bytes_view request, mvm_error **err)
{
    (void) request;
    c->state = calloc(1, sizeof(struct exec));
    return c->state ? 0 : mvm_fail_nomem(err);
}

static int exec_start(struct call *c, const struct agent_start *start, mvm_error **err)
{
    struct exec *e = c->state;

    if (e->session)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a second start");
    e->limited = start->output_window > 0;
    e->window[0] = e->window[1] = start->output_window;
    return session_new(c, &exec_events, start, AGENT_WINDOW, &e->session, err);
}

static int exec_stdin(struct exec *e, struct bytes_view data, mvm_error **err)
{
    if (data.len > e->input_window)
        return mvm_fail(err, MVM_E_FORMAT, 0, "stdin: %zu bytes, of %u granted", data.len,
                        e->input_window);
    e->input_window -= (uint32_t) data.len;
    return session_input(e->session, data.data, data.len, err);
}

static int exec_handle(struct call *c, const struct agent_input *m, mvm_error **err)
{
    struct exec *e = c->state;

    if (m->kind == AGENT_INPUT_START)
        return exec_start(c, &m->start, err);
    if (!e->session)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the start has to come first");
    switch (m->kind) {
    case AGENT_INPUT_STDIN:
        return exec_stdin(e, m->data, err);
    case AGENT_INPUT_STDIN_END:
        session_input_end(e->session);
        break;
    case AGENT_INPUT_SIGNAL:
        session_signal(e->session, (int) m->number);
        break;
    case AGENT_INPUT_RESIZE:
        session_resize(e->session, m->rows, m->cols);
        break;
    case AGENT_INPUT_WINDOW:
        e->window[m->number - 1] += m->bytes;
        session_pump(e->session);
        break;
    case AGENT_INPUT_OUTPUT_CLOSED:
        session_output_closed(e->session, (int) m->number);
        break;
    default:
        break;
    }
    return 0;
}

static int exec_message(struct call *c, struct bytes_view message, mvm_error **err)
{
    mvm_autovalue(agent_input) m = { .kind = AGENT_INPUT_START };
    int r = agent_input_decode(message.data, message.len, &m, err);

    return r < 0 ? r : exec_handle(c, &m, err);
}

static int exec_closed(struct call *c, mvm_error **err)
{
    struct exec *e = c->state;

    if (!e->session)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the stream ended without a start");
    session_input_end(e->session);
    return 0;
}

static int exec_room_again(struct call *c, mvm_error **err)
{
    struct exec *e = c->state;

    (void) err;
    if (e->session)
        session_pump(e->session);
    return 0;
}

static void exec_release(struct call *c)
{
    struct exec *e = c->state;

    if (e)
        session_free(e->session);
    free(e);
}

const struct call_type call_exec = {
    .method = "Exec",
    .client_streams = true,
    .open = exec_open,
    .message = exec_message,
    .closed = exec_closed,
    .room = exec_room_again,
    .release = exec_release,
};
