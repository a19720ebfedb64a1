/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a byte stream that is somebody else's, too: a program's stdin, stdout or stderr is a
 * pipe, a terminal, a file or a socket whose O_NONBLOCK flag is shared with other processes and
 * therefore not ours to set.
 */
#ifndef BASE_STREAM_END_H
#define BASE_STREAM_END_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stream_end {
    int fd;        /* owned */
    bool socket;   /* read and written with MSG_DONTWAIT */
    bool blocking; /* shared and without a way round: small writes, after a poll */
};
#define STREAM_END_NONE \
    {                   \
        .fd = -EBADF    \
    }

/* Takes @fd over (also on failure). Pipes, terminals and other devices are opened anew through
 * /proc/self/fd, so that the new description can be non-blocking; where that is forbidden (somebody
 * else's terminal), or would give another object (a terminal's master side), the end stays
 * blocking. */
int stream_end_open(int fd, bool write, struct stream_end *ret, mvm_error **err);
void stream_end_close(struct stream_end *e);
/* As read(2) and write(2), with errno; EAGAIN where they would block. With a blocking end they come
 * after a poll, and one at a time; a write may take less than it was given. A broken pipe is EPIPE
 * and no signal, whatever the process does about SIGPIPE. */
ssize_t stream_end_read(const struct stream_end *e, void *data, size_t len);
ssize_t stream_end_write(const struct stream_end *e, const void *data, size_t len);

#endif
