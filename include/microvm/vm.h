/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mvm_vm: a machine that was started.
 *
 * Thread-safety: one thread at a time on one handle; different handles are independent.
 * The library installs no signal handler and reaps no process but its own.
 */
#ifndef MICROVM_VM_H
#define MICROVM_VM_H

#include <microvm/error.h>
#include <microvm/options.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mvm_vm mvm_vm;

/**
 * mvm_run - get the image, start a VM from it, run its program
 * @image:   a reference ("alpine", "host:5000/x@sha256:..."), or "oci:DIR[:TAG]",
 *           "oci-archive:FILE[:TAG]", "docker-archive:FILE[:REF]", "docker-daemon:REF"
 * @options: NULL for the defaults; stays the caller's
 * @ret_vm:  on success, the handle
 * @err:     receives the reason of a failure; may be NULL
 *
 * Returns as soon as the machine's runner was started; the guest boots meanwhile. On failure
 * nothing is left behind. The VM lives no longer than this process, unless it is detached
 * and was released with mvm_vm_free().
 *
 * Returns:   0; MVM_E_ARG for a bad option; MVM_E_NOT_FOUND for an unknown image, tag, platform,
 * kernel or program; MVM_E_BUSY when a VM of that name runs; MVM_E_NET, MVM_E_AUTH, MVM_E_DIGEST,
 * MVM_E_FORMAT, MVM_E_LIMIT from the image; MVM_E_CANCELLED by the progress callback; MVM_E_SYS;
 * MVM_E_NOMEM. Ownership: *ret_vm is for mvm_vm_free(). Since:     0.1
 */
MVM_PUBLIC int mvm_run(const char *image, const mvm_options *options, mvm_vm **ret_vm,
                       mvm_error **err);

/**
 * mvm_pull - get an image into the store and nothing more
 *
 * Of @options the data dir, platform, pull policy, sources, progress and log count. *ret_digest
 * (may be NULL) receives the digest of the image's manifest, for free().
 *
 * Returns: as mvm_run().
 * Since:   0.1
 */
MVM_PUBLIC int mvm_pull(const char *image, const mvm_options *options, char **ret_digest,
                        mvm_error **err);

/**
 * mvm_vm_open - attach to a VM that exists, whoever started it
 * @name:    its name
 * @options: the data dir and the log count; NULL for the defaults
 * @ret_vm:  on success, a handle on which all calls work
 *
 * Releasing such a handle leaves the VM as it is. A VM that has ended can be opened as long as its
 * folder is there: mvm_vm_wait() then tells at once how.
 *
 * Returns:   0; MVM_E_NOT_FOUND: there is no such VM; MVM_E_TIMEOUT: its runner does not answer
 * within 10 s; MVM_E_FORMAT: its state cannot be read; MVM_E_SYS; MVM_E_NOMEM. Ownership: *ret_vm
 * is for mvm_vm_free(). Since: 0.1
 */
MVM_PUBLIC int mvm_vm_open(const char *name, const mvm_options *options, mvm_vm **ret_vm,
                           mvm_error **err);

/** One VM of a list. Valid as long as the list. */
typedef struct mvm_vm_info {
    uint32_t struct_size;
    uint32_t running;  /* 1: it runs */
    int64_t started_s; /* seconds since 1970 */
    int64_t ended_s;   /* 0: it has not ended, or was killed */
    const char *name;
    const char *image;   /* as it was named */
    const char *digest;  /* of its manifest */
    const char *message; /* why it ended, where it was not the program's own doing; else "" */
    int64_t status;      /* of the program, 0 to 255; -1: none */
} mvm_vm_info;
typedef struct mvm_vm_list mvm_vm_list;

/**
 * mvm_vm_list_new - all VMs of this user, newest first; ended ones as long as their folder is kept
 * @options: the data dir counts; NULL for the default
 *
 * Returns: 0; MVM_E_SYS; MVM_E_NOMEM. Ownership: *ret is for mvm_vm_list_free(). Since: 0.1
 */
MVM_PUBLIC int mvm_vm_list_new(const mvm_options *options, mvm_vm_list **ret, mvm_error **err);
/** mvm_vm_list_count - how many there are. Since: 0.1 */
MVM_PUBLIC size_t mvm_vm_list_count(const mvm_vm_list *list);
/** mvm_vm_list_get - one of them, owned by the list; NULL beyond its end. Since: 0.1 */
MVM_PUBLIC const mvm_vm_info *mvm_vm_list_get(const mvm_vm_list *list, size_t index);
/** mvm_vm_list_free - release a list; NULL is fine. Since: 0.1 */
MVM_PUBLIC void mvm_vm_list_free(mvm_vm_list *list);

/** mvm_vm_name - the name; owned by @vm. Since: 0.1 */
MVM_PUBLIC const char *mvm_vm_name(const mvm_vm *vm);

/**
 * mvm_vm_fd - a descriptor that is readable when mvm_vm_wait(vm, 0, ...) has something to look at
 *
 * For poll() and its kin; owned by @vm, not to be read or closed. Negative once the VM has ended.
 * Since: 0.1
 */
MVM_PUBLIC int mvm_vm_fd(const mvm_vm *vm);

/**
 * mvm_vm_wait - wait until the VM has ended
 * @vm:         a VM
 * @timeout_ms: milliseconds; 0 asks without waiting, negative waits without limit
 * @ret_status: on success, how the image's program ended, 0 to 255
 * @err:        receives the reason of a failure; may be NULL
 *
 * May be called again after a timeout, which does not stop the VM, and after the end, with the same
 * result. A program that does not exist gives status 127, one that may not be executed 126, both
 * with mvm_vm_message().
 *
 * Returns: 0; MVM_E_TIMEOUT; MVM_E_GUEST or MVM_E_CHILD when the machine ended without a status of
 * the program. Source:  128 + n for a program that signal n ended, as in bash(1), EXIT STATUS; 124
 * as in timeout(1). Since:   0.1
 */
MVM_PUBLIC int mvm_vm_wait(mvm_vm *vm, int timeout_ms, int *ret_status, mvm_error **err);

/**
 * mvm_vm_wait_started - wait until the VM's program runs
 * @timeout_ms: as in mvm_vm_wait()
 *
 * Returns: 0, also when it has run and ended since; MVM_E_TIMEOUT; what kept it from being started
 * otherwise. A program that is not there or may not be executed counts as one that has run:
 * mvm_vm_wait() tells 127 or 126. Since: 0.1
 */
MVM_PUBLIC int mvm_vm_wait_started(mvm_vm *vm, int timeout_ms, mvm_error **err);

/** mvm_vm_message - why the VM ended, where it was not the program's own doing; else ""; owned by
 * @vm. Since: 0.1 */
MVM_PUBLIC const char *mvm_vm_message(const mvm_vm *vm);

/**
 * mvm_vm_signal - send a signal to the program
 *
 * Before the program was started, SIGHUP, SIGINT, SIGQUIT, SIGTERM and SIGKILL end the VM with
 * status 128 + n and the others are dropped. After one of these five the VM also ends, with that
 * status, when its output stands still for 5 s because nobody takes it.
 *
 * Returns: 0; MVM_E_ARG for a number outside 1 to 64; MVM_E_STATE when the VM has ended.
 * Since:   0.1
 */
MVM_PUBLIC int mvm_vm_signal(mvm_vm *vm, int signal_number, mvm_error **err);

/** mvm_vm_resize - tell the program's terminal its new size; MVM_E_STATE when the VM has ended.
 * Since: 0.1 */
MVM_PUBLIC int mvm_vm_resize(mvm_vm *vm, uint16_t rows, uint16_t cols, mvm_error **err);

/**
 * mvm_vm_stop - SIGTERM to the program, and after @grace_ms the end of the machine; returns without
 * waiting
 * @grace_ms: milliseconds; 0 ends the machine at once
 *
 * Returns: 0, also when the VM has ended already.
 * Since:   0.1
 */
MVM_PUBLIC int mvm_vm_stop(mvm_vm *vm, int grace_ms, mvm_error **err);

/**
 * mvm_vm_remove - remove what is kept of a VM: its folder with state and logs
 * @force: non-zero: a VM that runs is ended first, at once; else it is refused
 *
 * Returns: 0, also when it is gone already; MVM_E_BUSY: it runs; MVM_E_TIMEOUT: it does not end;
 * MVM_E_SYS. The handle is good for mvm_vm_free() alone afterwards. Since: 0.1
 */
MVM_PUBLIC int mvm_vm_remove(mvm_vm *vm, int force, mvm_error **err);

/** mvm_vm_free - release the handle; a VM that still runs is ended, and its end awaited, unless it
 * is detached or was opened by its name. NULL is fine. Since: 0.1 */
MVM_PUBLIC void mvm_vm_free(mvm_vm *vm);

#ifdef __cplusplus
}
#endif

#endif
