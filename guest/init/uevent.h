/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for devices: the kernel announces each on a netlink group, so that nobody has to poll by
 * the clock. */
#ifndef INIT_UEVENT_H
#define INIT_UEVENT_H

#include "base/error.h"

#include <stdbool.h>

/* How long a device of the machine may take to appear. In software emulation on a busy host,
 * seconds do happen. */
#define DEVICE_WAIT_MS 20000

/* Calls @is_there, now and after each event of the kernel, until it gives non-zero: 1 for yes, or a
 * failure, which is returned as it is. MVM_E_TIMEOUT names @what. */
int uevent_wait_for(int (*is_there)(void *user, mvm_error **err), void *user, const char *what,
                    mvm_error **err);

#endif
