/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/session-internal.h"

#include "guest/agent/conn.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

/* --- The end --- */

static void session_tell_end(struct session *s)
{
    bool by_signal = WIFSIGNALED(s->status);
    uint32_t signal = by_signal ? (uint32_t) WTERMSIG(s->status) : 0;

    s->told = true;
    if (s->is_main)
        s->server->machine->sync(s->server->machine->user); /* the host may end the machine then */
    s->events->exited(s->call, by_signal ? 128 + signal : (uint32_t) WEXITSTATUS(s->status),
                      signal);
    if (s->is_main)
        server_main_delivered(s->server, s->call->conn);
}

static void session_check_end(struct session *s)
{
    if (!s->started || !s->ended || s->held || s->told)
        return;
    if (!s->draining)
        outlets_drain(s);
    if (outlets_are_empty(s))
        session_tell_end(s);
}

/* --- The loop --- */

static uint32_t outlet_events(const struct outlet *o)
{
    const struct session *s = o->session;
    uint32_t events = 0;

    if (!s->started || o->done)
        return 0;
    if (s->events->room(s->call, o->stream) > 0)
        events |= EPOLLIN;
    if (has_terminal(s) && input_waiting(s) > 0)
        events |= EPOLLOUT;
    return events;
}

/* Asks for what can be handled; a failure is the kernel's memory, and the session's end. */
static void session_watch(struct session *s)
{
    bool writes = s->started && input_waiting(s) > 0;
    int r = 0;

    for (int i = 0; i < 2 && r == 0; i++)
        if (s->out[i].source)
            r = loop_set_events(s->out[i].source, outlet_events(&s->out[i]), NULL);
    if (r == 0 && s->in_source)
        r = loop_set_events(s->in_source, writes ? EPOLLOUT : 0, NULL);
    if (r < 0)
        call_fail(s->call, TTRPC_RESOURCE_EXHAUSTED, "the program's streams cannot be watched");
}

void session_pump(struct session *s)
{
    input_pump(s);
    session_check_end(s);
    session_watch(s);
}

static void on_input_room(void *user, uint32_t events)
{
    (void) events;
    session_pump(user);
}

static void on_output(void *user, uint32_t events)
{
    struct outlet *o = user;

    if (events & ~(uint32_t) EPOLLOUT)
        (void) outlet_read(o);
    if (o->done && has_terminal(o->session)) /* nobody has the other side open */
        input_consumed(o->session, input_waiting(o->session));
    session_pump(o->session);
}

static void on_ended(void *user, int status)
{
    struct session *s = user;

    s->ended = true;
    s->status = status;
    if (s->is_main) {
        s->held = true;
        server_main_ended(s->server);
    }
    session_pump(s);
}

/* A missing folder or device of the guest's is not a missing program, so its errno does not count.
 */
static void fail_start(struct call *c, int r, const mvm_error *why)
{
    if (r == MVM_E_SYS)
        call_fail(c, TTRPC_INTERNAL, mvm_error_message(why));
    else
        call_fail_error(c, why);
}

static void on_report(void *user, uint32_t events)
{
    struct session *s = user;
    mvm_autoerror mvm_error *why = NULL;
    int r = program_report(&s->program, &why);

    (void) events;
    if (r == 0)
        return;
    /* In this order: what another child still holds stays in the epoll set when it is closed here.
     */
    loop_remove(steal_ptr(&s->report));
    (void) close(steal_fd(&s->program.report_fd));
    if (r < 0) {
        s->told = true;
        if (s->is_main)
            server_main_failed(s->server, s->call->conn);
        fail_start(s->call, r, why);
        return;
    }
    s->started = true;
    s->events->started(s->call, s->program.pid, s->program.reads_stdin);
    session_pump(s);
}

void session_release(struct session *s)
{
    s->held = false;
    session_pump(s);
}

/* --- The client's wishes --- */

int session_input(struct session *s, const uint8_t *data, size_t len, mvm_error **err)
{
    if (s->input_ending)
        return mvm_fail(err, MVM_E_FORMAT, 0, "stdin after its end");
    if (len == 0)
        return 0;
    if (s->input_at > 0) {
        memmove(s->input.data, s->input.data + s->input_at, input_waiting(s));
        s->input.len -= s->input_at;
        s->input_at = 0;
    }
    strbuf_add(&s->input, data, len);
    s->last_input = data[len - 1];
    if (s->input.failed)
        return strbuf_check(&s->input, "stdin", err);
    session_pump(s);
    return 0;
}

void session_input_end(struct session *s)
{
    s->input_ending = true;
    session_pump(s);
}

void session_signal(struct session *s, int number)
{
    if (!s->ended) /* not reaped yet, so the id is still its own */
        s->server->machine->signal(s->server->machine->user, s->program.pid, number);
}

void session_resize(struct session *s, uint16_t rows, uint16_t cols)
{
    const struct winsize size = { .ws_row = rows, .ws_col = cols };

    /* Only a terminal has a size; the program gets SIGWINCH from the kernel. */
    if (has_terminal(s))
        (void) ioctl(s->program.terminal_fd, TIOCSWINSZ, &size); /* hung up: nobody sees it */
}

void session_output_closed(struct session *s, int stream)
{
    struct outlet *o = &s->out[stream - 1];
    int *fd = has_terminal(s) ? &s->program.terminal_fd
              : stream == 1   ? &s->program.out_fd
                              : &s->program.err_fd;

    if (has_terminal(s) && stream == 2)
        return; /* its stderr is the terminal, which is stdout */
    loop_remove(steal_ptr(&o->source));
    outlet_close(o);
    if (*fd >= 0)
        (void) close(steal_fd(fd)); /* the next write fails; a terminal hangs up */
    session_pump(s);
}

/* --- Life --- */

static int watch_outlet(struct session *s, int i, int fd, mvm_error **err)
{
    struct outlet *o = &s->out[i];

    *o = (struct outlet){ .session = s, .stream = i + 1, .fd = fd, .done = fd < 0 };
    return fd < 0 ? 0 : loop_add_fd(s->server->loop, fd, 0, on_output, o, &o->source, err);
}

static int session_open(struct session *s, mvm_error **err)
{
    const struct program *p = &s->program;
    int r;

    r = watch_outlet(s, 0, has_terminal(s) ? p->terminal_fd : p->out_fd, err);
    if (r == 0)
        r = watch_outlet(s, 1, p->err_fd, err);
    if (r == 0 && p->in_fd >= 0)
        r = loop_add_fd(s->server->loop, p->in_fd, 0, on_input_room, s, &s->in_source, err);
    if (r == 0)
        r = loop_add_fd(s->server->loop, p->report_fd, EPOLLIN, on_report, s, &s->report, err);
    return r;
}

int session_new(struct call *c, const struct session_events *events,
                const struct agent_start *start, size_t input_max, struct session **ret,
                mvm_error **err)
{
    struct server *server = call_server(c);
    mvm_autoerror mvm_error *why = NULL;
    struct session *s;
    int r;

    r = server_may_start(server, start->argv.n == 0, err);
    if (r < 0)
        return r;
    s = calloc(1, sizeof(*s));
    if (!s)
        return mvm_fail_nomem(err);
    *s = (struct session){ .server = server, .call = c, .events = events };
    s->program = (struct program) PROGRAM_NONE;
    s->input = (struct strbuf) STRBUF_INIT(input_max + SESSION_INPUT_EXTRA);
    r = server->machine->start(server->machine->user, start, &s->program, &why);
    if (r < 0) {
        if (start->argv.n == 0)
            server_main_failed(server, c->conn);
        free(s);
        fail_start(c, r, why);
        return 0;
    }
    server->n_sessions++;
    s->input_ending = s->input_done = !s->program.reads_stdin;
    s->child = (struct child_watch){ .pid = s->program.pid, .ended = on_ended, .user = s };
    reaper_watch(&server->reaper, &s->child);
    s->is_main = start->argv.n == 0;
    if (s->is_main)
        server_main_started(server, s, s->program.pid);
    r = session_open(s, err);
    if (r < 0) {
        session_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    reaper_unwatch(&s->server->reaper, &s->child);
    /* A program that could not be executed ends by itself. */
    if (!s->ended && !(s->told && !s->started))
        s->server->machine->kill_session(s->server->machine->user, s->program.pid);
    s->server->n_sessions--;
    loop_remove(s->report);
    loop_remove(s->in_source);
    for (int i = 0; i < 2; i++)
        loop_remove(s->out[i].source);
    program_deinit(&s->program);
    strbuf_deinit(&s->input);
    if (s->is_main && !s->told)
        server_main_dropped(s->server);
    else if (s->server->main_session == s)
        s->server->main_session = NULL;
    free(s);
}
