/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of the program, as its messages tell them:
 *
 *   starting  start was sent
 *   running   started came
 *   exited    exited came; nothing but the response may follow
 *
 * The call's end is told to our caller once the outputs' buffers are empty. That is the last thing
 * that a callback does, since the caller may free us then.
 */
#include "agent/exec-internal.h"

#include "agent/wire.h"

#include <sys/epoll.h>

int exec_send(struct exec_client *e, const struct agent_input *m, mvm_error **err)
{
    mvm_autovalue(strbuf) buf = STRBUF_INIT(AGENT_FRAME_MAX);
    int r;

    if (!e->call)
        return mvm_fail(err, MVM_E_STATE, 0, "the program has ended");
    agent_input_encode(m, &buf);
    r = strbuf_check(&buf, "message to the guest's agent", err);
    return r < 0 ? r : agent_call_send(e->call, bytes_view_of(buf.data, buf.len), err);
}

int exec_client_signal(struct exec_client *e, int number, mvm_error **err)
{
    const struct agent_input m = { .kind = AGENT_INPUT_SIGNAL, .number = (uint32_t) number };

    if (number < 1 || number > AGENT_SIGNAL_MAX)
        return mvm_fail(err, MVM_E_ARG, 0, "signal number %d", number);
    return exec_send(e, &m, err);
}

int exec_client_resize(struct exec_client *e, uint16_t rows, uint16_t cols, mvm_error **err)
{
    const struct agent_input m = { .kind = AGENT_INPUT_RESIZE, .rows = rows, .cols = cols };

    return exec_send(e, &m, err);
}

bool exec_client_has_exited(const struct exec_client *e, uint32_t *ret_status)
{
    if (e->call || e->r < 0 || e->state != EXEC_EXITED)
        return false;
    *ret_status = e->status;
    return true;
}

uint64_t exec_client_received(const struct exec_client *e)
{
    return e->outputs[0].received + e->outputs[1].received;
}

uint64_t exec_client_delivered(const struct exec_client *e)
{
    return e->outputs[0].delivered + e->outputs[1].delivered;
}

static void input_end(struct exec_client *e)
{
    loop_remove(e->input_source);
    e->input_source = NULL;
    stream_end_close(&e->input);
}

void exec_check_end(struct exec_client *e)
{
    if (e->call || e->outputs[0].buffer.len > 0 || e->outputs[1].buffer.len > 0 || !e->handler)
        return;
    const struct exec_client_handler *handler = e->handler;

    e->handler = NULL; /* once */
    handler->ended(e->user, e->r, e->status, e->signal_number, e->error);
}

void exec_fail(struct exec_client *e, int r, mvm_error *err)
{
    agent_call_cancel(e->call);
    e->call = NULL;
    input_end(e);
    if (e->r == 0) {
        e->r = r;
        e->error = err;
    } else {
        mvm_error_free(err);
    }
}

static void input_update(struct exec_client *e);

static void on_input_readable(void *user, uint32_t events)
{
    struct exec_client *e = user;
    struct agent_input m = { .kind = AGENT_INPUT_STDIN_END };
    size_t room = e->input_window < sizeof(e->chunk) ? (size_t) e->input_window : sizeof(e->chunk);
    mvm_error *err = NULL;
    ssize_t n = stream_end_read(&e->input, e->chunk, room);
    int r;

    (void) events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* Any other error ends the stream as an end of file does: a terminal that hung up gives EIO. */
    if (n > 0) {
        m.kind = AGENT_INPUT_STDIN;
        m.data = bytes_view_of(e->chunk, (size_t) n);
        e->input_window -= (uint64_t) n;
    } else {
        input_end(e);
    }
    r = exec_send(e, &m, &err);
    if (r < 0)
        exec_fail(e, r, err);
    else
        input_update(e);
    exec_check_end(e);
}

/* Reads stdin while the guest, and the connection, take more. */
static void input_update(struct exec_client *e)
{
    bool wanted = e->input.fd >= 0 && e->call && e->state == EXEC_RUNNING && e->input_window > 0 &&
                  agent_call_has_room(e->call);
    mvm_error *err = NULL;
    int r;

    if (!wanted) {
        loop_remove(e->input_source);
        e->input_source = NULL;
    } else if (!e->input_source) {
        r = loop_add_fd(e->loop, e->input.fd, EPOLLIN, on_input_readable, e, &e->input_source,
                        &err);
        if (r < 0)
            exec_fail(e, r, err);
    }
}

static void on_room(void *user)
{
    struct exec_client *e = user;

    input_update(e);
    exec_check_end(e);
}

/* Whether such a message may come now. */
static bool kind_is_due(enum exec_state state, enum agent_output_kind kind)
{
    return state == EXEC_STARTING ? kind == AGENT_OUTPUT_STARTED
                                  : state == EXEC_RUNNING && kind != AGENT_OUTPUT_STARTED;
}

static int exec_take(struct exec_client *e, const struct agent_output *m, mvm_error **err)
{
    switch (m->kind) {
    case AGENT_OUTPUT_STARTED:
        e->state = EXEC_RUNNING;
        e->input_window = m->window;
        if (e->input.fd < 0 && m->window > 0) { /* of the main program the VM's config decides */
            int r = exec_send(e, &(struct agent_input){ .kind = AGENT_INPUT_STDIN_END }, err);

            if (r < 0)
                return r;
        }
        input_update(e);
        if (e->call && e->handler->started)
            e->handler->started(e->user, m->pid);
        break;
    case AGENT_OUTPUT_STDOUT:
    case AGENT_OUTPUT_STDERR:
        return exec_output_take(&e->outputs[m->kind == AGENT_OUTPUT_STDERR], m->data, err);
    case AGENT_OUTPUT_STDIN_WINDOW:
        e->input_window += m->window;
        input_update(e);
        break;
    case AGENT_OUTPUT_EXITED:
        e->state = EXEC_EXITED;
        e->status = m->status;
        e->signal_number = m->signal;
        input_end(e);
        break;
    }
    return 0;
}

static int on_message(void *user, struct bytes_view message, mvm_error **err)
{
    struct exec_client *e = user;
    struct agent_output m;
    int r = agent_output_decode(message.data, message.len, &m, err);

    if (r < 0)
        return r;
    if (!kind_is_due(e->state, m.kind))
        return mvm_fail(err, MVM_E_FORMAT, 0, "message %d of the guest's agent out of turn",
                        m.kind);
    r = exec_take(e, &m, err);
    if (r == 0)
        exec_check_end(e); /* it failed on our side: no response is waited for */
    return r;
}

static void on_ended(void *user, int r, struct bytes_view payload, const mvm_error *err)
{
    struct exec_client *e = user;

    (void) payload;
    e->call = NULL;
    input_end(e);
    e->r = r;
    if (r < 0)
        (void) mvm_fail(&e->error, r, 0, "%s", mvm_error_message(err));
    else if (e->state != EXEC_EXITED)
        e->r = mvm_fail(&e->error, MVM_E_FORMAT, 0,
                        "the guest's agent ended the call without an exit status");
    exec_check_end(e);
}

static const struct agent_call_handler call_handler = { .message = on_message,
                                                        .room = on_room,
                                                        .ended = on_ended };

void exec_client_free(struct exec_client *e)
{
    if (!e)
        return;
    agent_call_cancel(e->call);
    input_end(e);
    for (int i = 0; i < 2; i++) {
        loop_remove(e->outputs[i].source);
        stream_end_close(&e->outputs[i].end);
        strbuf_deinit(&e->outputs[i].buffer);
    }
    mvm_error_free(e->error);
    free(e);
}

static struct exec_client *exec_alloc(struct agent_client *c, const struct exec_client_spec *spec)
{
    struct exec_client *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->loop = agent_client_loop(c);
    e->handler = spec->handler;
    e->user = spec->user;
    e->input = (struct stream_end) STREAM_END_NONE;
    for (uint32_t i = 0; i < 2; i++)
        e->outputs[i] = (struct exec_output){ .exec = e,
                                              .number = i + 1,
                                              .end = STREAM_END_NONE,
                                              .buffer = STRBUF_INIT(2 * AGENT_WINDOW),
                                              .window = AGENT_WINDOW };
    return e;
}

static int exec_open_ends(struct exec_client *e, const int fds[3], mvm_error **err)
{
    struct stream_end *const ends[3] = { &e->input, &e->outputs[0].end, &e->outputs[1].end };
    int r = 0;

    for (int i = 0; i < 3; i++) {
        if (r == 0 && fds[i] >= 0)
            r = stream_end_open(fds[i], i > 0, ends[i], err);
        else if (fds[i] >= 0)
            (void) close(fds[i]);
    }
    return r;
}

static int exec_send_start(struct exec_client *e, const struct agent_start *start, mvm_error **err)
{
    /* A shallow copy: what it owns stays the caller's. */
    struct agent_input m = { .kind = AGENT_INPUT_START, .start = *start };

    m.start.stdin_open = e->input.fd >= 0;
    m.start.output_window = AGENT_WINDOW;
    return exec_send(e, &m, err);
}

int exec_client_new(struct agent_client *c, const struct exec_client_spec *spec,
                    struct exec_client **ret, mvm_error **err)
{
    mvm_auto(exec_client) e = exec_alloc(c, spec);
    const struct agent_call_spec call = {
        .method = "Exec", .streams = AGENT_STREAMS_BOTH, .handler = &call_handler, .user = e
    };
    int r;

    if (!e) {
        for (int i = 0; i < 3; i++)
            if (spec->fds[i] >= 0)
                (void) close(spec->fds[i]);
        return mvm_fail_nomem(err);
    }
    r = exec_open_ends(e, spec->fds, err);
    if (r == 0)
        r = agent_call_start(c, &call, &e->call, err);
    if (r == 0)
        r = exec_send_start(e, spec->start, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&e);
    return 0;
}
