/* SPDX-License-Identifier: Apache-2.0 */
/* child_run(): a program from start to end, with what it printed. */
#include "base/child.h"

#include "base/clock.h"
#include "base/strbuf.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

/* Bytes of stderr that are kept for the message: its last lines. */
#define RUN_STDERR_MAX 4096
/* Between two questions to a watch: soon enough for who presses Ctrl-C. */
#define RUN_WATCH_MS 50
/* For a program that was told to end, to end its own children. */
#define RUN_END_MS 5000

struct run_output {
    int fd; /* -EBADF once at its end */
    struct strbuf *text;
    bool keep_tail; /* drop the oldest bytes rather than fail */
};

/* Makes room for @len bytes, at most the maximum, by dropping the oldest. */
static void run_drop_oldest(struct strbuf *sb, size_t len)
{
    size_t room = sb->max - sb->len;

    if (len <= room)
        return;
    memmove(sb->data, sb->data + (len - room), sb->len - (len - room));
    sb->len -= len - room;
}

static void run_keep(struct run_output *o, const char *data, size_t len)
{
    if (!o->text)
        return;
    if (o->keep_tail) {
        size_t skip = len > o->text->max ? len - o->text->max : 0;

        data += skip;
        len -= skip;
        run_drop_oldest(o->text, len);
    }
    strbuf_add(o->text, data, len);
}

static int run_read(struct run_output *o, mvm_error **err)
{
    char data[4096];
    ssize_t n = read(o->fd, data, sizeof(data));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read a program's output");
    if (n == 0)
        o->fd = -EBADF;
    else
        run_keep(o, data, (size_t) n);
    return o->text ? strbuf_check(o->text, "a program's output", err) : 0;
}

/* Milliseconds for poll(2) and child_wait(). */
static int run_time_left(uint64_t deadline_ms)
{
    uint64_t now = clock_now_ms();

    if (deadline_ms == UINT64_MAX)
        return -1;
    return now >= deadline_ms ? 0 : (int) (deadline_ms - now);
}

struct run_limit {
    const struct child_spec *spec;
    struct child *child;
    uint64_t deadline_ms;
};

/* Milliseconds until there is something else to do than to wait. */
static int run_slice(const struct run_limit *l)
{
    int left = run_time_left(l->deadline_ms);

    return l->spec->watch && (left < 0 || left > RUN_WATCH_MS) ? RUN_WATCH_MS : left;
}

/* 0 to go on waiting. */
static int run_check(const struct run_limit *l, mvm_error **err)
{
    struct child_status status;

    if (run_time_left(l->deadline_ms) == 0)
        return mvm_fail(err, MVM_E_TIMEOUT, 0, "no end in time");
    if (!l->spec->watch || l->spec->watch(l->spec->watch_user) == 0)
        return 0;
    (void) child_kill(l->child, SIGTERM, NULL); /* an ended one may refuse it */
    (void) child_wait(l->child, l->spec->end_ms ? l->spec->end_ms : RUN_END_MS, &status, NULL);
    return mvm_fail(err, MVM_E_CANCELLED, 0, "cancelled");
}

static int run_wait(const struct run_limit *l, struct child_status *ret, mvm_error **err)
{
    for (;;) {
        mvm_autoerror mvm_error *why = NULL;
        int r = child_wait(l->child, run_slice(l), ret, &why);

        if (r != MVM_E_TIMEOUT) {
            error_move(err, steal_ptr(&why));
            return r;
        }
        r = run_check(l, err);
        if (r < 0)
            return r;
    }
}

/* Reads both to their end, or to where they stand once the program has ended: what it started, and
 * leaves behind, may have them open for ever. */
static int run_collect(struct run_output *outputs, const struct run_limit *l, mvm_error **err)
{
    while (outputs[0].fd >= 0 || outputs[1].fd >= 0) {
        struct pollfd p[3] = { { .fd = outputs[0].fd, .events = POLLIN },
                               { .fd = outputs[1].fd, .events = POLLIN },
                               { .fd = l->child->pidfd, .events = POLLIN } };
        int n = poll(p, 3, run_slice(l)), r;

        if (n < 0 && errno != EINTR)
            return mvm_fail(err, MVM_E_SYS, errno, "wait for a program's output");
        r = run_check(l, err);
        for (int i = 0; i < 2 && n > 0 && r == 0; i++)
            if (outputs[i].fd >= 0 && p[i].revents)
                r = run_read(&outputs[i], err);
        if (r < 0)
            return r;
        if (n > 0 && p[2].revents && !p[0].revents && !p[1].revents)
            break;
    }
    return 0;
}

/* The last line that is not empty, cut out in place. */
static const char *last_line(struct strbuf *sb)
{
    char *line;

    while (sb->len > 0 && strchr("\n\r \t", sb->data[sb->len - 1]))
        sb->data[--sb->len] = '\0';
    if (sb->len == 0)
        return "";
    line = strrchr(sb->data, '\n');
    return line ? line + 1 : sb->data;
}

static int run_status(const char *name, struct child_status status, struct strbuf *errors,
                      mvm_error **err)
{
    const char *line = last_line(errors);

    if (status.exited && status.code == 0)
        return 0;
    return mvm_fail(err, MVM_E_CHILD, 0, "%s ended with %s %d%s%s", name,
                    status.exited ? "status" : "signal", status.code, *line ? ": " : "", line);
}

/* The two pipes of a run: read ends stay here, write ends go to the child. */
struct run_pipes {
    int read_fds[2];
    int write_fds[2];
};

static void run_pipes_close(int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            (void) close(steal_fd(&fds[i]));
}

static void run_pipes_deinit(struct run_pipes *p)
{
    run_pipes_close(p->read_fds);
    run_pipes_close(p->write_fds);
}
MVM_DEFINE_AUTOVALUE(run_pipes, run_pipes_deinit)

static int run_start(const struct child_spec *spec, struct run_pipes *pipes, struct child *c,
                     mvm_error **err)
{
    struct child_spec with = *spec;
    struct child_fd fds[3];
    int pair[2], r;

    if (spec->n_fds > 1 || (spec->n_fds == 1 && spec->fds[0].to != 0))
        return mvm_fail(err, MVM_E_ARG, 0,
                        "only descriptor 0 may be given to a program that is run for its output");
    for (int i = 0; i < 2; i++) {
        if (pipe2(pair, O_CLOEXEC) < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "make a pipe");
        pipes->read_fds[i] = pair[0];
        pipes->write_fds[i] = pair[1];
        fds[i] = (struct child_fd){ .from = spec->output_fd > 0 ? spec->output_fd : pair[1],
                                    .to = i + 1 };
    }
    if (spec->n_fds == 1)
        fds[2] = spec->fds[0];
    with.fds = fds;
    with.n_fds = 2 + spec->n_fds;
    r = child_spawn(&with, c, err);
    run_pipes_close(pipes->write_fds);
    return r;
}

int child_run(const struct child_spec *spec, int timeout_ms, size_t max, char **ret_stdout,
              mvm_error **err)
{
    mvm_autovalue(child) c = CHILD_NONE;
    mvm_autovalue(strbuf) out = STRBUF_INIT(max);
    mvm_autovalue(strbuf) errors = STRBUF_INIT(RUN_STDERR_MAX);
    mvm_autovalue(run_pipes) pipes = { { -EBADF, -EBADF }, { -EBADF, -EBADF } };
    uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : clock_now_ms() + (uint64_t) timeout_ms;
    const struct run_limit limit = { .spec = spec, .child = &c, .deadline_ms = deadline };
    struct run_output outputs[2];
    struct child_status status;
    int r;

    r = run_start(spec, &pipes, &c, err);
    if (r < 0)
        return r;
    outputs[0] = (struct run_output){ .fd = pipes.read_fds[0], .text = ret_stdout ? &out : NULL };
    outputs[1] = (struct run_output){ .fd = pipes.read_fds[1], .text = &errors, .keep_tail = true };
    r = run_collect(outputs, &limit, err);
    if (r == 0)
        r = run_wait(&limit, &status, err);
    if (r == 0 && spec->ret_status)
        *spec->ret_status = status;
    else if (r == 0)
        r = run_status(spec->argv[0], status, &errors, err);
    if (r < 0)
        return mvm_context(err, r, "run %s", spec->argv[0]);
    if (ret_stdout) {
        *ret_stdout = strbuf_take(&out);
        if (!*ret_stdout)
            return mvm_fail_nomem(err);
    }
    return 0;
}
