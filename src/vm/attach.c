/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs that another process started: found by the folder of their name, whose lock says whether they
 * run, and reached over the control socket in it.
 */
#include "vm/attach.h"

#include "base/clock.h"
#include "runner/control.h"
#include "vm/dirs.h"
#include "vm/options-internal.h"

#include <poll.h>
#include <sys/socket.h>

/* Milliseconds for a runner that has just been started to make its sockets: it does so before
 * anything that takes time. */
#define ATTACH_MS 10000
#define ATTACH_POLL_MS 10
/* Milliseconds that a killed VM's processes have to be gone. */
#define REMOVE_MS 10000

int attach_connect(const struct vmdir *dir, const char *socket_name, int type, int *ret_fd,
                   mvm_error **err)
{
    uint64_t deadline = clock_now_ms() + ATTACH_MS;
    mvm_autoclose int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    struct sockaddr_un address;

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a socket");
    vmdir_socket_address(dir, socket_name, &address);
    while (connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0) {
        int saved = errno;

        if (!vmdir_is_running(dir))
            return mvm_fail(err, MVM_E_STATE, 0, "'%s' does not run", dir->name);
        if (saved != EINTR && saved != ENOENT && saved != ECONNREFUSED)
            return mvm_fail(err, MVM_E_SYS, saved, "connect to '%s'", dir->name);
        if (clock_now_ms() >= deadline)
            return mvm_fail(err, MVM_E_TIMEOUT, saved, "'%s' does not answer", dir->name);
        (void) poll(NULL, 0, ATTACH_POLL_MS);
    }
    /* Who listens there is the runner of the VM that the folder belongs to now: its state is
     * written before its sockets are made, and nobody else's can be while it runs. */
    if (vmdir_check_own(dir, NULL) < 0)
        return mvm_fail(err, MVM_E_STATE, 0,
                        "'%s' does not run any more, but another VM of its name", dir->name);
    *ret_fd = steal_fd(&fd);
    return 0;
}

static int attach(mvm_vm *vm, const char *name, const mvm_options *o, mvm_error **err)
{
    mvm_autovalue(dirs) dirs = { .cache = NULL };
    mvm_autoerror mvm_error *cause = NULL;
    int r;

    if (!vm_name_is_valid(name))
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "'%s' is no name of a VM", name);
    r = dirs_init(&dirs, o->data_dir, err);
    if (r == 0)
        r = vmdir_open(dirs.vms, name, &vm->dir, err);
    if (r < 0)
        return r;
    r = attach_connect(&vm->dir, CONTROL_SOCKET, SOCK_SEQPACKET, &vm->control_fd, &cause);
    if (r == MVM_E_STATE)
        return vm_take_result(vm, err);
    if (r < 0)
        error_move(err, steal_ptr(&cause));
    return r;
}

int mvm_vm_open(const char *name, const mvm_options *options, mvm_vm **ret_vm, mvm_error **err)
{
    mvm_options *defaults = options ? NULL : mvm_options_new();
    const mvm_options *o = options ? options : defaults;
    mvm_vm *vm = o ? vm_new(o) : NULL;
    int r;

    if (vm)
        vm->attached = true;
    if (!name || !ret_vm)
        r = mvm_fail(err, MVM_E_ARG, 0, "mvm_vm_open: NULL");
    else if (!vm)
        r = mvm_fail_nomem(err);
    else
        r = attach(vm, name, o, err);
    mvm_options_free(defaults);
    if (r < 0) {
        mvm_vm_free(vm);
        return r;
    }
    *ret_vm = vm;
    return 0;
}

int mvm_vm_remove(mvm_vm *vm, int force, mvm_error **err)
{
    mvm_autoerror mvm_error *cause = NULL;
    int status, r;

    if (!vm)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_vm_remove: NULL");
    /* One that is just ending may have said so already. */
    if (vm->control_fd >= 0 && !force && mvm_vm_wait(vm, 0, &status, NULL) == MVM_E_TIMEOUT)
        return mvm_fail(err, MVM_E_BUSY, 0, "'%s' runs; it has to be stopped first", vm->dir.name);
    if (vm->control_fd >= 0) {
        r = mvm_vm_stop(vm, 0, err);
        if (r == 0 && mvm_vm_wait(vm, REMOVE_MS, &status, NULL) == MVM_E_TIMEOUT)
            r = mvm_fail(err, MVM_E_TIMEOUT, 0, "'%s' does not end", vm->dir.name);
        if (r < 0)
            return r;
    }
    r = vmdir_take_back(&vm->dir, REMOVE_MS, &cause);
    if (r == MVM_E_NOT_FOUND)
        return 0; /* its runner or somebody else was first */
    if (r < 0) {
        error_move(err, steal_ptr(&cause));
        return r;
    }
    return vmdir_remove(&vm->dir, err);
}
