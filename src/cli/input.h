/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's stdin. A terminal is read by this process, and what it gives goes on through a
 * pipe: the runner has left the terminal's session, so that the kernel would neither stop it in the
 * background (SIGTTIN, termios(3)) nor keep it from taking the lines that are meant for the shell.
 * Anything else is the runner's to read.
 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "runner/relay.h"

struct input {
    int runner_fd;              /* what the runner reads; owned when there is a pipe */
    struct stream_end from, to; /* the terminal and the pipe, until connected */
    struct relay *relay;
    struct loop *loop; /* borrowed */
    bool pumped;       /* there is a pipe */
    bool over;         /* nothing more to pass on */
};
#define INPUT_NONE                                                          \
    {                                                                       \
        .runner_fd = -EBADF, .from = STREAM_END_NONE, .to = STREAM_END_NONE \
    }

/* @fd stays the caller's. */
int input_open(int fd, struct input *ret, mvm_error **err);
/* Once the runner has its copy of runner_fd. The loop is stopped when the input is over. */
int input_connect(struct input *in, struct loop *loop, mvm_error **err);
/* To be called outside of the loop, whenever it stopped: an input that is over is closed, which
 * tells the runner. */
void input_settle(struct input *in);
void input_deinit(struct input *in);
MVM_DEFINE_AUTOVALUE(input, input_deinit)

#endif
