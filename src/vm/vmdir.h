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
#include "runner/state.h"

#include <stdbool.h>
#include <sys/un.h>

/* The disk of the upper layer. */
#define VMDIR_UPPER "upper.img"

struct vmdir {
    char *name;  /* owned */
    char *path;  /* owned, absolute */
    int vms_fd;  /* owned: the folder of all */
    int fd;      /* owned */
    int lock_fd; /* owned: holds the lock; -EBADF once given up */
    char id[VM_STATE_ID_LEN + 1];
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
/* The folder of a VM that exists, without its lock. MVM_E_NOT_FOUND. @ret->id and ->remove are
 * those of its state; MVM_E_NOT_FOUND, too, while it has none yet. */
int vmdir_open(const char *vms_path, const char *name, struct vmdir *ret, mvm_error **err);
/* MVM_E_NOT_FOUND when the folder is gone, or is another VM's by now: the id in its state tells. */
int vmdir_check_own(const struct vmdir *d, mvm_error **err);
/* True while anybody holds the lock. */
bool vmdir_is_running(const struct vmdir *d);
/* A UNIX socket address below the folder, whatever the length of its path: through /proc/self/fd.
 * @name is short. */
void vmdir_socket_address(const struct vmdir *d, const char *name, struct sockaddr_un *ret);
/* Removes the disk of a VM that has ended, whose logs stay. The lock must be held. */
void vmdir_remove_upper(const struct vmdir *d);
/* Removes the folder. The lock must be held. */
int vmdir_remove(struct vmdir *d, mvm_error **err);
/* Takes the lock again once nobody holds it any more, for which it waits up to @timeout_ms.
 * MVM_E_NOT_FOUND when the folder is gone, or another VM's by now: it is then not ours to touch. */
int vmdir_take_back(struct vmdir *d, int timeout_ms, mvm_error **err);
/* Removes the folders of VMs that were to be removed and whose processes were all killed before
 * they could, and the disks of the others. Those that run, or whose processes are still dying, are
 * left alone. */
void vmdir_sweep(int vms_fd, const struct log *log);

#endif
