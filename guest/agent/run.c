/* SPDX-License-Identifier: Apache-2.0 */
/* Run: a program whose whole input comes with the request, and whose output is kept up to a limit.
 */
#include "guest/agent/methods.h"

#include "guest/agent/conn.h"
#include "guest/agent/session.h"

#include "agent/messages.h"

struct run {
    struct session *session; /* owned */
    struct strbuf out[2];
    struct agent_run_response response;
    bool ended;
};

static void run_started(struct call *c, pid_t pid, bool reads_stdin)
{
    (void) c, (void) pid, (void) reads_stdin;
}

static size_t run_room(struct call *c, int stream)
{
    (void) stream;
    return c->done ? 0 : AGENT_DATA_MAX;
}

/* What is above the limit is read all the same: the program is to end. */
static void run_output(struct call *c, int stream, const uint8_t *data, size_t len)
{
    struct run *run = c->state;
    struct strbuf *out = &run->out[stream - 1];
    size_t room = out->max - out->len;

    run->response.truncated = run->response.truncated || len > room;
    strbuf_add(out, data, len < room ? len : room);
}

static void run_taken(struct call *c, size_t len)
{
    (void) c, (void) len;
}

static struct bytes_view view_of(const struct strbuf *sb)
{
    return (struct bytes_view){ .data = (const uint8_t *) strbuf_str(sb), .len = sb->len };
}

/* Answers once the queue has room: answers may be long, and a client may have many open. */
static int run_answer(struct call *c, mvm_error **err)
{
    struct run *run = c->state;
    int r = 0;

    if (!run->ended || !call_has_room(c))
        return 0;
    for (int i = 0; i < 2 && r == 0; i++)
        r = strbuf_check(&run->out[i], "output", err);
    if (r < 0)
        return r;
    run->response.out = view_of(&run->out[0]);
    run->response.err = view_of(&run->out[1]);
    agent_run_response_encode(&run->response, call_message(c));
    call_answer(c);
    return 0;
}

static void run_exited(struct call *c, uint32_t status, uint32_t signal)
{
    struct run *run = c->state;

    run->ended = true;
    run->response.status = status;
    run->response.signal = signal;
    call_again(c);
}

static const struct session_events run_events = {
    .started = run_started,
    .room = run_room,
    .output = run_output,
    .taken = run_taken,
    .exited = run_exited,
};

static int run_start(struct call *c, struct agent_run_request *m, mvm_error **err)
{
    struct run *run = c->state;
    int r;

    m->start.stdin_open = m->input.len > 0;
    r = session_new(c, &run_events, &m->start, m->input.len, &run->session, err);
    if (r == 0 && !c->done && m->input.len > 0) {
        r = session_input(run->session, m->input.data, m->input.len, err);
        session_input_end(run->session);
    }
    return r;
}

static int run_open(struct call *c, struct bytes_view request, mvm_error **err)
{
    struct server *server = call_server(c);
    struct agent_run_request m = { .input = { .len = 0 } };
    struct run *run;
    int r;

    if (server->n_runs >= SERVER_RUNS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d calls of Run at once", SERVER_RUNS_MAX);
    run = calloc(1, sizeof(*run));
    if (!run)
        return mvm_fail_nomem(err);
    for (int i = 0; i < 2; i++)
        run->out[i] = (struct strbuf) STRBUF_INIT(AGENT_RUN_OUTPUT_MAX);
    c->state = run;
    server->n_runs++;
    r = agent_run_request_decode(request.data, request.len, &m, err);
    if (r == 0)
        r = run_start(c, &m, err);
    agent_start_deinit(&m.start);
    return r;
}

static void run_release(struct call *c)
{
    struct run *run = c->state;

    if (!run)
        return;
    call_server(c)->n_runs--;
    session_free(run->session);
    for (int i = 0; i < 2; i++)
        strbuf_deinit(&run->out[i]);
    free(run);
}

const struct call_type call_run = {
    .method = "Run",
    .open = run_open,
    .room = run_answer,
    .release = run_release,
};
