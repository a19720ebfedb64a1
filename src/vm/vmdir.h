/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of one VM: <vms>/<name>/, 0700, with state.lock, state.json, console.log and vm.log.
 *
 * The lock is a flock on state.lock, whose open file description the runner and the machine's
 * process hold as well: it is taken as long as any of them lives, and the kernel lets go of it when
 * the last one has died, however it died. Who can take it knows that nothing of that VM runs, and
 * may reuse or remove the folder. Another VM of the same name may have run in it meanwhile:
 * state.json holds a random id, by which a VM knows its own. Nothing else (no process id) is ever
 * trusted to say that a VM runs.
 */
#ifndef VM_VMDIR_H
#define VM_VMDIR_H

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdbool.h>

/* 128 random bits as hexadecimal digits. */
#define VMDIR_ID_LEN 32

struct vmdir {
    char *name;  /* owned */
    char *path;  /* owned, absolute */
    int vms_fd;  /* owned: the folder of all */
    int fd;      /* owned */
    int lock_fd; /* owned: holds the lock; -EBADF once given up */
    char id[VMDIR_ID_LEN + 1];
    bool remove; /* the folder goes at the end, whoever comes to clear it */
};
#define VMDIR_NONE                                        \
    {                                                     \
        .vms_fd = -EBADF, .fd = -EBADF, .lock_fd = -EBADF \
    }
/* Closes; the folder stays. */
void vmdir_deinit(struct vmdir *d);
MVM_DEFINE_AUTOVALUE(vmdir, vmdir_deinit)

/* Makes or takes over the folder of @name (NULL: a free name is made up) and locks it. MVM_E_BUSY
 * when a VM of that name runs. What an earlier VM of that name left is removed. */
int vmdir_take(const char *vms_path, const char *name, bool remove, struct vmdir *ret,
               mvm_error **err);
/* Removes the folder. The lock must be held. */
int vmdir_remove(struct vmdir *d, mvm_error **err);
/* state.json: what the VM is and how it ended; @status negative: it runs or ended without a status.
 */
int vmdir_write_state(const struct vmdir *d, const char *image, const char *digest, int status,
                      mvm_error **err);
/* Takes the lock again once nobody holds it any more, for which it waits up to @timeout_ms.
 * MVM_E_NOT_FOUND when the folder is gone, or another VM's by now: it is then not ours to touch. */
int vmdir_take_back(struct vmdir *d, int timeout_ms, mvm_error **err);
/* Removes the folders of VMs that were to be removed and whose processes were all killed before
 * they could. Those that
 * run, or whose processes are still dying, are left alone. */
void vmdir_sweep(int vms_fd, const struct log *log);

#endif
