/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One VM from start to end: the machine process, the program's streams, the guest's messages, the
 * caller's wishes and the clock meet in one loop. Whatever ends first, the machine is gone when
 * supervise() returns.
 */
#ifndef RUNNER_SUPERVISE_H
#define RUNNER_SUPERVISE_H

#include "base/log.h"
#include "runner/config.h"
#include "runner/control.h"

/* Milliseconds that a guest has to start the program. Generous: software emulation on a loaded host
 * is slow, and a caller who wants less has --timeout. */
#define SUPERVISE_BOOT_MS 300000
/* Milliseconds between SIGTERM and the end of the machine after --timeout. */
#define SUPERVISE_GRACE_MS 10000
/* Milliseconds for which output may stand still after a signal that asks for the end: the guest
 * tells of the program's end behind its last byte, and a reader that is stuck may never take that.
 * Without such a signal it is waited for without limit. */
#define SUPERVISE_STALL_MS 5000
/* Milliseconds that the vsock device has, once the machine is gone, to hand on what the guest sent
 * last to host programs that are slow. A VM that is ended at once does not wait. */
#define SUPERVISE_FLUSH_MS 3000
/* Exit status of a program that --timeout ended, as timeout(1) has it. */
#define SUPERVISE_STATUS_TIMEOUT 124

/* Runs the VM to its end and tells the control sockets how it went (CONTROL_ENDED or
 * CONTROL_FAILED). True when the VM's folder is to be removed, and nobody else is there to do so.
 */
bool supervise(const struct runner_config *config, const struct log *log);

#endif
