/* SPDX-License-Identifier: Apache-2.0 */
/* From an unpacked Debian kernel package to the folder of a guest kernel (see kernel.h). */
#ifndef MACHINE_KERNEL_PACK_H
#define MACHINE_KERNEL_PACK_H

#include "base/error.h"

/* @tree_fd: the package's root, with boot/vmlinuz-<release> and lib/modules/<release> (or below
 * usr/). Writes vmlinux, modules.cpio and kernel.json into @out_fd. @package and @version go into
 * kernel.json. *ret_release is owned by the caller. */
int kernel_pack(int tree_fd, int out_fd, const char *package, const char *version,
                char **ret_release, mvm_error **err);

#endif
