/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of a VM, as seen here:
 *
 *   booting   the machine runs. The request to start the program waits for the guest's agent; the
 *             boot time limit runs
 *   running   the agent said that the program was started; the program's time limit runs, if there
 *             is one
 *   ended     the agent told the status, and all output is written: the machine is killed, since
 *             the guest has synced and has nothing left to do
 *
 * Two deadlines run side by side once the program runs: that of its time limit, and that of a stop
 * which the caller asked for. Whichever passes first ends the machine; the status tells of the time
 * limit when that struck before any stop was asked for.
 *
 * Any other way out (the machine ends by itself, the caller goes away or asks for the end, a time
 * limit, a broken protocol) goes from where it is straight to ended, with the first reason kept.
 */
#include "runner/supervise-internal.h"

#include "runner/state.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

void supervise_finish(struct supervisor *s, enum control_type type, int number, const char *fmt,
                      ...)
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

void supervise_tell(struct supervisor *s, const struct control_message *m)
{
    mvm_autoerror mvm_error *err = NULL;

    control_server_tell(s->control, m);
    if (!s->caller_gone && control_send(RUNNER_FD_CONTROL, m, &err) < 0)
        log_warning(s->log, "runner", "%s", mvm_error_message(err));
}

/* Neither the agent nor the machine is there any more. */
static void guest_is_gone(struct supervisor *s)
{
    uint32_t status;
    char line[512];

    if (exec_client_has_exited(s->program, &status))
        return; /* it did all that it had to; a slow reader still gets the rest of the output */

    console_drain(s->console);
    console_last_line(s->config->console_log_path, line, sizeof(line));
    if (!s->machine_status.exited)
        supervise_finish(s, CONTROL_FAILED, MVM_E_CHILD, "the machine was ended by signal %d",
                         s->machine_status.code);
    else
        supervise_finish(
            s, CONTROL_FAILED, MVM_E_GUEST, "the guest stopped before the program %s%s%s",
            s->running ? "ended" : "was started", line[0] ? "; last on its console: " : "", line);
}

void supervise_on_machine(struct supervisor *s)
{
    log_info(s->log, "runner", "the machine ended with %s %d",
             s->machine_status.exited ? "status" : "signal", s->machine_status.code);
    s->machine_gone = true;
    /* What it sent last is still on its way through the device's process. */
    if (s->agent_gone)
        guest_is_gone(s);
}

void supervise_on_agent_closed(void *user, const mvm_error *err)
{
    struct supervisor *s = user;
    uint32_t status;

    log_info(s->log, "runner", "the guest's agent is gone: %s", mvm_error_message(err));
    s->agent_gone = true;
    if (s->machine_gone)
        guest_is_gone(s);
    else if (!exec_client_has_exited(s->program,
                                     &status)) /* a guest that closes it is about to end; one that
                                                  goes on without is of no use */
        loop_set_timer(s->limit_timer, SUPERVISE_GRACE_MS);
}

static void send_signal(struct supervisor *s, int number)
{
    mvm_autoerror mvm_error *err = NULL;

    if (exec_client_signal(s->program, number, &err) < 0)
        log_warning(s->log, "runner", "signal %d was dropped: %s", number, mvm_error_message(err));
}

/* The program had its time and does not end. */
static void end_unheeded(struct supervisor *s)
{
    uint32_t status = 128 + SIGKILL;

    (void) exec_client_has_exited(s->program, &status); /* or its output is what does not end */
    supervise_finish(s, CONTROL_ENDED, s->timed_out ? SUPERVISE_STATUS_TIMEOUT : (int) status, "%s",
                     s->timed_out ? "the time limit was reached" : "");
}

static void watch_output(struct supervisor *s)
{
    s->written = exec_client_delivered(s->program);
    loop_set_timer(s->stop_timer, SUPERVISE_STALL_MS);
}

void supervise_on_stop_timer(void *user)
{
    struct supervisor *s = user;
    uint64_t written = exec_client_delivered(s->program);
    uint32_t status = 128 + (uint32_t) s->told_to_end;

    (void) exec_client_has_exited(s->program, &status); /* else the signal is all that is known */
    if (s->stopping)
        end_unheeded(s);
    else if (written == s->written && written < exec_client_received(s->program))
        supervise_finish(s, CONTROL_ENDED, (int) status, "%s", "");
    else
        watch_output(s);
}

static void end_unstarted(struct supervisor *s)
{
    char line[512];

    console_last_line(s->config->console_log_path, line, sizeof(line));
    supervise_finish(s, CONTROL_FAILED, MVM_E_TIMEOUT,
                     "the guest did not start the program within %d s%s%s",
                     SUPERVISE_BOOT_MS / 1000, line[0] ? "; last on its console: " : "", line);
}

void supervise_on_limit_timer(void *user)
{
    struct supervisor *s = user;

    if (s->agent_gone) {
        supervise_finish(s, CONTROL_FAILED, MVM_E_GUEST,
                         "the guest's agent broke off, and the guest went on without it");
    } else if (!s->running) {
        end_unstarted(s);
    } else if (!s->limit_passed) {
        s->limit_passed = true;
        s->timed_out = !s->stopping;
        send_signal(s, SIGTERM);
        loop_set_timer(s->limit_timer, SUPERVISE_GRACE_MS);
    } else {
        end_unheeded(s);
    }
}

void supervise_on_started(void *user, uint32_t pid)
{
    const struct control_message m = { .type = CONTROL_STARTED };
    struct supervisor *s = user;

    (void) pid;
    if (s->running)
        return;
    s->running = true;
    log_info(s->log, "step", "program started");
    loop_set_timer(s->limit_timer, s->config->timeout_ms ? (int64_t) s->config->timeout_ms : -1);
    supervise_tell(s, &m);
}

void supervise_on_program(void *user, int r, uint32_t status, uint32_t signal_number,
                          const mvm_error *err)
{
    struct supervisor *s = user;

    (void) signal_number; /* the status has it */
    log_info(s->log, "step", "program ended");
    if (r == 0)
        supervise_finish(s, CONTROL_ENDED, s->timed_out ? SUPERVISE_STATUS_TIMEOUT : (int) status,
                         "%s", s->timed_out ? "the time limit was reached" : "");
    else if (r == MVM_E_NOT_FOUND || r == MVM_E_CHILD)
        supervise_finish(s, CONTROL_ENDED, r == MVM_E_NOT_FOUND ? 127 : 126, "%s",
                         mvm_error_message(err));
    else if (r != MVM_E_NET) /* then the connection ends next, and maybe the machine */
        supervise_finish(s, CONTROL_ENDED, 125, "%s", mvm_error_message(err));
}

static void on_signal_wish(struct supervisor *s, int number)
{
    bool ends = number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT ||
                number == SIGKILL;
    uint32_t status;

    if (number < 1 || number > 64)
        return;
    if (ends && s->running && !s->told_to_end && !s->stopping) {
        s->told_to_end = number;
        watch_output(s);
    }
    if (s->running && !exec_client_has_exited(s->program, &status))
        send_signal(s, number);
    else if (ends)
        supervise_finish(s, CONTROL_ENDED, 128 + number, "%s", "");
}

static void on_stop_wish(struct supervisor *s, int grace_ms)
{
    s->at_once = s->at_once || grace_ms <= 0;
    if (!s->running || grace_ms <= 0) {
        supervise_finish(s, CONTROL_ENDED, 128 + (grace_ms <= 0 ? SIGKILL : SIGTERM), "%s", "");
        return;
    }
    s->stopping = true;
    send_signal(s, SIGTERM);
    loop_set_timer(s->stop_timer, grace_ms);
}

void supervise_on_wish(void *user, const struct control_message *m)
{
    struct supervisor *s = user;

    if (m->type == CONTROL_SIGNAL)
        on_signal_wish(s, m->number);
    else if (m->type == CONTROL_STOP)
        on_stop_wish(s, m->number);
    else if (m->type == CONTROL_RESIZE && s->running)
        (void) exec_client_resize(s->program, m->rows, m->cols, NULL); /* or it has just ended */
}

static int run(struct supervisor *s, mvm_error **err)
{
    struct control_message notice = { .type = CONTROL_NOTICE };
    mvm_autovalue(strbuf) text = STRBUF_INIT(sizeof(notice.text) - 1);
    int r;

    r = supervise_connect_callers(s, err);
    if (r == 0)
        r = start_machine(s->config, s->dir_fd, s->log, &text, &s->started, err);
    if (r < 0)
        return r;
    log_info(s->log, "step", "machine started");
    if (text.len > 0) {
        memcpy(notice.text, text.data, text.len + 1);
        supervise_tell(s, &notice);
    }
    r = supervise_connect_guest(s, err);
    return r < 0 ? r : loop_run(s->loop, err);
}

static void supervisor_free(struct supervisor *s)
{
    exec_client_free(s->program);
    agent_client_free(s->agent);
    console_drain(s->console);
    console_free(s->console);
    console_drain(s->output);
    console_free(s->output);
    control_server_free(s->control);
    listener_deinit(&s->control_listener);
    started_deinit(&s->started);
    if (s->signal_fd >= 0)
        (void) close(s->signal_fd);
    if (s->dir_fd >= 0)
        (void) close(s->dir_fd);
    loop_free(s->loop);
    free(s);
}
MVM_DEFINE_AUTO(supervisor, supervisor_free)

/* What stays of the VM in its folder. True when that is nothing, and nobody else is there to remove
 * it: a caller who stays until the end does so himself. */
static bool settle(struct supervisor *s)
{
    mvm_autoerror mvm_error *err = NULL;
    bool without = s->result.type == CONTROL_FAILED ||
                   (s->result.number == 125 && s->result.text[0]);
    bool ours = s->caller_gone || s->config->detached;

    /* The machine is gone, and with it who could read the disk. */
    if (s->config->upper_path)
        (void) unlink(s->config->upper_path); /* else whoever clears the folder has it */

    if (ours && (s->config->remove_at_end || (s->config->detached && !s->running)))
        return true;
    if (vm_state_end(s->dir_fd, without ? -1 : s->result.number, s->result.text, &err) < 0)
        log_warning(s->log, "runner", "%s", mvm_error_message(err));
    return false;
}

/* Nobody attaches any more: who finds no socket waits for the lock, and reads the state. What the
 * guest sent last goes on to the host's programs, and what a detached program's output has come to
 * its log: all of it, where the program has ended by itself. */
static void end_processes(struct supervisor *s)
{
    struct child_status status;

    control_server_close(s->control);
    listener_deinit(&s->control_listener);
    child_deinit(&s->started.machine);
    if (s->started.vsock.child.pid != 0 && !s->at_once)
        (void) child_wait(&s->started.vsock.child, SUPERVISE_FLUSH_MS, &status,
                          NULL); /* one that takes longer is killed */
    child_deinit(&s->started.vsock.child);
    console_finish(s->output);
}

bool supervise(const struct runner_config *config, const struct log *log)
{
    mvm_auto(supervisor) s = calloc(1, sizeof(*s));
    mvm_autoerror mvm_error *err = NULL;
    bool remove;
    int r;

    if (!s) {
        log_error(log, "runner", "out of memory");
        return false; /* the caller sees the runner end without a word, and tidies up */
    }
    s->config = config;
    s->log = log;
    s->started = (struct started) STARTED_NONE;
    s->control_listener = (struct listener) LISTENER_NONE;
    s->signal_fd = s->dir_fd = -EBADF;
    r = run(s, &err);
    end_processes(s);
    if (r < 0) {
        s->finished = false;
        supervise_finish(s, CONTROL_FAILED, r, "%s", mvm_error_message(err));
    }
    log_info(log, "step", "machine ended");
    log_info(log, "runner", "%s %d: %s", s->result.type == CONTROL_ENDED ? "status" : "failed",
             s->result.number, s->result.text);
    remove = settle(s);
    supervise_tell(s, &s->result);
    return remove;
}
