/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-serial ports (agent/port-proto.h), found by name in /sys/class/virtio-ports.
 *
 * A port opens non-blocking. read() gives 0 while the host's end is not connected, and EAGAIN when
 * it is and has nothing; poll() shows such a port as hung up. /dev/vport* are mode 0600: a program
 * that runs as root in the guest can still reach them, so the host must not trust them more than
 * any other byte of a guest.
 */
#ifndef INIT_PORTS_H
#define INIT_PORTS_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>

enum port_index {
    PORT_CONTROL,
    PORT_STDIN,
    PORT_STDOUT,
    PORT_STDERR,
    PORT_COUNT
};

struct ports {
    int fd[PORT_COUNT];      /* owned; -EBADF: not open, or taken over by somebody */
    bool opened[PORT_COUNT]; /* a port opens only once at a time */
};
#define PORTS_INIT                               \
    {                                            \
        .fd = { -EBADF, -EBADF, -EBADF, -EBADF } \
    }

/* Waits until the port exists, and opens it unless that was done before. */
int ports_open(struct ports *p, enum port_index index, mvm_error **err);
void ports_deinit(struct ports *p);
MVM_DEFINE_AUTOVALUE(ports, ports_deinit)

#endif
