/* SPDX-License-Identifier: Apache-2.0 */
/* The control port: messages to and from the host (agent/port-proto.h). */
#ifndef INIT_CONTROL_H
#define INIT_CONTROL_H

#include "endpoint.h"

#include "agent/port-proto.h"

/* How long the host may take to say that it has all, before the guest goes without. */
#define CONTROL_FINISH_MS 5000

struct control {
    struct endpoint port; /* owned */
    size_t in_len;
    size_t out_len;
    bool finished; /* the host has all */
    uint8_t in[PORT_FRAME_MAX];
    uint8_t out[2 * PORT_FRAME_MAX]; /* we say two things at most: started, then exited or failed */
};
#define CONTROL_INIT                             \
    {                                            \
        .port = {.fd = -EBADF, .is_port = true } \
    }

/* Queues a message and writes what the port takes. */
void control_send(struct control *c, const struct port_message *m);
void control_flush(struct control *c);
/* 1: a message of the host. 0: none yet. MVM_E_FORMAT: it sends nonsense. */
int control_receive(struct control *c, struct port_message *ret, mvm_error **err);
/* Gets the rest out and waits until the host has all, has gone, or CONTROL_FINISH_MS have passed.
 */
void control_finish(struct control *c);

#endif
