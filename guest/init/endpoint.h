/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A non-blocking descriptor in an edge-triggered epoll set: readable and writable say what the
 * kernel last told, until a call meets EAGAIN.
 *
 * Edges, not levels, because a virtio port whose host end is closed is "hung up" all the time
 * (ports.h): with poll(2) the wait for it would be a busy loop.
 */
#ifndef INIT_ENDPOINT_H
#define INIT_ENDPOINT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct endpoint {
    int fd; /* owned; -EBADF: closed, or never there */
    bool is_port;
    bool readable;
    bool writable;
    bool was_connected; /* of a port: the host's end was there, seen by an event or by bytes */
    bool hung_up;       /* of a port: and has gone */
};
#define ENDPOINT_NONE \
    {                 \
        .fd = -EBADF  \
    }

/* Starts watching; a closed endpoint is skipped. */
int endpoint_watch(struct endpoint *e, int epoll_fd, mvm_error **err);
/* Waits for events and notes them at their endpoints. @timeout_ms as of epoll_wait(2). */
int endpoint_wait(int epoll_fd, int timeout_ms, mvm_error **err);
/* Positive: bytes. 0: none now. ENDPOINT_END: never any more. */
#define ENDPOINT_END (-1)
ssize_t endpoint_read(struct endpoint *e, void *data, size_t len);
ssize_t endpoint_write(struct endpoint *e, const void *data, size_t len);
void endpoint_close(struct endpoint *e); /* twice is fine */

#endif
