/* SPDX-License-Identifier: Apache-2.0 */
/* Files that the host puts into the guest's root before the program starts. They travel beside the
 * initramfs and touch no disk. */
#ifndef VM_GUEST_FILES_H
#define VM_GUEST_FILES_H

#include "vm/options-internal.h"

/* *ret_fd: a sealed memfd with a cpio archive for the initramfs; -EBADF where there is no file to
 * put. */
int guest_files_build(const mvm_options *options, int *ret_fd, mvm_error **err);

#endif
