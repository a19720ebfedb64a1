/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States: the program runs; it has ended, and what it left behind is being killed; no process is
 * left, so that the end of its output is certain to come; all output is in the ports. The host may
 * be slow to take the output: that is waited for without limit, since a host that has gone shows as
 * a hang-up of the control port.
 *
 * The end of stdin is a number of bytes. With pipes the program's end is closed behind them. A
 * terminal cannot be closed for reading alone: it gets the end-of-file character that its settings
 * name, twice when the line before it is not complete (termios(3), VEOF).
 */
#include "relay.h"

#include "kmsg.h"
#include "stream.h"

#include "base/clock.h"
#include "base/mem.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>

/* How long killed processes may take to go. One that hangs in the kernel must not keep the machine.
 */
#define REAP_MS 5000

struct relay {
    struct control *control; /* borrowed */
    int epoll_fd;            /* owned */
    struct endpoint signals; /* owned, like all endpoints here */
    struct endpoint in_port, out_port, err_port;
    struct endpoint in_pipe, out_pipe, err_pipe;
    struct endpoint terminal;
    struct stream in, out, err;
    pid_t pid;
    int status;    /* of the program, once it has ended */
    bool ended;    /* the program */
    bool alone;    /* no other process is left, or it may hang for ever */
    bool in_ended; /* the program was told that its stdin ends */
    uint64_t reap_deadline_ms;
};

static void relay_deinit(struct relay *r)
{
    struct endpoint *const all[] = { &r->signals, &r->in_port,  &r->out_port, &r->err_port,
                                     &r->in_pipe, &r->out_pipe, &r->err_pipe, &r->terminal };

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        endpoint_close(all[i]);
    if (r->epoll_fd >= 0)
        (void) close(steal_fd(&r->epoll_fd));
}
MVM_DEFINE_AUTOVALUE(relay, relay_deinit)

static struct endpoint take_port(struct ports *ports, enum port_index index)
{
    return (struct endpoint){ .fd = steal_fd(&ports->fd[index]), .is_port = true };
}

static void relay_init(struct relay *r, struct control *control, struct ports *ports,
                       struct program *p)
{
    bool tty = p->terminal_fd >= 0;

    *r = (struct relay){ .control = control, .pid = p->pid, .epoll_fd = -EBADF };
    r->signals.fd = -EBADF;
    r->in_port = take_port(ports, PORT_STDIN);
    r->out_port = take_port(ports, PORT_STDOUT);
    r->err_port = take_port(ports, PORT_STDERR);
    r->in_pipe.fd = steal_fd(&p->in_fd);
    r->out_pipe.fd = steal_fd(&p->out_fd);
    r->err_pipe.fd = steal_fd(&p->err_fd);
    r->terminal.fd = steal_fd(&p->terminal_fd);
    stream_init(&r->in, &r->in_port, tty ? &r->terminal : &r->in_pipe);
    stream_init(&r->out, tty ? &r->terminal : &r->out_pipe, &r->out_port);
    stream_init(&r->err, &r->err_pipe, &r->err_port);
    r->in_ended = r->in_port.fd < 0;
}

static int relay_watch(struct relay *r, mvm_error **err)
{
    struct endpoint *const all[] = { &r->signals,  &r->control->port, &r->in_port,
                                     &r->out_port, &r->err_port,      &r->in_pipe,
                                     &r->out_pipe, &r->err_pipe,      &r->terminal };
    sigset_t child;

    (void) sigemptyset(&child); /* these two cannot fail */
    (void) sigaddset(&child, SIGCHLD);
    r->signals.fd = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (r->signals.fd < 0 || r->epoll_fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "watch the program");
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        int rc = endpoint_watch(all[i], r->epoll_fd, err);

        if (rc < 0)
            return rc;
    }
    r->signals.readable = true; /* the program may have ended before anybody watched */
    return 0;
}

/* Everything but PID 1. A process that forks while it is being killed leaves no child: fork() looks
 * for signals. */
static void kill_all(void)
{
    (void) kill(-1, SIGKILL); /* ESRCH: nobody is left */
}

static void reap(struct relay *r)
{
    struct signalfd_siginfo info;
    pid_t pid;
    int status;

    while (endpoint_read(&r->signals, &info, sizeof(info)) > 0)
        continue; /* one may stand for many */
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != r->pid || r->ended)
            continue;
        r->ended = true;
        r->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        r->reap_deadline_ms = clock_now_ms() + REAP_MS;
        kmsg_debug("program ended with status %d", r->status);
        kill_all();
    }
    if (r->ended && pid < 0)
        r->alone = true; /* ECHILD */
}

/* Nobody is left to write, yet something in the kernel holds the stream open (TIOCCONS holds a
 * terminal). It has ended once all that was in it is on its way. */
static void end_if_idle(struct stream *s)
{
    if (!stream_pump(s) && s->start == s->end)
        s->ended = true;
}

/* After the end of the program: the deadline of what it left behind. */
static void check_deadline(struct relay *r)
{
    if (!r->ended || clock_now_ms() < r->reap_deadline_ms)
        return;
    if (!r->alone)
        kmsg_warning("processes do not end after SIGKILL");
    r->alone = true;
    /* Whoever is left may hold the streams open for ever: what is there now is all. */
    end_if_idle(&r->out);
    end_if_idle(&r->err);
}

static void close_output(struct relay *r, uint32_t number)
{
    struct stream *s = number == 1 ? &r->out : &r->err;

    endpoint_close(s->from); /* the program's next write fails; a terminal hangs up */
    s->ended = s->dropping = true;
    (void) stream_pump(s);
}

static void resize(struct relay *r, const struct port_message *m)
{
    const struct winsize size = { .ws_row = m->rows, .ws_col = m->cols };

    /* Only a terminal has a size; the program gets SIGWINCH from the kernel. */
    if (r->terminal.fd >= 0 && ioctl(r->terminal.fd, TIOCSWINSZ, &size) < 0)
        kmsg_warning("resize the terminal: %s", strerror(errno));
}

static void handle(struct relay *r, const struct port_message *m)
{
    switch (m->type) {
    case PORT_STDIN_END:
        if (m->total >= r->in.received)
            r->in.limit = m->total;
        else
            r->in.ended = true; /* the host cannot count: what came is all */
        break;
    case PORT_SIGNAL:
        if (!r->ended)
            (void) kill(r->pid, (int) m->number); /* not reaped yet, so the id is still its own */
        break;
    case PORT_RESIZE:
        resize(r, m);
        break;
    case PORT_OUTPUT_CLOSED:
        close_output(r, m->number);
        break;
    default:
        break; /* PORT_FINISHED is noted by control_receive() */
    }
}

/* Called when stdin is done: all that the host has was given to the program. */
static void end_stdin(struct relay *r)
{
    struct termios settings;
    bool whole_line = r->in.received == 0 || r->in.last == '\n';

    r->in_ended = true;
    if (r->terminal.fd < 0) {
        endpoint_close(&r->in_pipe);
        return;
    }
    if (tcgetattr(r->terminal.fd, &settings) < 0 || !(settings.c_lflag & ICANON))
        return; /* a program that reads single bytes has no notion of an end */
    if (!whole_line)
        (void) stream_append(&r->in, settings.c_cc[VEOF]); /* the buffer is empty: it has room */
    (void) stream_append(&r->in, settings.c_cc[VEOF]);
}

static bool pump(struct relay *r)
{
    bool more = stream_pump(&r->in);

    if (!r->in_ended && stream_is_done(&r->in)) {
        end_stdin(r);
        more = stream_pump(&r->in);
    }
    /* A port whose host end has gone takes nothing, and gives no error. */
    if (r->out_port.hung_up && !r->out.dropping)
        close_output(r, 1);
    if (r->err_port.hung_up && !r->err.dropping)
        close_output(r, 2);
    more = stream_pump(&r->out) || more;
    more = stream_pump(&r->err) || more;
    return more;
}

static int handle_messages(struct relay *r, mvm_error **err)
{
    struct port_message m;
    int rc;

    control_flush(r->control);
    while ((rc = control_receive(r->control, &m, err)) > 0)
        handle(r, &m);
    if (rc == 0 && r->control->port.hung_up)
        rc = mvm_fail(err, MVM_E_NET, 0, "the host has closed the control port");
    return rc;
}

static int relay_loop(struct relay *r, mvm_error **err)
{
    for (;;) {
        bool more;
        int rc;

        if (r->signals.readable)
            reap(r);
        check_deadline(r);
        rc = handle_messages(r, err);
        if (rc < 0)
            return rc;
        more = pump(r);
        if (r->alone && stream_is_done(&r->out) && stream_is_done(&r->err))
            return 0;
        rc = endpoint_wait(r->epoll_fd, more ? 0 : r->ended ? REAP_MS : -1, err);
        if (rc < 0)
            return rc;
    }
}

int relay_run(struct control *control, struct ports *ports, struct program *program,
              struct port_message *ret_exited, mvm_error **err)
{
    mvm_autofree struct relay *memory = malloc(
        sizeof(*memory)); /* three buffers: too much for the stack */
    int rc;

    if (!memory)
        return mvm_fail_nomem(err);
    relay_init(memory, control, ports, program);
    rc = relay_watch(memory, err);
    if (rc == 0)
        rc = relay_loop(memory, err);
    if (rc == 0)
        *ret_exited = (struct port_message){
            .type = PORT_EXITED,
            .number = (uint32_t) memory->status,
            .stdout_total = memory->out.delivered,
            .stderr_total = memory->err.delivered,
        };
    relay_deinit(memory);
    return rc;
}
