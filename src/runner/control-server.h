/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner's side of `control.sock` in the VM's folder: other processes of the VM's owner attach
 * to a VM that they did not start, hear how it goes and say what they wish, in the messages of
 * runner/control.h. Their going away means nothing.
 */
#ifndef RUNNER_CONTROL_SERVER_H
#define RUNNER_CONTROL_SERVER_H

#include "base/loop.h"
#include "runner/control.h"

/* Processes attached at once. For one above, that which came first is disconnected: those that only
 * wait must not keep out the one that wants to stop the VM. */
#define CONTROL_CLIENTS_MAX 256

struct control_server;
typedef void control_wish_fn(void *user, const struct control_message *m);

/* @listen_fd is borrowed: a listening SOCK_SEQPACKET socket, non-blocking. */
int control_server_new(struct loop *loop, int listen_fd, control_wish_fn *fn, void *user,
                       struct control_server **ret, mvm_error **err);
void control_server_free(struct control_server *cs);
MVM_DEFINE_AUTO(control_server, control_server_free)
/* Lets nobody in any more; who is there already still hears. NULL is fine. */
void control_server_close(struct control_server *cs);
/* Tells everybody. A client that does not read misses it, and finds its end of file later.
 * CONTROL_STARTED is told to those who come later, too. */
void control_server_tell(struct control_server *cs, const struct control_message *m);

#endif
