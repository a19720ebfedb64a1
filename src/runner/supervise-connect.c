/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/supervise-internal.h"

#include "base/path.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

/* Where the output of a detached VM's program goes. */
#define OUTPUT_LOG "output.log"

static void on_machine(void *user, uint32_t events)
{
    struct supervisor *s = user;
    mvm_autoerror mvm_error *err = NULL;

    (void) events;
    loop_remove(s->machine_source);
    s->machine_source = NULL;
    if (child_wait(&s->started.machine, -1, &s->machine_status, &err) < 0)
        log_error(s->log, "runner", "%s", mvm_error_message(err));
    supervise_on_machine(s);
}

/* It ends by itself when the machine has, whose end is then told of as well. */
static void on_vsock(void *user, uint32_t events)
{
    struct supervisor *s = user;
    struct child_status status = { .exited = false };

    (void) events;
    loop_remove(s->vsock_source);
    s->vsock_source = NULL;
    (void) child_wait(&s->started.vsock.child, -1, &status, NULL); /* what it was is logged */
    log_info(s->log, "runner", "the vsock device ended with %s %d",
             status.exited ? "status" : "signal", status.code);
    if (!status.exited || status.code != 0)
        supervise_finish(s, CONTROL_FAILED, MVM_E_CHILD, "the vsock device ended with %s %d",
                         status.exited ? "status" : "signal", status.code);
}

static void on_control(void *user, uint32_t events)
{
    struct supervisor *s = user;
    mvm_autoerror mvm_error *err = NULL;
    struct control_message m;
    int r;

    (void) events;
    while ((r = control_receive(RUNNER_FD_CONTROL, &m, &err)) == 1)
        if (m.type == CONTROL_DETACH)
            s->released = s->config->detached;
        else
            supervise_on_wish(s, &m);
    if (r == 0)
        return;
    log_info(s->log, "runner", "the caller is gone: %s", mvm_error_message(err));
    s->caller_gone = true;
    loop_remove(s->control_source);
    s->control_source = NULL;
    /* One who was killed before he let go has not told anybody of the VM. */
    if (!s->released)
        supervise_finish(s, CONTROL_ENDED, 128 + SIGHUP, "%s", "");
}

static void on_own_signal(void *user, uint32_t events)
{
    struct supervisor *s = user;
    struct signalfd_siginfo info;

    (void) events;
    if (read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
        supervise_finish(s, CONTROL_ENDED, 128 + (int) info.ssi_signo, "the runner got signal %u",
                         info.ssi_signo);
}

static int listen_to_signals(struct supervisor *s, mvm_error **err)
{
    sigset_t set;

    (void) sigemptyset(&set);
    (void) sigaddset(&set, SIGTERM);
    (void) sigaddset(&set, SIGINT);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signal_fd < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "listen to signals");
    return loop_add_fd(s->loop, s->signal_fd, EPOLLIN, on_own_signal, s, &s->signal_source, err);
}

static int listen_to_control(struct supervisor *s, mvm_error **err)
{
    char path[64];
    int r;

    s->dir_fd = open(s->config->vm_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir_fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s'", s->config->vm_dir);
    /* Through the descriptor, since the folder's own path may be longer than an address takes. */
    (void) snprintf(path, sizeof(path), "/proc/self/fd/%d/" CONTROL_SOCKET, s->dir_fd); /* fits */
    r = listener_open(path, SOCK_SEQPACKET, &s->control_listener, err);
    if (r == 0)
        r = control_server_new(s->loop, s->control_listener.fd, supervise_on_wish, s, &s->control,
                               err);
    return r;
}

int supervise_connect_callers(struct supervisor *s, mvm_error **err)
{
    int r = loop_new(&s->loop, err);

    if (r == 0)
        r = listen_to_signals(s, err);
    if (r == 0)
        r = loop_add_fd(s->loop, RUNNER_FD_CONTROL, EPOLLIN, on_control, s, &s->control_source,
                        err);
    if (r == 0)
        r = listen_to_control(s, err);
    return r;
}

/* One socket for both outputs, in the order of their writing. */
static int open_output_log(struct supervisor *s, int fds[3], mvm_error **err)
{
    mvm_autofree char *path = path_join(s->config->vm_dir, OUTPUT_LOG);
    int ends[2], r;

    if (!path)
        return mvm_fail_nomem(err);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a socket pair");
    fds[1] = ends[1];
    fds[2] = fcntl(ends[1], F_DUPFD_CLOEXEC, 0);
    r = console_new(s->loop, ends[0], path, s->log, &s->output, err);
    if (r == 0 && fds[2] < 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "duplicate a socket");
    return r;
}

static void close_all(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0)
            (void) close(steal_fd(&fds[i]));
}

/* The VM's main program is the one that the guest's own config names. */
static int start_program(struct supervisor *s, mvm_error **err)
{
    static const struct exec_client_handler handler = { .started = supervise_on_started,
                                                        .ended = supervise_on_program };
    const struct agent_start start = { .tty = s->config->tty,
                                       .rows = (uint16_t) s->config->rows,
                                       .cols = (uint16_t) s->config->cols };
    struct exec_client_spec spec = {
        .start = &start, .fds = { -EBADF, -EBADF, -EBADF }, .handler = &handler, .user = s
    };

    if (s->config->detached) {
        int r = open_output_log(s, spec.fds, err);

        if (r < 0) {
            close_all(spec.fds, ARRAY_SIZE(spec.fds));
            return r;
        }
    } else {
        spec.fds[0] = s->config->stdin_open ? RUNNER_FD_STDIN : -EBADF;
        spec.fds[1] = RUNNER_FD_STDOUT;
        spec.fds[2] = RUNNER_FD_STDERR;
    }
    return exec_client_new(s->agent, &spec, &s->program, err);
}

int supervise_connect_guest(struct supervisor *s, mvm_error **err)
{
    struct started *started = &s->started;
    int r;

    r = console_new(s->loop, steal_fd(&started->console_fd), s->config->console_log_path, s->log,
                    &s->console, err);
    if (r == 0)
        r = loop_add_fd(s->loop, started->machine.pidfd, EPOLLIN, on_machine, s, &s->machine_source,
                        err);
    if (r == 0)
        r = loop_add_fd(s->loop, started->vsock.child.pidfd, EPOLLIN, on_vsock, s, &s->vsock_source,
                        err);
    if (r == 0)
        r = loop_add_timer(s->loop, SUPERVISE_BOOT_MS, supervise_on_limit_timer, s, &s->limit_timer,
                           err);
    if (r == 0)
        r = loop_add_timer(s->loop, -1, supervise_on_stop_timer, s, &s->stop_timer, err);
    if (r == 0)
        r = agent_client_new(s->loop, steal_fd(&started->vsock.agent_fd), supervise_on_agent_closed,
                             s, &s->agent, err);
    return r < 0 ? r : start_program(s, err);
}
