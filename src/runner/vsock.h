/* SPDX-License-Identifier: Apache-2.0 */
/* Starting microvm-vsock, the process of a VM's vsock device, with the sockets that it serves. */
#ifndef RUNNER_VSOCK_H
#define RUNNER_VSOCK_H

#include "base/child.h"
#include "runner/config.h"
#include "runner/listener.h"

struct vsock_device {
    struct child child;
    int machine_fd;             /* owned: the machine's end of the vhost-user socket */
    int agent_fd;               /* owned: where the guest agent's first connection comes */
    struct listener *listeners; /* owned */
    size_t n;
};
#define VSOCK_DEVICE_NONE                                             \
    {                                                                 \
        .child = CHILD_NONE, .machine_fd = -EBADF, .agent_fd = -EBADF \
    }
/* Ends the process, and removes the sockets. */
void vsock_device_deinit(struct vsock_device *d);
MVM_DEFINE_AUTOVALUE(vsock_device, vsock_device_deinit)

/* The program microvm-vsock; owned by the caller. */
int vsock_device_find(char **ret, mvm_error **err);
/* @dir_fd: the VM's folder, in which other processes of the owner find the agent's socket. */
int vsock_device_start(const struct runner_config *config, int dir_fd, struct vsock_device *ret,
                       mvm_error **err);

#endif
