/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the machine of a runner config: which accelerator, the initramfs with this VM's files,
 * the ports. */
#ifndef RUNNER_START_H
#define RUNNER_START_H

#include "base/child.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "runner/config.h"

enum start_port {
    START_PORT_CONTROL,
    START_PORT_STDIN,
    START_PORT_STDOUT,
    START_PORT_STDERR,
    START_PORT_CONSOLE, /* the guest's serial console */
    START_PORTS
};

#define START_PORTS_NONE                       \
    {                                          \
        -EBADF, -EBADF, -EBADF, -EBADF, -EBADF \
    }

struct started {
    struct child machine;
    int ports[START_PORTS]; /* owned: our ends */
};
void started_deinit(struct started *s);
MVM_DEFINE_AUTOVALUE(started, started_deinit)

/* @notice receives one line for people where the VM does not run as the caller may expect (software
 * emulation). */
int start_machine(const struct runner_config *config, const struct log *log, struct strbuf *notice,
                  struct started *ret, mvm_error **err);

#endif
