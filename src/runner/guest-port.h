/* SPDX-License-Identifier: Apache-2.0 */
/* The runner's end of the control port: whole messages in, whole messages out, nothing of the guest
 * believed. */
#ifndef RUNNER_GUEST_PORT_H
#define RUNNER_GUEST_PORT_H

#include "agent/port-proto.h"
#include "base/loop.h"

#include <stdbool.h>

/* Bytes waiting for a guest that does not read. Signals and resizes above it are dropped: a guest
 * that reads nothing would not act on them either. */
#define GUEST_PORT_QUEUE_MAX 65536

struct guest_port;
typedef void guest_port_fn(void *user, const struct port_message *m);
/* Called once: the peer is gone (NULL), or broke the protocol. */
typedef void guest_port_end_fn(void *user, const mvm_error *reason);

/* Takes @fd over, also on failure. */
int guest_port_new(struct loop *loop, int fd, guest_port_fn *fn, guest_port_end_fn *end_fn,
                   void *user, struct guest_port **ret, mvm_error **err);
void guest_port_free(struct guest_port *p);
MVM_DEFINE_AUTO(guest_port, guest_port_free)
/* False when it had to be dropped. */
bool guest_port_send(struct guest_port *p, const struct port_message *m);

#endif
