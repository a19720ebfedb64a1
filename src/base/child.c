/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between clone() and execve() the child shares nothing with us but copied memory, and another
 * thread of ours may have held any lock at that instant: only async-signal-safe calls are made
 * there.
 */
#include "base/child.h"

#include "base/clock.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct child_start {
    const struct child_spec *spec;
    int error_fd; /* write end of the pipe that carries a failed exec's errno */
    int fds_end;  /* above all numbers that are dealt out: copies are parked there meanwhile */
    pid_t parent;
};

static int start_fds(struct child_start *start)
{
    const struct child_spec *spec = start->spec;
    int parked[CHILD_FDS_MAX], error_fd, null_fd;

    if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return errno;
    error_fd = fcntl(start->error_fd, F_DUPFD_CLOEXEC, start->fds_end);
    if (error_fd < 0)
        return errno;
    start->error_fd = error_fd;
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    null_fd = null_fd < 0 ? null_fd : fcntl(null_fd, F_DUPFD_CLOEXEC, start->fds_end);
    if (null_fd < 0)
        return errno;
    for (size_t i = 0; i < spec->n_fds; i++) {
        parked[i] = fcntl(spec->fds[i].from, F_DUPFD_CLOEXEC, start->fds_end);
        if (parked[i] < 0)
            return errno;
    }
    for (int fd = 0; fd < 3; fd++)
        if (dup2(null_fd, fd) < 0)
            return errno;
    for (size_t i = 0; i < spec->n_fds; i++)
        if (dup2(parked[i], spec->fds[i].to) < 0)
            return errno;
    return 0;
}

static int start_signals(void)
{
    /* The kernel's struct sigaction, whose parts are all 0 for SIG_DFL. libc's own function refuses
     * the two signals that it keeps for itself, which may be ignored here all the same. */
    static const uint64_t normal[8] = { 0 };
    sigset_t none;

    for (int n = 1; n < NSIG; n++)
        (void) syscall(SYS_rt_sigaction, n, normal, NULL, (NSIG - 1) / 8); /* EINVAL for two */
    (void) sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? errno : 0;
}

static int start_attributes(const struct child_start *start)
{
    const struct child_spec *spec = start->spec;

    if (spec->new_session && setsid() < 0)
        return errno;
    if (spec->death_signal) {
        if (prctl(PR_SET_PDEATHSIG, spec->death_signal) < 0)
            return errno;
        /* The parent may have died before the request stood. */
        if (getppid() != start->parent)
            return ESRCH;
    }
    if (spec->cwd_fd > 0 && fchdir(spec->cwd_fd) < 0)
        return errno;
    return 0;
}

static _Noreturn void child_start(struct child_start *start)
{
    const struct child_spec *spec = start->spec;
    char *const *envp = spec->envp ? spec->envp : environ;
    int e;

    e = start_attributes(start);
    if (e == 0)
        e = start_fds(start);
    if (e == 0)
        e = start_signals();
    if (e == 0 && spec->prepare)
        e = spec->prepare(spec->prepare_user);
    if (e == 0) {
        if (spec->path)
            (void) execve(spec->path, spec->argv, envp);
        else
            (void) execvpe(spec->argv[0], spec->argv, envp);
        e = errno;
    }
    if (write(start->error_fd, &e, sizeof(e)) < 0)
        _exit(126);
    _exit(127);
}

/* fork() with a pidfd. Not clone3(): container engines answer it with ENOSYS, since their filters
 * cannot look into its struct. */
static pid_t clone_child(int *pidfd)
{
    return (pid_t) syscall(SYS_clone, (unsigned long) (CLONE_PIDFD | SIGCHLD), NULL, pidfd, NULL,
                           NULL);
}

static int spec_check(const struct child_spec *spec, const char *name, int *ret_fds_end,
                      mvm_error **err)
{
    int end = STDERR_FILENO + 1;

    if (spec->n_fds > CHILD_FDS_MAX)
        return mvm_fail(err, MVM_E_ARG, 0, "more than %d descriptors for '%s'", CHILD_FDS_MAX,
                        name);
    for (size_t i = 0; i < spec->n_fds; i++) {
        if (spec->fds[i].to < 0 || spec->fds[i].to >= CHILD_FDS_MAX)
            return mvm_fail(err, MVM_E_ARG, 0, "descriptor number %d for '%s' is not 0 to %d",
                            spec->fds[i].to, name, CHILD_FDS_MAX - 1);
        if (spec->fds[i].to >= end)
            end = spec->fds[i].to + 1;
    }
    *ret_fds_end = end;
    return 0;
}

/* Starts the child with all signals blocked: no handler of the caller's may run in it before they
 * are reset. */
static int clone_start(struct child_start *start, struct child *ret, const char *name,
                       mvm_error **err)
{
    sigset_t all, old;
    int pidfd = -EBADF, e;
    pid_t pid;

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_SETMASK, &all, &old);
    pid = clone_child(&pidfd);
    if (pid == 0)
        child_start(start);
    e = errno;
    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (pid < 0)
        return mvm_fail(err, MVM_E_SYS, e, "start '%s'", name);
    *ret = (struct child){ .pid = pid, .pidfd = pidfd };
    return 0;
}

/* 0 when the exec succeeded, else the errno that stopped it. */
static int start_result(int fd)
{
    int e = 0;
    ssize_t n;

    do
        n = read(fd, &e, sizeof(e));
    while (n < 0 && errno == EINTR);
    return n == sizeof(e) ? e : 0;
}

int child_spawn(const struct child_spec *spec, struct child *ret, mvm_error **err)
{
    mvm_autovalue(child) c = CHILD_NONE;
    mvm_autoclose int read_fd = -EBADF;
    mvm_autoclose int write_fd = -EBADF;
    const char *name = spec->path ? spec->path : spec->argv[0];
    struct child_start start = { .spec = spec, .parent = getpid() };
    int fds[2], e, r;

    r = spec_check(spec, name, &start.fds_end, err);
    if (r < 0)
        return r;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a pipe");
    read_fd = fds[0];
    write_fd = fds[1];
    start.error_fd = write_fd;
    r = clone_start(&start, &c, name, err);
    if (r < 0)
        return r;
    (void) close(steal_fd(&write_fd));
    e = start_result(read_fd);
    if (e)
        return mvm_fail(err, e == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, e, "start '%s'", name);
    *ret = c;
    c = (struct child) CHILD_NONE;
    return 0;
}

/* 1 when it has ended, 0 on the time limit. */
static int wait_for_end(int pidfd, int timeout_ms, mvm_error **err)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    uint64_t start = clock_now_ms();
    int n, left = timeout_ms;

    while ((n = poll(&p, 1, left)) < 0 && errno == EINTR) {
        uint64_t gone = clock_now_ms() - start;

        if (timeout_ms >= 0) /* a stream of signals does not move the limit */
            left = gone >= (uint64_t) timeout_ms ? 0 : timeout_ms - (int) gone;
    }
    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "wait for a process");
    return n;
}

int child_wait(struct child *c, int timeout_ms, struct child_status *ret, mvm_error **err)
{
    siginfo_t info = { .si_pid = 0 };
    int r;

    if (c->pidfd < 0)
        return mvm_fail(err, MVM_E_STATE, 0, "no process to wait for");
    r = wait_for_end(c->pidfd, timeout_ms, err);
    if (r < 0)
        return r;
    if (r == 0)
        return mvm_fail(err, MVM_E_TIMEOUT, 0, "process %d still runs after %d ms", (int) c->pid,
                        timeout_ms);
    while (waitid(P_PIDFD, (id_t) c->pidfd, &info, WEXITED) < 0)
        if (errno != EINTR)
            return mvm_fail(err, MVM_E_SYS, errno, "wait for process %d", (int) c->pid);
    ret->exited = info.si_code == CLD_EXITED;
    ret->code = info.si_status;
    (void) close(c->pidfd);
    *c = (struct child) CHILD_NONE;
    return 0;
}

int child_kill(const struct child *c, int signal_number, mvm_error **err)
{
    if (c->pidfd < 0)
        return 0;
    if (syscall(SYS_pidfd_send_signal, c->pidfd, signal_number, NULL, 0) < 0 && errno != ESRCH)
        return mvm_fail(err, MVM_E_SYS, errno, "send signal %d to process %d", signal_number,
                        (int) c->pid);
    return 0;
}

void child_deinit(struct child *c)
{
    struct child_status status;
    int saved = errno;

    if (c->pidfd >= 0) {
        (void) child_kill(c, SIGKILL, NULL); /* our own child: only an ended one can refuse */
        /* It fails where SIGCHLD is ignored, or the program reaps what is not its own. */
        if (child_wait(c, -1, &status, NULL) < 0)
            (void) close(c->pidfd);
    }
    *c = (struct child) CHILD_NONE;
    errno = saved;
}
