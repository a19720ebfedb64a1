/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/session.h"

#include "guest/agent/conn.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

/* At least so much is read of each output after the end: what a terminal holds at most, of which no
 * call tells how much it is. */
#define SESSION_DRAIN_MIN 131072
/* VEOF, twice. */
#define SESSION_INPUT_EXTRA 2

struct outlet {
    struct session *session;
    int stream; /* 1 or 2 */
    int fd;     /* borrowed of the program; -EBADF: none, or closed */
    struct loop_source *source;
    size_t left; /* once draining: bytes that the program may still have in it */
    bool done;
};

struct session {
    struct server *server;
    struct call *call; /* borrowed */
    const struct session_events *events;
    struct program program; /* owned */
    struct child_watch child;
    struct loop_source *report;
    struct outlet out[2];
    struct loop_source *in_source; /* of a pipe: the terminal has out[0]'s */
    struct strbuf input;
    size_t input_at;
    uint8_t last_input;
    bool input_ending; /* nothing follows what is in @input */
    bool input_done;   /* and the program was told */
    bool is_main;
    bool started;
    bool ended;
    bool held;     /* others may still write, and what they write counts */
    bool draining; /* what is in the outlets is all */
    bool told;     /* of the end */
    int status;
};

static bool has_terminal(const struct session *s)
{
    return s->program.terminal_fd >= 0;
}

static int input_fd(const struct session *s)
{
    return has_terminal(s) ? s->program.terminal_fd : s->program.in_fd;
}

static size_t input_waiting(const struct session *s)
{
    return s->input.len - s->input_at;
}

/* --- Input --- */

static void input_consumed(struct session *s, size_t n)
{
    bool ours = s->input_done; /* VEOF: not the client's bytes */

    s->input_at += n;
    if (s->input_at == s->input.len) {
        strbuf_reset(&s->input);
        s->input_at = 0;
    }
    if (n > 0 && !ours)
        s->events->taken(s->call, n);
}

static void close_input_pipe(struct session *s)
{
    loop_remove(steal_ptr(&s->in_source));
    if (s->program.in_fd >= 0)
        (void) close(steal_fd(&s->program.in_fd));
}

/* Called when the program has all that the client gave. */
static void input_finish(struct session *s)
{
    struct termios settings;
    bool whole_line = s->last_input == 0 || s->last_input == '\n';

    s->input_done = true;
    if (!has_terminal(s)) {
        close_input_pipe(s);
        return;
    }
    if (tcgetattr(s->program.terminal_fd, &settings) < 0 || !(settings.c_lflag & ICANON))
        return; /* a program that reads single bytes has no notion of an end */
    for (int i = whole_line; i < 2; i++)
        strbuf_addc(&s->input, (char) settings.c_cc[VEOF]); /* fits: the buffer is empty */
}

static void input_write(struct session *s)
{
    while (input_waiting(s) > 0) {
        int fd = input_fd(s);
        ssize_t n = fd < 0 ? -1 : write(fd, s->input.data + s->input_at, input_waiting(s));

        if (n < 0 && fd >= 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && fd >= 0 && errno == EAGAIN))
            return;
        if (n < 0 && !has_terminal(s))
            close_input_pipe(s); /* nobody reads it: what comes is thrown away */
        input_consumed(s, n < 0 ? input_waiting(s) : (size_t) n);
    }
}

static void input_pump(struct session *s)
{
    if (!s->started)
        return;
    input_write(s);
    if (input_waiting(s) == 0 && s->input_ending && !s->input_done) {
        input_finish(s);
        input_write(s);
    }
}

/* --- Output --- */

static void outlet_close(struct outlet *o)
{
    o->done = true;
    o->fd = -EBADF;
}

/* One read; false when there is nothing to be read now. */
static bool outlet_read(struct outlet *o)
{
    struct session *s = o->session;
    size_t room = o->done ? 0 : s->events->room(s->call, o->stream);
    ssize_t n;

    if (s->draining && room > o->left)
        room = o->left;
    if (room == 0)
        return false;
    if (room > AGENT_DATA_MAX)
        room = AGENT_DATA_MAX;
    do
        n = read(o->fd, s->server->buffer, room);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        s->events->output(s->call, o->stream, s->server->buffer, (size_t) n);
        o->left -= s->draining ? (size_t) n : 0;
        o->done = s->draining && o->left == 0;
        return true;
    }
    /* A terminal gives EIO after its last user. */
    if (n == 0 || errno != EAGAIN || s->draining)
        outlet_close(o);
    return false;
}

/* --- The end --- */

static void session_drain(struct session *s)
{
    for (int i = 0; i < 2; i++) {
        struct outlet *o = &s->out[i];
        int in_pipe = 0;

        if (!o->done && ioctl(o->fd, FIONREAD, &in_pipe) < 0)
            in_pipe = 0;
        o->left = in_pipe > SESSION_DRAIN_MIN ? (size_t) in_pipe : SESSION_DRAIN_MIN;
    }
    s->draining = true;
}

/* Nothing is in it. Needs no room, unlike a read. */
static bool outlet_is_empty(const struct outlet *o)
{
    struct pollfd p = { .fd = o->fd, .events = POLLIN };

    return poll(&p, 1, 0) >= 0 && !(p.revents & POLLIN);
}

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
        session_drain(s);
    for (int i = 0; i < 2; i++) {
        while (outlet_read(&s->out[i]))
            continue; /* the room, or what is left, ends it */
        if (!s->out[i].done && outlet_is_empty(&s->out[i]))
            outlet_close(&s->out[i]);
    }
    if (s->out[0].done && s->out[1].done)
        session_tell_end(s);
}

/* --- The loop --- */

/* Asks for what can be handled; a failure is the kernel's memory, and the session's end. */
static void session_watch(struct session *s)
{
    bool writes = s->started && input_waiting(s) > 0;
    int r = 0;

    for (int i = 0; i < 2 && r == 0; i++) {
        struct outlet *o = &s->out[i];
        bool reads = s->started && !o->done && s->events->room(s->call, o->stream) > 0;
        uint32_t events = reads ? EPOLLIN : 0;

        if (i == 0 && has_terminal(s) && writes && !o->done)
            events |= EPOLLOUT;
        if (o->source)
            r = loop_set_events(o->source, events, NULL);
    }
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
