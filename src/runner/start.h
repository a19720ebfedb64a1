/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the machine of a runner config: which accelerator, the initramfs with this VM's files,
 * the vsock device. */
#ifndef RUNNER_START_H
#define RUNNER_START_H

#include "base/child.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "runner/config.h"
#include "runner/vsock.h"

struct started {
    struct vsock_device vsock;
    struct child machine;
    int console_fd; /* owned: what the guest's serial console says */
};
#define STARTED_NONE                                                            \
    {                                                                           \
        .vsock = VSOCK_DEVICE_NONE, .machine = CHILD_NONE, .console_fd = -EBADF \
    }
void started_deinit(struct started *s);
MVM_DEFINE_AUTOVALUE(started, started_deinit)

/* @dir_fd: the VM's folder. @notice receives one line for people where the VM does not run as the
 * caller may expect (software emulation). */
int start_machine(const struct runner_config *config, int dir_fd, const struct log *log,
                  struct strbuf *notice, struct started *ret, mvm_error **err);

#endif
