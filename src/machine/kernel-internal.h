/* SPDX-License-Identifier: Apache-2.0 */
/* What finding and fetching kernels share. */
#ifndef MACHINE_KERNEL_INTERNAL_H
#define MACHINE_KERNEL_INTERNAL_H

#include "machine/kernel.h"

#define KERNELS_DIR "kernels"
#define KERNEL_INFO "kernel.json"
/* Most bytes of kernel.json. */
#define KERNEL_INFO_MAX 65536

/* The kernel in the folder @path; NULL when there is none that is whole, by the sizes of its files.
 */
struct kernel *kernel_load(const char *path);
/* The newest in @cache_dir/kernels; MVM_E_NOT_FOUND when there is none. */
int kernel_find_fetched(const char *cache_dir, struct kernel **ret, mvm_error **err);

#endif
