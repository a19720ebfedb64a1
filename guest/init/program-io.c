/* SPDX-License-Identifier: Apache-2.0 */
#include "program-io.h"

#include "base/io.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* Of one stream: @ours is the end that stays here. The pipe belongs to the program's user, who may
 * want to open /dev/stdout again. */
static int open_pipe(int *child, int child_end, int *ours, uid_t uid, mvm_error **err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a pipe");
    *child = ends[child_end];
    *ours = ends[!child_end];
    if (fchown(*child, uid, (gid_t) -1) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "give a pipe to uid %u", uid);
    if (fcntl(*ours, F_SETFL, O_NONBLOCK) < 0) /* it had no other flag that can be set */
        return mvm_fail(err, MVM_E_SYS, errno, "set the flags of a pipe");
    return 0;
}

static int open_pipes(struct program_io *io, const struct program_spec *spec, mvm_error **err)
{
    uid_t uid = spec->user->uid;
    int r = 0;

    if (spec->stdin_open)
        r = open_pipe(&io->child[0], 0, &io->ours.in_fd, uid, err);
    else
        io->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (r == 0 && io->child[0] < 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "open /dev/null");
    if (r == 0)
        r = open_pipe(&io->child[1], 1, &io->ours.out_fd, uid, err);
    if (r == 0)
        r = open_pipe(&io->child[2], 1, &io->ours.err_fd, uid, err);
    return r;
}

static int open_terminal(struct program_io *io, const struct program_spec *spec, mvm_error **err)
{
    const struct winsize size = { .ws_row = spec->rows, .ws_col = spec->cols };
    int unlock = 0, fd;

    fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open /dev/ptmx");
    io->ours.terminal_fd = fd;
    /* TIOCGPTPEER opens the other side without its name, which the image could have mounted over.
     */
    if (ioctl(fd, TIOCSPTLCK, &unlock) < 0 ||
        (io->child[0] = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the terminal");
    if (size.ws_row > 0 && size.ws_col > 0 && ioctl(fd, TIOCSWINSZ, &size) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the terminal's size");
    if (fchown(io->child[0], spec->user->uid, (gid_t) -1) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "give the terminal to uid %u", spec->user->uid);
    return 0;
}

int program_io_open(struct program_io *io, const struct program_spec *spec, mvm_error **err)
{
    io->ours.reads_stdin = spec->stdin_open;
    return spec->tty ? open_terminal(io, spec, err) : open_pipes(io, spec, err);
}

void program_io_deinit(struct program_io *io)
{
    for (size_t i = 0; i < ARRAY_SIZE(io->child); i++)
        if (io->child[i] >= 0)
            (void) close(steal_fd(&io->child[i]));
    program_deinit(&io->ours);
}
