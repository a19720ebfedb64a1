/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include "environment.h"
#include "program-io.h"

#include "base/io.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* What the child was doing when it failed; comes back through a pipe that a successful exec closes.
 */
enum stage {
    STAGE_SESSION,
    STAGE_STREAMS,
    STAGE_LIMITS,
    STAGE_WORKDIR,
    STAGE_USER,
    STAGE_EXEC
};

struct child_failure {
    enum stage stage;
    int errnum;
};

void program_deinit(struct program *p)
{
    int *const fds[] = { &p->in_fd, &p->out_fd, &p->err_fd, &p->terminal_fd };

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        if (*fds[i] >= 0)
            (void) close(steal_fd(fds[i]));
}

/* False with errno set, like the other steps of the child. */
static bool enter_session(const struct program_spec *spec, const struct program_io *io)
{
    sigset_t none;

    (void) sigemptyset(&none); /* cannot fail */
    if (setsid() < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        return false;
    return !spec->tty || ioctl(io->child[0], TIOCSCTTY, 0) == 0;
}

static bool take_streams(const struct program_spec *spec, const struct program_io *io)
{
    for (int i = 0; i < 3; i++)
        if (dup2(io->child[spec->tty ? 0 : i], i) < 0)
            return false;
    return true;
}

static bool set_limits(void)
{
    const struct rlimit files = { .rlim_cur = PROGRAM_FILES_SOFT, .rlim_max = PROGRAM_FILES_HARD };

    (void) umask(022); /* cannot fail */
    return setrlimit(RLIMIT_NOFILE, &files) == 0;
}

/* Relative to "/", with parents, for root and readable to all. The path is the caller's own copy.
 */
static bool enter_workdir(char *path)
{
    if (chdir("/") < 0)
        return false;
    for (char *slash = path; slash;) {
        slash = strchr(slash + 1, '/');
        if (slash)
            *slash = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return false;
        if (slash)
            *slash = '/';
    }
    return chdir(path) == 0;
}

static bool become_user(const struct user *user)
{
    return setgroups(user->n_groups, user->groups) == 0 &&
           setresgid(user->gid, user->gid, user->gid) == 0 &&
           setresuid(user->uid, user->uid, user->uid) == 0;
}

/* As execvp(3), with the PATH of the new environment. Gives errno. */
static int execute(const struct program_spec *spec)
{
    const char *path = environment_get(spec->env, "PATH"), *name = spec->argv->items[0];
    char file[PATH_MAX];
    int result = ENOENT;

    while (name[0] != '\0' && environment_next_program(&path, name, file, sizeof(file))) {
        (void) execve(file, spec->argv->items, spec->env->items);
        if (errno == EACCES)
            result = EACCES; /* a later folder may have one that may be executed */
        else if (errno != ENOENT && errno != ENOTDIR)
            return errno;
    }
    return result;
}

__attribute__((noreturn)) static void run_child(const struct program_spec *spec,
                                                const struct program_io *io, char *workdir,
                                                int report_fd)
{
    struct child_failure failure = { .stage = STAGE_SESSION };

    if (!enter_session(spec, io)) {
        failure.errnum = errno;
    } else if (!take_streams(spec, io)) {
        failure = (struct child_failure){ .stage = STAGE_STREAMS, .errnum = errno };
    } else if (!set_limits()) {
        failure = (struct child_failure){ .stage = STAGE_LIMITS, .errnum = errno };
    } else if (!enter_workdir(workdir)) {
        failure = (struct child_failure){ .stage = STAGE_WORKDIR, .errnum = errno };
    } else if (!become_user(spec->user)) {
        failure = (struct child_failure){ .stage = STAGE_USER, .errnum = errno };
    } else {
        failure = (struct child_failure){ .stage = STAGE_EXEC, .errnum = execute(spec) };
    }
    /* When even this fails, the parent sees a child that ended without having said anything. */
    _exit(write(report_fd, &failure, sizeof(failure)) == sizeof(failure) ? 1 : 2);
}

static int fail_as_child(const struct child_failure *f, const struct program_spec *spec,
                         mvm_error **err)
{
    int code = f->errnum == ENOENT || f->errnum == ENOTDIR ? MVM_E_NOT_FOUND : MVM_E_CHILD;

    switch (f->stage) {
    case STAGE_SESSION:
        return mvm_fail(err, MVM_E_SYS, f->errnum, "start a session");
    case STAGE_STREAMS:
        return mvm_fail(err, MVM_E_SYS, f->errnum, "connect the program's streams");
    case STAGE_LIMITS:
        return mvm_fail(err, MVM_E_SYS, f->errnum, "set the program's limits");
    case STAGE_WORKDIR:
        return mvm_fail(err, MVM_E_SYS, f->errnum, "working directory '%s'", spec->workdir);
    case STAGE_USER:
        return mvm_fail(err, MVM_E_SYS, f->errnum, "become uid %u, gid %u", spec->user->uid,
                        spec->user->gid);
    case STAGE_EXEC:
        break;
    }
    return mvm_fail(err, code, f->errnum, "exec '%s'", spec->argv->items[0]);
}

int program_start(const struct program_spec *spec, struct program *ret, mvm_error **err)
{
    mvm_autovalue(program_io) io = PROGRAM_IO_INIT;
    mvm_autofree char *workdir = strdup(spec->workdir[0] ? spec->workdir : "/");
    mvm_autoclose int report_read = -EBADF;
    mvm_autoclose int report_write = -EBADF;
    struct child_failure failure;
    int ends[2];
    ssize_t n;
    int r;

    if (!workdir)
        return mvm_fail_nomem(err);
    r = program_io_open(&io, spec, err);
    if (r < 0)
        return r;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a pipe");
    report_read = ends[0];
    report_write = ends[1];
    io.ours.pid = fork();
    if (io.ours.pid < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "fork");
    if (io.ours.pid == 0)
        run_child(spec, &io, workdir, report_write);

    (void) close(steal_fd(&report_write));
    n = io_read_full(report_read, &failure, sizeof(failure), err);
    if (n < 0)
        return (int) n;
    if (n == sizeof(failure))
        return fail_as_child(&failure, spec, err);
    *ret = io.ours;
    io.ours = (struct program) PROGRAM_NONE;
    return 0;
}
