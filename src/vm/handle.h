/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a VM handle, and starting its runner. */
#ifndef VM_HANDLE_H
#define VM_HANDLE_H

#include "agent/client.h"
#include "base/child.h"
#include "runner/config.h"
#include "vm/options-internal.h"
#include "vm/vmdir.h"

#include <microvm/vm.h>

struct mvm_vm {
    struct vmdir dir;
    struct child runner;
    int control_fd; /* owned; -EBADF once ended */
    struct log log;
    bool detached; /* outlives us; its runner clears up after it */
    bool attached; /* opened by its name: somebody else's to clear up */
    bool started;  /* the program runs, or has run */
    bool ended;
    int status;    /* of the program, once ended; negative: none */
    char *message; /* owned: why it ended, or why there is no status; NULL: nothing to say */
    int failure;   /* negative mvm_error_code when there is no status */
    struct loop *agent_loop;    /* owned; NULL until needed */
    struct agent_client *agent; /* owned; NULL until needed */
    bool agent_broken;          /* the connection has ended */
    unsigned n_execs;           /* programs whose handles are not freed yet */
    mvm_log_fn *log_fn;
    void *log_user;
};

/* Starts microvm-runner with @config; vm->dir holds the lock, which goes over to the runner. It and
 * the machine keep @image_lock_fd, borrowed, open as long as they live; negative: none. */
int vm_launch(mvm_vm *vm, const struct runner_config *config, const mvm_options *options,
              int image_lock_fd, mvm_error **err);
/* Takes over what the state says of a VM that does not run. MVM_E_NOT_FOUND: it is gone. */
int vm_take_result(mvm_vm *vm, mvm_error **err);
/* A handle without a VM; NULL when out of memory. */
mvm_vm *vm_new(const mvm_options *options);

#endif
