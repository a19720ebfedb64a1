/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driving a VM that runs, through the agent in its guest: programs, files, figures. It needs
 * neither a network nor SSH in the guest, and works on every handle, whoever started the VM.
 *
 * Thread-safety: what is made from one mvm_vm shares its connection to the guest: one thread at a
 * time on the handle and all that came from it. Two handles on the same VM are independent.
 */
#ifndef MICROVM_EXEC_H
#define MICROVM_EXEC_H

#include <microvm/error.h>
#include <microvm/vm.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mvm_exec_options mvm_exec_options;
typedef struct mvm_exec mvm_exec;

/** mvm_exec_options_new - no terminal, no stdin, output to the caller's own stdout and stderr;
 * environment, working folder and user of the VM's own program. NULL when out of memory. Since: 0.1
 */
MVM_PUBLIC mvm_exec_options *mvm_exec_options_new(void);
/** mvm_exec_options_free - release options; NULL is fine. Since: 0.1 */
MVM_PUBLIC void mvm_exec_options_free(mvm_exec_options *options);
/** mvm_exec_options_add_argument - appends one word of the command; the first is the program,
 * looked up in the guest's PATH. 0, MVM_E_ARG or MVM_E_NOMEM, as all setters here. Since: 0.1 */
MVM_PUBLIC int mvm_exec_options_add_argument(mvm_exec_options *options, const char *word);
/** mvm_exec_options_add_env - "NAME=VALUE", over the VM's own environment. Since: 0.1 */
MVM_PUBLIC int mvm_exec_options_add_env(mvm_exec_options *options, const char *entry);
/** mvm_exec_options_set_workdir - absolute path of a folder that is there in the guest; a missing
 * one is made for the VM's own program alone (mvm_options_set_workdir()). Since: 0.1 */
MVM_PUBLIC int mvm_exec_options_set_workdir(mvm_exec_options *options, const char *path);
/** mvm_exec_options_set_user - "user[:group]" by name or number. Since: 0.1 */
MVM_PUBLIC int mvm_exec_options_set_user(mvm_exec_options *options, const char *user);
/** mvm_exec_options_set_tty - a terminal of @rows by @cols (0: unknown); stdout and stderr are then
 * one stream. Since: 0.1 */
MVM_PUBLIC int mvm_exec_options_set_tty(mvm_exec_options *options, uint16_t rows, uint16_t cols);
/** mvm_exec_options_set_stdio - as mvm_options_set_stdio(). Since: 0.1 */
MVM_PUBLIC int mvm_exec_options_set_stdio(mvm_exec_options *options, int in, int out, int err);

/**
 * mvm_vm_exec - start a program in the guest, beside the VM's own
 * @vm:       a VM that runs
 * @options:  the command at least; stays the caller's
 * @ret_exec: on success, the program's handle
 * @err:      receives the reason of a failure; may be NULL
 *
 * The program has a session of its own. It ends with its handle: mvm_exec_free() before its end, or
 * the end of this process, kills it. Its streams move while mvm_exec_wait() is called.
 *
 * Returns:   0; MVM_E_ARG: no command; MVM_E_STATE: the VM does not run; MVM_E_NET: the agent does
 * not answer; MVM_E_NOMEM; MVM_E_SYS. That the program cannot be started is told by
 * mvm_exec_wait(). Ownership: *ret_exec is for mvm_exec_free(), before @vm is released. Since: 0.1
 */
MVM_PUBLIC int mvm_vm_exec(mvm_vm *vm, const mvm_exec_options *options, mvm_exec **ret_exec,
                           mvm_error **err);

/** mvm_exec_fd - readable when mvm_exec_wait() has something to do; for poll(), never read. All
 * programs of one mvm_vm share it. Since: 0.1 */
MVM_PUBLIC int mvm_exec_fd(const mvm_exec *exec);

/**
 * mvm_exec_wait - move the program's streams until it has ended and its output is written
 * @timeout_ms: milliseconds; 0: do what is due without waiting, negative: without limit
 * @ret_status: on success, how it ended: 0 to 255, 128 + n for signal n; 127: there is no such
 *              program, 126: it may not be executed, both with mvm_exec_message()
 *
 * Returns: 0; MVM_E_TIMEOUT, after which it may be called again; MVM_E_NET: the VM has ended or the
 * agent broke off; MVM_E_GUEST: the guest could not start it, for another reason than the two.
 * Since:   0.1
 */
MVM_PUBLIC int mvm_exec_wait(mvm_exec *exec, int timeout_ms, int *ret_status, mvm_error **err);

/** mvm_exec_message - why there was no program to run; else ""; owned by @exec. Since: 0.1 */
MVM_PUBLIC const char *mvm_exec_message(const mvm_exec *exec);
/** mvm_exec_signal - a signal, 1 to 64, to the program's process group; MVM_E_STATE when it has
 * ended. Since: 0.1 */
MVM_PUBLIC int mvm_exec_signal(mvm_exec *exec, int signal_number, mvm_error **err);
/** mvm_exec_resize - tell its terminal the new size. Since: 0.1 */
MVM_PUBLIC int mvm_exec_resize(mvm_exec *exec, uint16_t rows, uint16_t cols, mvm_error **err);
/** mvm_exec_free - release the handle; a program that still runs is killed. NULL is fine. Since:
 * 0.1
 */
MVM_PUBLIC void mvm_exec_free(mvm_exec *exec);

/** Flags of copies. */
enum mvm_copy_flag {
    MVM_COPY_ARCHIVE = 1 /* owners and set-id bits as they are; else the copying user's, without */
};

/**
 * mvm_vm_copy_in - copy a file or a tree of the host into the guest
 * @host_path:  what to copy; symbolic links in it are copied as links
 * @guest_path: absolute: an existing folder, into which it goes by its own name, or its new name
 * @flags:      of enum mvm_copy_flag
 *
 * Each file appears in the guest when it is whole. Devices, FIFOs and sockets are refused.
 *
 * Returns: 0; MVM_E_NOT_FOUND; MVM_E_ARG; MVM_E_LIMIT; MVM_E_STATE; MVM_E_NET; MVM_E_SYS, also for
 * the guest's own errors. Source: as docker cp has it. Since: 0.1
 */
MVM_PUBLIC int mvm_vm_copy_in(mvm_vm *vm, const char *host_path, const char *guest_path,
                              unsigned flags, mvm_error **err);
/** mvm_vm_copy_out - the other way round. Nothing is written outside of @host_path, whatever the
 * guest sends. Since: 0.1 */
MVM_PUBLIC int mvm_vm_copy_out(mvm_vm *vm, const char *guest_path, const char *host_path,
                               unsigned flags, mvm_error **err);
/** mvm_vm_copy_in_tar - unpack a tar stream, read from @tar_fd to its end, into the existing folder
 * @guest_path. Since: 0.1 */
MVM_PUBLIC int mvm_vm_copy_in_tar(mvm_vm *vm, int tar_fd, const char *guest_path, unsigned flags,
                                  mvm_error **err);
/** mvm_vm_copy_out_tar - write @guest_path as a tar stream to @tar_fd. Since: 0.1 */
MVM_PUBLIC int mvm_vm_copy_out_tar(mvm_vm *vm, const char *guest_path, int tar_fd, mvm_error **err);

/** Figures of a guest, as it tells them itself. */
typedef struct mvm_vm_figures {
    uint32_t struct_size; /* set by MVM_VM_FIGURES() */
    uint32_t cpus;
    uint64_t memory_total; /* bytes, as all of it */
    uint64_t memory_available;
    uint64_t cpu_user_ns; /* of all CPUs since the start */
    uint64_t cpu_system_ns;
    uint64_t cpu_idle_ns;
    uint64_t uptime_ns;
    uint64_t root_total;
    uint64_t root_available;
    uint32_t processes;
    uint32_t execs;         /* programs started beside the VM's own that run */
    uint32_t load_1m_milli; /* thousandths */
    uint32_t reserved;
} mvm_vm_figures;
#define MVM_VM_FIGURES() ((mvm_vm_figures){ .struct_size = sizeof(mvm_vm_figures) })

/** mvm_vm_get_figures - ask the guest for its figures; MVM_E_STATE, MVM_E_NET, MVM_E_TIMEOUT after
 * 10 s. Since: 0.1 */
MVM_PUBLIC int mvm_vm_get_figures(mvm_vm *vm, mvm_vm_figures *ret, mvm_error **err);

/**
 * mvm_vm_agent_fd - a connection of the caller's own to the guest's agent
 * @ret_fd: on success, a connected stream socket (CLOEXEC), the caller's to close
 *
 * It speaks ttrpc; the service is microvm.agent.v1.Agent of src/agent/proto/agent.proto. Closing it
 * ends the programs that were started over it.
 *
 * Returns: 0; MVM_E_STATE: the VM does not run; MVM_E_SYS.
 * Source:  containerd/ttrpc, PROTOCOL.md.
 * Since:   0.1
 */
MVM_PUBLIC int mvm_vm_agent_fd(mvm_vm *vm, int *ret_fd, mvm_error **err);

#ifdef __cplusplus
}
#endif

#endif
