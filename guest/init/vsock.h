/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's way to the host: a listener on AGENT_VSOCK_PORT, and one connection that init makes
 * itself to that port of the host, so that the host need not ask when the guest is ready.
 */
#ifndef INIT_VSOCK_H
#define INIT_VSOCK_H

#include "base/loop.h"

struct server;

/* Waits for the device, and then for a socket to be made of it. */
int vsock_wait(mvm_error **err);

struct vsock_listener {
    int fd;                /* owned */
    struct server *server; /* borrowed */
    struct loop_source *source;
    struct loop_source *retry; /* after a failed accept(2) */
};
/* Serves the host from now on. Connections of other guests are closed. */
int vsock_serve(struct vsock_listener *l, struct server *server, mvm_error **err);

#endif
