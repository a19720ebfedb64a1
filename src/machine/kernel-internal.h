/* SPDX-License-Identifier: Apache-2.0 */
/* What finding and fetching kernels share. */
#ifndef MACHINE_KERNEL_INTERNAL_H
#define MACHINE_KERNEL_INTERNAL_H

#include "machine/kernel.h"

#define KERNELS_DIR "kernels"
#define KERNEL_INFO "kernel.json"
/* Most bytes of kernel.json. */
#define KERNEL_INFO_MAX 65536
#define KERNEL_INFO_FORMAT "format"
/* There, with the digest of what decided its options: our own build. */
#define KERNEL_INFO_BUILT "built"
/* What a packed kernel has, as a number in kernel.json that grows with the list of its modules; one
 * without the number is of format 1. The guest would miss a module only when it comes to use it, so
 * a kernel of an earlier format counts as absent, and is fetched again. A later one has all that we
 * need.
 *   1: ports, disk, erofs, overlay     2: vsock too */
#define KERNEL_FORMAT 2

/* The kernel in the folder @path; NULL when there is none that is whole, by the sizes of its files.
 * A whole one of an earlier format is NULL too, and sets *@outdated unless that is NULL. */
struct kernel *kernel_load(const char *path, bool *outdated);
/* Debian's newest in @cache_dir/kernels; MVM_E_NOT_FOUND when there is none that kernel_load()
 * takes. */
int kernel_find_fetched(const char *cache_dir, struct kernel **ret, mvm_error **err);

#endif
