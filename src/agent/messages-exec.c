/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: Exec's two directions, and Run. */
#include "agent/messages.h"
#include "agent/proto/agent.pb.h"
#include "agent/wire.h"

#define EXIT_STATUS_MAX 255

void agent_start_deinit(struct agent_start *s)
{
    strv_deinit(&s->argv);
    strv_deinit(&s->env);
    free(s->cwd);
    free(s->user);
    *s = (struct agent_start){ .rows = 0 };
}

/* The texts of an ExecStart while it is decoded or encoded. */
struct start_views {
    struct bytes_view cwd, user;
};

static wire_ExecStart start_getter(struct agent_start *s, struct start_views *v)
{
    return (wire_ExecStart){ .argv = wire_get_words(&s->argv),
                             .env = wire_get_words(&s->env),
                             .cwd = wire_get_bytes(&v->cwd),
                             .user = wire_get_bytes(&v->user) };
}

static wire_ExecStart start_putter(const struct agent_start *s, struct start_views *v)
{
    v->cwd = bytes_view_of_text(s->cwd);
    v->user = bytes_view_of_text(s->user);
    return (wire_ExecStart){ .argv = wire_put_words(&s->argv),
                             .env = wire_put_words(&s->env),
                             .cwd = wire_put_bytes(&v->cwd),
                             .user = wire_put_bytes(&v->user),
                             .tty = s->tty,
                             .stdin_open = s->stdin_open,
                             .rows = s->rows,
                             .cols = s->cols,
                             .output_window = s->output_window };
}

static int check_size(uint32_t rows, uint32_t cols, mvm_error **err)
{
    if (rows > UINT16_MAX || cols > UINT16_MAX)
        return mvm_fail(err, MVM_E_FORMAT, 0, "terminal of %u rows, %u columns", rows, cols);
    return 0;
}

static int start_take(const wire_ExecStart *w, const struct start_views *v, struct agent_start *s,
                      mvm_error **err)
{
    int r = check_size(w->rows, w->cols, err);

    for (size_t i = 0; r == 0 && i < s->env.n; i++)
        if (!strchr(s->env.items[i], '=') || s->env.items[i][0] == '=')
            r = mvm_fail(err, MVM_E_FORMAT, 0, "environment: '%s' is no NAME=VALUE",
                         s->env.items[i]);
    if (r == 0)
        r = wire_take_text(v->cwd, AGENT_PATH_MAX - 1, true, "working directory", &s->cwd, err);
    if (r == 0)
        r = wire_take_text(v->user, AGENT_USER_MAX, true, "user", &s->user, err);
    if (r < 0)
        return r;
    s->tty = w->tty;
    s->stdin_open = w->stdin_open;
    s->rows = (uint16_t) w->rows;
    s->cols = (uint16_t) w->cols;
    s->output_window = w->output_window;
    return 0;
}

static int check_data(struct bytes_view data, mvm_error **err)
{
    if (data.len > AGENT_DATA_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%zu bytes of data in one message, at most %d",
                        data.len, AGENT_DATA_MAX);
    return 0;
}

static int check_exit(const wire_Exited *e, mvm_error **err)
{
    if (e->status > EXIT_STATUS_MAX || e->signal > AGENT_SIGNAL_MAX)
        return mvm_fail(err, MVM_E_FORMAT, 0, "exit status %u, signal %u", e->status, e->signal);
    return 0;
}

void agent_input_deinit(struct agent_input *m)
{
    agent_start_deinit(&m->start);
}

void agent_input_encode(const struct agent_input *m, struct strbuf *out)
{
    struct bytes_view data = { .len = 0 };
    struct start_views views;
    wire_ExecInput w = { .stdin_data = wire_put_bytes(&data) };

    switch (m->kind) {
    case AGENT_INPUT_START:
        w.has_start = true;
        w.start = start_putter(&m->start, &views);
        break;
    case AGENT_INPUT_STDIN:
        data = bytes_view_of(m->data.data, m->data.len);
        break;
    case AGENT_INPUT_STDIN_END:
        w.stdin_end = true;
        break;
    case AGENT_INPUT_SIGNAL:
        w.signal = m->number;
        break;
    case AGENT_INPUT_RESIZE:
        w.has_resize = true;
        w.resize = (wire_TerminalSize){ .rows = m->rows, .cols = m->cols };
        break;
    case AGENT_INPUT_WINDOW:
        w.has_window = true;
        w.window = (wire_Window){ .stream = m->number, .bytes = m->bytes };
        break;
    case AGENT_INPUT_OUTPUT_CLOSED:
        w.output_closed = m->number;
        break;
    }
    wire_encode(wire_ExecInput_fields, &w, out);
}

/* The kind of the one member that is there; 0 for none, for more than one. */
static enum agent_input_kind input_kind(const wire_ExecInput *w, struct bytes_view data)
{
    const bool there[] = { [AGENT_INPUT_START] = w->has_start,
                           [AGENT_INPUT_STDIN] = !bytes_view_is_absent(data),
                           [AGENT_INPUT_STDIN_END] = w->stdin_end,
                           [AGENT_INPUT_SIGNAL] = w->signal != 0,
                           [AGENT_INPUT_RESIZE] = w->has_resize,
                           [AGENT_INPUT_WINDOW] = w->has_window,
                           [AGENT_INPUT_OUTPUT_CLOSED] = w->output_closed != 0 };

    return (enum agent_input_kind) wire_only_member(there, ARRAY_SIZE(there));
}

static int input_take(const wire_ExecInput *w, const struct start_views *views,
                      struct agent_input *m, mvm_error **err)
{
    switch (m->kind) {
    case AGENT_INPUT_START:
        return start_take(&w->start, views, &m->start, err);
    case AGENT_INPUT_STDIN:
        return check_data(m->data, err);
    case AGENT_INPUT_STDIN_END:
        return 0;
    case AGENT_INPUT_SIGNAL:
        m->number = w->signal;
        return m->number <= AGENT_SIGNAL_MAX
                   ? 0
                   : mvm_fail(err, MVM_E_FORMAT, 0, "signal number %u", m->number);
    case AGENT_INPUT_RESIZE:
        m->rows = (uint16_t) w->resize.rows;
        m->cols = (uint16_t) w->resize.cols;
        return check_size(w->resize.rows, w->resize.cols, err);
    case AGENT_INPUT_WINDOW:
    case AGENT_INPUT_OUTPUT_CLOSED:
        m->number = m->kind == AGENT_INPUT_WINDOW ? w->window.stream : w->output_closed;
        m->bytes = w->window.bytes;
        if (m->number < 1 || m->number > 2 || (m->kind == AGENT_INPUT_WINDOW && m->bytes == 0))
            return mvm_fail(err, MVM_E_FORMAT, 0, "output stream %u, %u bytes", m->number,
                            m->bytes);
        return 0;
    }
    return mvm_fail(err, MVM_E_FORMAT, 0, "not exactly one known member");
}

int agent_input_decode(const uint8_t *data, size_t len, struct agent_input *ret, mvm_error **err)
{
    mvm_autovalue(agent_input) m = { .number = 0 };
    struct start_views views = { .cwd = { .len = 0 } };
    wire_ExecInput w = { .start = start_getter(&m.start, &views),
                         .stdin_data = wire_get_bytes(&m.data) };
    int r = wire_decode((struct bytes_view){ data, len }, wire_ExecInput_fields, &w, "ExecInput",
                        err);

    if (r < 0)
        return r;
    m.kind = input_kind(&w, m.data);
    r = input_take(&w, &views, &m, err);
    if (r < 0)
        return mvm_context(err, r, "ExecInput");
    *ret = m;
    m = (struct agent_input){ .number = 0 };
    return 0;
}

void agent_output_encode(const struct agent_output *m, struct strbuf *out)
{
    struct bytes_view data = { .len = 0 };
    wire_ExecOutput w = { .stdin_window = 0 };

    switch (m->kind) {
    case AGENT_OUTPUT_STARTED:
        w.has_started = true;
        w.started = (wire_Started){ .pid = m->pid, .stdin_window = m->window };
        break;
    case AGENT_OUTPUT_STDOUT:
        data = bytes_view_of(m->data.data, m->data.len);
        w.stdout_data = wire_put_bytes(&data);
        break;
    case AGENT_OUTPUT_STDERR:
        data = bytes_view_of(m->data.data, m->data.len);
        w.stderr_data = wire_put_bytes(&data);
        break;
    case AGENT_OUTPUT_STDIN_WINDOW:
        w.stdin_window = m->window;
        break;
    case AGENT_OUTPUT_EXITED:
        w.has_exited = true;
        w.exited = (wire_Exited){ .status = m->status, .signal = m->signal };
        break;
    }
    wire_encode(wire_ExecOutput_fields, &w, out);
}

int agent_output_decode(const uint8_t *data, size_t len, struct agent_output *ret, mvm_error **err)
{
    struct bytes_view out = { .len = 0 }, error = { .len = 0 };
    wire_ExecOutput w = { .stdout_data = wire_get_bytes(&out),
                          .stderr_data = wire_get_bytes(&error) };
    int r = wire_decode((struct bytes_view){ data, len }, wire_ExecOutput_fields, &w, "ExecOutput",
                        err);

    if (r < 0)
        return r;
    const bool there[] = { [AGENT_OUTPUT_STARTED] = w.has_started,
                           [AGENT_OUTPUT_STDOUT] = !bytes_view_is_absent(out),
                           [AGENT_OUTPUT_STDERR] = !bytes_view_is_absent(error),
                           [AGENT_OUTPUT_STDIN_WINDOW] = w.stdin_window != 0,
                           [AGENT_OUTPUT_EXITED] = w.has_exited };
    struct agent_output m = {
        .kind = (enum agent_output_kind) wire_only_member(there, ARRAY_SIZE(there)),
        .pid = w.started.pid,
        .window = w.has_started ? w.started.stdin_window : w.stdin_window,
        .data = bytes_view_is_absent(out) ? error : out,
        .status = w.exited.status,
        .signal = w.exited.signal,
    };

    if (m.kind == 0)
        r = mvm_fail(err, MVM_E_FORMAT, 0, "not exactly one known member");
    else
        r = check_data(m.data, err);
    if (r == 0)
        r = check_exit(&w.exited, err);
    if (r < 0)
        return mvm_context(err, r, "ExecOutput");
    *ret = m;
    return 0;
}

void agent_run_request_encode(const struct agent_run_request *m, struct strbuf *out)
{
    struct start_views views;
    wire_RunRequest w = { .has_start = true,
                          .start = start_putter(&m->start, &views),
                          .stdin_data = wire_put_bytes(&m->input) };

    wire_encode(wire_RunRequest_fields, &w, out);
}

int agent_run_request_decode(const uint8_t *data, size_t len, struct agent_run_request *ret,
                             mvm_error **err)
{
    mvm_autovalue(agent_start) start = { .rows = 0 };
    struct bytes_view input = { .len = 0 };
    struct start_views views = { .cwd = { .len = 0 } };
    wire_RunRequest w = { .start = start_getter(&start, &views),
                          .stdin_data = wire_get_bytes(&input) };
    int r = wire_decode((struct bytes_view){ data, len }, wire_RunRequest_fields, &w, "RunRequest",
                        err);

    if (r < 0)
        return r;
    r = start_take(&w.start, &views, &start, err);
    if (r < 0)
        return mvm_context(err, r, "RunRequest");
    *ret = (struct agent_run_request){ .start = start, .input = input };
    start = (struct agent_start){ .rows = 0 };
    return 0;
}

void agent_run_response_encode(const struct agent_run_response *m, struct strbuf *out)
{
    wire_RunResponse w = { .has_exited = true,
                           .exited = { .status = m->status, .signal = m->signal },
                           .stdout_data = wire_put_bytes(&m->out),
                           .stderr_data = wire_put_bytes(&m->err),
                           .truncated = m->truncated };

    wire_encode(wire_RunResponse_fields, &w, out);
}

int agent_run_response_decode(const uint8_t *data, size_t len, struct agent_run_response *ret,
                              mvm_error **err)
{
    struct agent_run_response m = { .status = 0 };
    wire_RunResponse w = { .stdout_data = wire_get_bytes(&m.out),
                           .stderr_data = wire_get_bytes(&m.err) };
    int r = wire_decode((struct bytes_view){ data, len }, wire_RunResponse_fields, &w,
                        "RunResponse", err);

    if (r < 0)
        return r;
    r = check_exit(&w.exited, err);
    if (r < 0)
        return mvm_context(err, r, "RunResponse");
    m.status = w.exited.status;
    m.signal = w.exited.signal;
    m.truncated = w.truncated;
    *ret = m;
    return 0;
}
