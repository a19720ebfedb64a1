/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that QEMU is given. It opens none by itself, so that its cage can be shut; a root disk
 * of several extents comes with a list of them, which QEMU reads as a disk image of its own kind.
 */
#ifndef MACHINE_QEMU_FILES_H
#define MACHINE_QEMU_FILES_H

#include "machine/machine.h"

struct qemu_files {
    int kernel_fd; /* owned */
    int root_fd;   /* owned: the root disk, or the list of its extents */
    int upper_fd;  /* owned; -EBADF: none */
    int *extents;  /* owned: of a root disk of several */
    size_t n_extents;
};
#define QEMU_FILES_NONE                                            \
    {                                                              \
        .kernel_fd = -EBADF, .root_fd = -EBADF, .upper_fd = -EBADF \
    }
void qemu_files_deinit(struct qemu_files *f);
MVM_DEFINE_AUTOVALUE(qemu_files, qemu_files_deinit)

/* MVM_E_NOT_FOUND and MVM_E_FORMAT name the file; MVM_E_LIMIT when this process and its children
 * may not have as many open. */
int qemu_files_open(const struct machine_spec *spec, struct qemu_files *ret, mvm_error **err);

#endif
