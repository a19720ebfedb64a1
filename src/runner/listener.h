/* SPDX-License-Identifier: Apache-2.0 */
/* A listening UNIX socket in the file system, which goes with its owner. */
#ifndef RUNNER_LISTENER_H
#define RUNNER_LISTENER_H

#include "base/error.h"
#include "base/mem.h"

struct listener {
    int fd;     /* owned, non-blocking */
    char *path; /* owned; NULL: none */
    int type;   /* SOCK_STREAM or SOCK_SEQPACKET */
};
#define LISTENER_NONE \
    {                 \
        .fd = -EBADF  \
    }
/* Closes it, and removes the socket unless somebody else listens at the path by now. Who has a copy
 * of the descriptor is to be gone by then. */
void listener_deinit(struct listener *l);
MVM_DEFINE_AUTOVALUE(listener, listener_deinit)
/* Listens at @path (0600; at most 107 bytes) for @type, SOCK_STREAM or SOCK_SEQPACKET. A socket
 * that is there and that nobody listens on was left by a VM that was killed, and is replaced; one
 * that answers is MVM_E_BUSY. */
int listener_open(const char *path, int type, struct listener *ret, mvm_error **err);

#endif
