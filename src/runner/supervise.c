/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of a VM, as seen here:
 *
 *   booting   the machine runs, the guest has said nothing; the boot time limit runs
 *   running   PORT_STARTED came; the program's time limit runs, if there is one
 *   draining  PORT_EXITED came with the streams' totals; what is still under way is passed on
 *   ended     every stream has its total: the machine is killed, since the guest has synced and has
 * nothing left to do
 *
 * Two deadlines run side by side once the program runs: that of its time limit, and that of a stop
 * which the caller asked for. Whichever passes first ends the machine; the status tells of the time
 * limit when that struck before any stop was asked for.
 *
 * Any other way out (the machine ends by itself, the caller goes away or asks for the end, a time
 * limit, a broken protocol) goes from where it is straight to ended, with the first reason kept.
 */
#include "runner/supervise.h"

#include "base/loop.h"
#include "runner/console.h"
#include "runner/guest-port.h"
#include "runner/relay.h"
#include "runner/start.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

struct supervisor {
    const struct runner_config *config;
    const struct log *log;
    struct loop *loop;
    struct child machine;
    int signal_fd;
    struct loop_source *machine_source, *control_source, *signal_source;
    struct loop_source *limit_timer; /* of the boot, then of the program, then of its grace */
    struct loop_source *stop_timer;  /* the grace of a stop, or of output that nobody takes */
    struct guest_port *port;
    struct console *console;
    struct relay *input;      /* NULL without -i */
    struct relay *outputs[2]; /* stdout, stderr */
    bool running, exited, stopping, timed_out;
    bool limit_passed; /* the grace after it runs */
    bool port_gone, machine_gone, caller_gone, finished;
    int told_to_end;  /* the first signal that asked for that; 0: none */
    uint64_t written; /* output, when the stop timer last passed */
    struct child_status machine_status;
    struct control_message result;
};

static void __attribute__((format(printf, 4, 5)))
finish(struct supervisor *s, enum control_type type, int number, const char *fmt, ...)
{
    char raw[CONTROL_TEXT_MAX];
    va_list ap;

    if (s->loop)
        loop_stop(s->loop);
    if (s->finished)
        return;
    s->finished = true;
    s->result.type = type;
    s->result.number = number;
    va_start(ap, fmt);
    if (vsnprintf(raw, sizeof(raw), fmt, ap) < 0)
        raw[0] = '\0';
    va_end(ap);
    /* What a guest says need not be UTF-8, which the control message must be. */
    log_escape(raw, s->result.text, sizeof(s->result.text));
}

static void tell_caller(struct supervisor *s, const struct control_message *m)
{
    mvm_autoerror mvm_error *err = NULL;

    if (!s->caller_gone && control_send(RUNNER_FD_CONTROL, m, &err) < 0)
        log_warning(s->log, "runner", "%s", mvm_error_message(err));
}

static void machine_ended_early(struct supervisor *s)
{
    char line[512];

    console_drain(s->console);
    console_last_line(s->config->console_log_path, line, sizeof(line));
    if (!s->machine_status.exited)
        finish(s, CONTROL_FAILED, MVM_E_CHILD, "the machine was ended by signal %d",
               s->machine_status.code);
    else
        finish(s, CONTROL_FAILED, MVM_E_GUEST, "the guest stopped before the program %s%s%s",
               s->running ? "ended" : "was started", line[0] ? "; last on its console: " : "",
               line);
}

/* Looks whether all has come that will come. */
static void check_complete(struct supervisor *s)
{
    if (!relay_is_done(s->outputs[0]) || !relay_is_done(s->outputs[1]))
        return;
    if (s->exited)
        finish(s, CONTROL_ENDED, s->timed_out ? SUPERVISE_STATUS_TIMEOUT : s->result.number, "%s",
               s->timed_out ? "the time limit was reached" : "");
    else if (s->machine_gone && s->port_gone)
        machine_ended_early(s);
}

static void send_signal(struct supervisor *s, int number)
{
    const struct port_message m = { .type = PORT_SIGNAL, .number = (uint32_t) number };

    if (!guest_port_send(s->port, &m))
        log_warning(s->log, "runner", "signal %d was dropped: the guest does not read", number);
}

/* The program had its time and does not end. */
static void end_unheeded(struct supervisor *s)
{
    int status = s->exited ? s->result.number : 128 + SIGKILL;

    finish(s, CONTROL_ENDED, s->timed_out ? SUPERVISE_STATUS_TIMEOUT : status, "%s",
           s->timed_out ? "the time limit was reached" : "");
}

static uint64_t output_written(const struct supervisor *s)
{
    return relay_written(s->outputs[0]) + relay_written(s->outputs[1]);
}

static void watch_output(struct supervisor *s)
{
    s->written = output_written(s);
    loop_set_timer(s->stop_timer, SUPERVISE_STALL_MS);
}

static void on_stop_timer(void *user)
{
    struct supervisor *s = user;
    uint64_t written = output_written(s);

    if (s->stopping)
        end_unheeded(s);
    else if (written == s->written &&
             written < relay_total(s->outputs[0]) + relay_total(s->outputs[1]))
        finish(s, CONTROL_ENDED, s->exited ? s->result.number : 128 + s->told_to_end, "%s", "");
    else
        watch_output(s);
}

static void on_limit_timer(void *user)
{
    struct supervisor *s = user;

    if (!s->running) {
        char line[512];

        console_last_line(s->config->console_log_path, line, sizeof(line));
        finish(s, CONTROL_FAILED, MVM_E_TIMEOUT,
               "the guest did not start the program within %d s%s%s", SUPERVISE_BOOT_MS / 1000,
               line[0] ? "; last on its console: " : "", line);
    } else if (!s->limit_passed) {
        s->limit_passed = true;
        s->timed_out = !s->stopping;
        send_signal(s, SIGTERM);
        loop_set_timer(s->limit_timer, SUPERVISE_GRACE_MS);
    } else {
        end_unheeded(s);
    }
}

static void on_started(struct supervisor *s)
{
    const struct control_message m = { .type = CONTROL_STARTED };

    if (s->running)
        return;
    s->running = true;
    log_info(s->log, "step", "program started");
    loop_set_timer(s->limit_timer, s->config->timeout_ms ? (int64_t) s->config->timeout_ms : -1);
    tell_caller(s, &m);
}

static void on_exited(struct supervisor *s, const struct port_message *m)
{
    if (m->number > 255) {
        finish(s, CONTROL_FAILED, MVM_E_FORMAT, "the guest reports the impossible exit status %u",
               m->number);
        return;
    }
    if (s->exited)
        return;
    s->exited = true;
    s->running = true;
    s->result.number = (int32_t) m->number;
    log_info(s->log, "step", "program ended");
    relay_set_total(s->outputs[0], m->stdout_total);
    relay_set_total(s->outputs[1], m->stderr_total);
    check_complete(s);
}

static void on_guest_message(void *user, const struct port_message *m)
{
    struct supervisor *s = user;

    if (m->type == PORT_STARTED)
        on_started(s);
    else if (m->type == PORT_EXITED)
        on_exited(s, m);
    else if (m->type == PORT_FAILED && !s->running)
        finish(s, CONTROL_ENDED, m->number >= 125 && m->number <= 127 ? (int) m->number : 125, "%s",
               m->text);
    else
        finish(s, CONTROL_FAILED, MVM_E_FORMAT, "the guest sent message %d out of turn",
               (int) m->type);
}

static void on_guest_end(void *user, const mvm_error *reason)
{
    struct supervisor *s = user;

    s->port_gone = true;
    if (reason)
        finish(s, CONTROL_FAILED, MVM_E_FORMAT, "the guest broke the control protocol: %s",
               mvm_error_message(reason));
    check_complete(s);
}

static void on_input(void *user, struct relay *r, enum relay_event event)
{
    struct supervisor *s = user;
    const struct port_message m = { .type = PORT_STDIN_END, .total = relay_total(r) };

    if (event == RELAY_INPUT_ENDED && !guest_port_send(s->port, &m))
        log_warning(s->log, "runner", "the end of stdin was dropped: the guest does not read");
}

static void on_output(void *user, struct relay *r, enum relay_event event)
{
    struct supervisor *s = user;
    const struct port_message m = { .type = PORT_OUTPUT_CLOSED,
                                    .number = r == s->outputs[0] ? 1 : 2 };

    if (event == RELAY_OUTPUT_BROKEN)
        (void) guest_port_send(s->port, &m); /* a guest that misses it has its bytes dropped here */
    else if (event == RELAY_DONE && s->outputs[0] && s->outputs[1])
        check_complete(s);
}

static void on_machine(void *user, uint32_t events)
{
    struct supervisor *s = user;
    mvm_autoerror mvm_error *err = NULL;

    (void) events;
    loop_remove(s->machine_source);
    s->machine_source = NULL;
    if (child_wait(&s->machine, -1, &s->machine_status, &err) < 0)
        log_error(s->log, "runner", "%s", mvm_error_message(err));
    log_info(s->log, "runner", "the machine ended with %s %d",
             s->machine_status.exited ? "status" : "signal", s->machine_status.code);
    s->machine_gone = true;
    check_complete(s);
}

static void on_signal_wish(struct supervisor *s, int number)
{
    bool ends = number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT ||
                number == SIGKILL;

    if (number < 1 || number > 64)
        return;
    if (ends && s->running && !s->told_to_end && !s->stopping) {
        s->told_to_end = number;
        watch_output(s);
    }
    if (s->running && !s->exited)
        send_signal(s, number);
    else if (ends)
        finish(s, CONTROL_ENDED, 128 + number, "%s", "");
}

static void on_stop_wish(struct supervisor *s, int grace_ms)
{
    if (!s->running || grace_ms <= 0) {
        finish(s, CONTROL_ENDED, 128 + (grace_ms <= 0 ? SIGKILL : SIGTERM), "%s", "");
        return;
    }
    s->stopping = true;
    send_signal(s, SIGTERM);
    loop_set_timer(s->stop_timer, grace_ms);
}

static void on_wish(struct supervisor *s, const struct control_message *m)
{
    const struct port_message resize = { .type = PORT_RESIZE, .rows = m->rows, .cols = m->cols };

    if (m->type == CONTROL_SIGNAL)
        on_signal_wish(s, m->number);
    else if (m->type == CONTROL_RESIZE)
        (void) guest_port_send(s->port, &resize); /* the next resize makes up for a dropped one */
    else if (m->type == CONTROL_STOP)
        on_stop_wish(s, m->number);
}

static void on_control(void *user, uint32_t events)
{
    struct supervisor *s = user;
    mvm_autoerror mvm_error *err = NULL;
    struct control_message m;
    int r;

    (void) events;
    while ((r = control_receive(RUNNER_FD_CONTROL, &m, &err)) == 1)
        on_wish(s, &m);
    if (r == 0)
        return;
    log_info(s->log, "runner", "the caller is gone: %s", mvm_error_message(err));
    s->caller_gone = true;
    loop_remove(s->control_source);
    s->control_source = NULL;
    finish(s, CONTROL_ENDED, 128 + SIGHUP, "%s", "");
}

static void on_own_signal(void *user, uint32_t events)
{
    struct supervisor *s = user;
    struct signalfd_siginfo info;

    (void) events;
    if (read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
        finish(s, CONTROL_ENDED, 128 + (int) info.ssi_signo, "the runner got signal %u",
               info.ssi_signo);
}

static int connect_streams(struct supervisor *s, struct started *started, mvm_error **err)
{
    static const struct {
        enum start_port port;
        int fd;
    } outputs[2] = { { START_PORT_STDOUT, RUNNER_FD_STDOUT },
                     { START_PORT_STDERR, RUNNER_FD_STDERR } };
    struct relay_end in = RELAY_END_NONE, out = RELAY_END_NONE;
    int r = 0;

    for (int i = 0; i < 2 && r == 0; i++) {
        r = relay_end_open(steal_fd(&started->ports[outputs[i].port]), false, &in, err);
        if (r == 0)
            r = relay_end_open(outputs[i].fd, true, &out, err);
        if (r < 0)
            relay_end_close(&in);
        else
            r = relay_new(s->loop, in, out, on_output, s, &s->outputs[i], err);
    }
    if (r < 0 || !s->config->stdin_open)
        return r;
    r = relay_end_open(RUNNER_FD_STDIN, false, &in, err);
    if (r == 0)
        r = relay_end_open(steal_fd(&started->ports[START_PORT_STDIN]), true, &out, err);
    if (r < 0) {
        relay_end_close(&in);
        return r;
    }
    return relay_new(s->loop, in, out, on_input, s, &s->input, err);
}

static int connect_control(struct supervisor *s, struct started *started, mvm_error **err)
{
    int r;

    r = console_new(s->loop, steal_fd(&started->ports[START_PORT_CONSOLE]),
                    s->config->console_log_path, s->log, &s->console, err);
    if (r < 0)
        return r;
    r = guest_port_new(s->loop, steal_fd(&started->ports[START_PORT_CONTROL]), on_guest_message,
                       on_guest_end, s, &s->port, err);
    if (r == 0)
        r = loop_add_fd(s->loop, s->machine.pidfd, EPOLLIN, on_machine, s, &s->machine_source, err);
    if (r == 0)
        r = loop_add_timer(s->loop, SUPERVISE_BOOT_MS, on_limit_timer, s, &s->limit_timer, err);
    if (r == 0)
        r = loop_add_timer(s->loop, -1, on_stop_timer, s, &s->stop_timer, err);
    return r;
}

/* What is listened to before the machine starts, so that a caller who goes away meanwhile is
 * noticed. */
static int connect_caller(struct supervisor *s, mvm_error **err)
{
    sigset_t set;
    int r;

    r = loop_new(&s->loop, err);
    if (r < 0)
        return r;
    (void) sigemptyset(&set);
    (void) sigaddset(&set, SIGTERM);
    (void) sigaddset(&set, SIGINT);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signal_fd < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "listen to signals");
    r = loop_add_fd(s->loop, s->signal_fd, EPOLLIN, on_own_signal, s, &s->signal_source, err);
    if (r == 0)
        r = loop_add_fd(s->loop, RUNNER_FD_CONTROL, EPOLLIN, on_control, s, &s->control_source,
                        err);
    return r;
}

static int run(struct supervisor *s, mvm_error **err)
{
    mvm_autovalue(started) started = { .machine = CHILD_NONE, .ports = START_PORTS_NONE };
    struct control_message notice = { .type = CONTROL_NOTICE };
    mvm_autovalue(strbuf) text = STRBUF_INIT(sizeof(notice.text) - 1);
    int r;

    r = connect_caller(s, err);
    if (r == 0)
        r = start_machine(s->config, s->log, &text, &started, err);
    if (r < 0)
        return r;
    log_info(s->log, "step", "machine started");
    if (text.len > 0) {
        memcpy(notice.text, text.data, text.len + 1);
        tell_caller(s, &notice);
    }
    s->machine = started.machine;
    started.machine = (struct child) CHILD_NONE;
    r = connect_streams(s, &started, err);
    if (r == 0)
        r = connect_control(s, &started, err);
    return r < 0 ? r : loop_run(s->loop, err);
}

static void supervisor_free(struct supervisor *s)
{
    relay_free(s->input);
    relay_free(s->outputs[0]);
    relay_free(s->outputs[1]);
    guest_port_free(s->port);
    console_drain(s->console);
    console_free(s->console);
    if (s->signal_fd >= 0)
        (void) close(s->signal_fd);
    loop_free(s->loop);
    free(s);
}
MVM_DEFINE_AUTO(supervisor, supervisor_free)

bool supervise(const struct runner_config *config, const struct log *log)
{
    mvm_auto(supervisor) s = calloc(1, sizeof(*s));
    mvm_autoerror mvm_error *err = NULL;
    int r;

    if (!s) {
        log_error(log, "runner", "out of memory");
        return false; /* the caller sees the runner end without a word, and tidies up */
    }
    s->config = config;
    s->log = log;
    s->machine = (struct child) CHILD_NONE;
    s->signal_fd = -EBADF;
    r = run(s, &err);
    child_deinit(&s->machine);
    if (r < 0) {
        s->finished = false;
        finish(s, CONTROL_FAILED, r, "%s", mvm_error_message(err));
    }
    log_info(log, "step", "machine ended");
    log_info(log, "runner", "%s %d: %s", s->result.type == CONTROL_ENDED ? "status" : "failed",
             s->result.number, s->result.text);
    tell_caller(s, &s->result);
    return s->caller_gone;
}
