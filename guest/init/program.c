/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include "environment.h"
#include "program-io.h"

#include "base/io.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* How long a program that somebody has open for writing is waited for: longer than any other child
 * takes to execute its own on a busy machine. */
#define BUSY_TRIES 250
#define BUSY_PAUSE_MS 2

/* What the child says when it fails, through a pipe that a successful exec closes; one write, which
 * is atomic (pipe(7), PIPE_BUF). */
struct child_failure {
    int code; /* MVM_E_* */
    int errnum;
    char text[256]; /* may be cut */
};

void program_deinit(struct program *p)
{
    int *const fds[] = { &p->in_fd, &p->out_fd, &p->err_fd, &p->terminal_fd, &p->report_fd };

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
    struct rlimit files = { .rlim_cur = PROGRAM_FILES_SOFT, .rlim_max = PROGRAM_FILES_HARD };
    struct rlimit now;

    (void) umask(022); /* cannot fail */
    if (setrlimit(RLIMIT_NOFILE, &files) == 0)
        return true;
    /* Whoever may not raise the hard limit, or has a lower fs.nr_open, goes on with what there is.
     */
    if (errno != EPERM || getrlimit(RLIMIT_NOFILE, &now) < 0)
        return false;
    files.rlim_max = now.rlim_max;
    files.rlim_cur = files.rlim_cur < now.rlim_max ? files.rlim_cur : now.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &files) == 0;
}

/* What is missing is made with its parents, for root and readable to all, if @make. The path is the
 * caller's own copy, and absolute. */
static bool enter_workdir(char *path, bool make)
{
    if (chdir(path) == 0)
        return true;
    if (errno != ENOENT || !make)
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

/* Tries once and then for some time: a child that another call forked has what a Write had open
 * until it executes its own program, and what somebody can write to is ETXTBSY (execve(2)). */
static void try_file(const struct program_spec *spec, const char *file)
{
    for (int i = 0; i < BUSY_TRIES; i++) {
        (void) execve(file, spec->argv->items, spec->env->items);
        if (errno != ETXTBSY)
            return;
        (void) poll(NULL, 0, BUSY_PAUSE_MS); /* nothing tells when it is free */
        errno = ETXTBSY;
    }
}

/* As execvp(3), with the PATH of the new environment. Gives errno. */
static int execute(const struct program_spec *spec)
{
    const char *path = environment_get(spec->env, "PATH"), *name = spec->argv->items[0];
    char file[PATH_MAX];
    int result = ENOENT;

    while (name[0] != '\0' && environment_next_program(&path, name, file, sizeof(file))) {
        try_file(spec, file);
        if (errno == EACCES)
            result = EACCES; /* a later folder may have one that may be executed */
        else if (errno != ENOENT && errno != ENOTDIR)
            return errno;
    }
    return result;
}

/* All that the child does before the program, with the word for what failed in @f. */
static bool prepare_child(const struct program_spec *spec, const struct program_io *io,
                          char *workdir, struct child_failure *f)
{
    (void) snprintf(f->text, sizeof(f->text), "start a session");
    if (!enter_session(spec, io))
        return false;
    (void) snprintf(f->text, sizeof(f->text), "connect the program's streams");
    if (!take_streams(spec, io))
        return false;
    (void) snprintf(f->text, sizeof(f->text), "set the program's limits");
    if (!set_limits())
        return false;
    (void) snprintf(f->text, sizeof(f->text), "working directory '%s'", spec->workdir);
    if (!enter_workdir(workdir, spec->make_workdir))
        return false;
    (void) snprintf(f->text, sizeof(f->text), "become uid %u, gid %u", spec->user->uid,
                    spec->user->gid);
    return become_user(spec->user);
}

__attribute__((noreturn)) static void run_child(const struct program_spec *spec,
                                                const struct program_io *io, char *workdir,
                                                int report_fd)
{
    struct child_failure failure = { .code = MVM_E_SYS };

    if (!prepare_child(spec, io, workdir, &failure)) {
        failure.errnum = errno;
    } else {
        failure.errnum = execute(spec);
        failure.code = failure.errnum == ENOENT || failure.errnum == ENOTDIR ? MVM_E_NOT_FOUND
                                                                             : MVM_E_CHILD;
        (void) snprintf(failure.text, sizeof(failure.text), "exec '%s'", spec->argv->items[0]);
    }
    /* When even this fails, the parent sees a program that ended at once. */
    _exit(write(report_fd, &failure, sizeof(failure)) == sizeof(failure) ? 1 : 2);
}

int program_start(const struct program_spec *spec, struct program *ret, mvm_error **err)
{
    mvm_autovalue(program_io) io = PROGRAM_IO_INIT;
    mvm_autofree char *workdir = NULL;
    mvm_autoclose int report_write = -EBADF;
    int ends[2];
    int r;

    if (asprintf(&workdir, "/%s", spec->workdir) < 0) {
        workdir = NULL;
        return mvm_fail_nomem(err);
    }
    r = program_io_open(&io, spec, err);
    if (r < 0)
        return r;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) /* the child's one write fits */
        return mvm_fail(err, MVM_E_SYS, errno, "make a pipe");
    io.ours.report_fd = ends[0];
    report_write = ends[1];
    io.ours.pid = _Fork();
    if (io.ours.pid < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "fork");
    if (io.ours.pid == 0)
        run_child(spec, &io, workdir, report_write);
    *ret = io.ours;
    io.ours = (struct program) PROGRAM_NONE;
    return 0;
}

int program_report(const struct program *p, mvm_error **err)
{
    struct child_failure f;
    ssize_t n;

    do
        n = read(p->report_fd, &f, sizeof(f));
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "learn how the program started");
    if (n != sizeof(f))
        return 1;
    f.text[sizeof(f.text) - 1] = '\0';
    return mvm_fail(err, f.code, f.errnum, "%s", f.text);
}
