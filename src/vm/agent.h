/* SPDX-License-Identifier: Apache-2.0 */
/* A handle's own connection to the agent in its guest, made when it is first needed. */
#ifndef VM_AGENT_H
#define VM_AGENT_H

#include "agent/client.h"
#include "vm/handle.h"

/* Borrowed from @vm. A connection that has broken is made anew. MVM_E_STATE: the VM does not run.
 */
int vm_agent_get(mvm_vm *vm, struct agent_client **ret, mvm_error **err);
void vm_agent_free(mvm_vm *vm);

#endif
