/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the program from its start to the last byte of its output: bytes between its streams
 * and the ports, the host's messages, and the reaping of every process of the guest.
 */
#ifndef INIT_RELAY_H
#define INIT_RELAY_H

#include "control.h"
#include "ports.h"
#include "program.h"

/* Takes the streams' ports and the program's descriptors over. *ret_exited is the message for the
 * host; nothing is left to be relayed then, and no process but PID 1. Fails when the host has gone
 * or sends nonsense. */
int relay_run(struct control *control, struct ports *ports, struct program *program,
              struct port_message *ret_exited, mvm_error **err);

#endif
