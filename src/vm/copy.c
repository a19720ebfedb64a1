/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/copy.h"

#include "vm/agent.h"

#include <fcntl.h>
#include <microvm/exec.h>

/* What the four have in common: the connection, the flags, the log. */
struct copying {
    struct agent_client *client; /* borrowed */
    struct copy_options options;
    struct copy_result result;
};

static int copying_init(struct copying *c, mvm_vm *vm, const char *from, const char *to,
                        unsigned flags, mvm_error **err)
{
    if (!vm || !from || !to)
        return mvm_fail(err, MVM_E_ARG, 0, "copy: NULL");
    if (flags & ~(unsigned) MVM_COPY_ARCHIVE)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "copy: unknown flags %#x", flags);
    *c = (struct copying){ .options = { .archive = flags & MVM_COPY_ARCHIVE, .log = &vm->log } };
    return vm_agent_get(vm, &c->client, err);
}

static int own_fd(int fd, int *ret, mvm_error **err)
{
    *ret = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return *ret < 0 ? mvm_fail(err, MVM_E_SYS, errno, "duplicate descriptor %d", fd) : 0;
}

int mvm_vm_copy_in(mvm_vm *vm, const char *host_path, const char *guest_path, unsigned flags,
                   mvm_error **err)
{
    struct copying c;
    int r = copying_init(&c, vm, host_path, guest_path, flags, err);

    return r < 0 ? r : copy_in(c.client, host_path, guest_path, &c.options, &c.result, err);
}

int mvm_vm_copy_out(mvm_vm *vm, const char *guest_path, const char *host_path, unsigned flags,
                    mvm_error **err)
{
    struct copying c;
    int r = copying_init(&c, vm, guest_path, host_path, flags, err);

    return r < 0 ? r : copy_out(c.client, guest_path, host_path, &c.options, &c.result, err);
}

int mvm_vm_copy_in_tar(mvm_vm *vm, int tar_fd, const char *guest_path, unsigned flags,
                       mvm_error **err)
{
    struct copying c;
    int fd = -EBADF;
    int r = copying_init(&c, vm, "", guest_path, flags, err);

    if (r == 0)
        r = own_fd(tar_fd, &fd, err);
    return r < 0 ? r : copy_in_tar(c.client, fd, guest_path, &c.options, &c.result, err);
}

int mvm_vm_copy_out_tar(mvm_vm *vm, const char *guest_path, int tar_fd, mvm_error **err)
{
    struct copying c;
    int fd = -EBADF;
    /* A tar stream says what is there; who unpacks it decides what of that he takes. */
    int r = copying_init(&c, vm, guest_path, "", MVM_COPY_ARCHIVE, err);

    if (r == 0)
        r = own_fd(tar_fd, &fd, err);
    return r < 0 ? r : copy_out_tar(c.client, guest_path, fd, &c.options, &c.result, err);
}
