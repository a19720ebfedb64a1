/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VM_ATTACH_H
#define VM_ATTACH_H

#include "vm/handle.h"

/* Connects to a socket in the folder of a VM that runs. MVM_E_STATE: it does not. */
int attach_connect(const struct vmdir *dir, const char *socket_name, int type, int *ret_fd,
                   mvm_error **err);

#endif
