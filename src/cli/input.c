/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/input.h"

#include <fcntl.h>

static int open_pipe(int fd, struct input *in, mvm_error **err)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3), ends[2], r;

    if (copy < 0 || pipe2(ends, O_CLOEXEC) < 0) {
        r = mvm_fail(err, MVM_E_SYS, errno, "make a pipe for stdin");
        if (copy >= 0)
            (void) close(copy);
        return r;
    }
    in->runner_fd = ends[0];
    in->pumped = true;
    r = stream_end_open(ends[1], true, &in->to, err);
    if (r < 0)
        (void) close(copy);
    else
        r = stream_end_open(copy, false, &in->from, err);
    return r;
}

int input_open(int fd, struct input *ret, mvm_error **err)
{
    mvm_autovalue(input) in = INPUT_NONE;
    int r;

    if (isatty(fd)) {
        r = open_pipe(fd, &in, err);
        if (r < 0)
            return r;
    } else {
        in.runner_fd = fd;
    }
    *ret = in;
    in = (struct input) INPUT_NONE;
    return 0;
}

static void on_input(void *user, struct relay *r, enum relay_event event)
{
    struct input *in = user;

    (void) r;
    /* With nobody to read it, what is typed is for who reads the terminal next. */
    if (event == RELAY_INPUT_ENDED)
        return;
    in->over = true;
    loop_stop(in->loop);
}

int input_connect(struct input *in, struct loop *loop, mvm_error **err)
{
    struct stream_end from = in->from, to = in->to;

    if (!in->pumped)
        return 0;
    (void) close(steal_fd(&in->runner_fd));
    in->from = in->to = (struct stream_end) STREAM_END_NONE;
    in->loop = loop;
    return relay_new(loop, from, to, on_input, in, &in->relay, err);
}

void input_settle(struct input *in)
{
    if (!in->over)
        return;
    relay_free(in->relay);
    in->relay = NULL;
}

void input_deinit(struct input *in)
{
    relay_free(in->relay);
    stream_end_close(&in->from);
    stream_end_close(&in->to);
    if (in->pumped && in->runner_fd >= 0)
        (void) close(in->runner_fd);
    *in = (struct input) INPUT_NONE;
}
