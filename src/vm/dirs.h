/* SPDX-License-Identifier: Apache-2.0 */
/* Where things live (design.md section 6), and where our own programs are. */
#ifndef VM_DIRS_H
#define VM_DIRS_H

#include "base/error.h"
#include "base/mem.h"

struct dirs {
    char *cache; /* owned: images, kernels and the probe's result; absolute */
    char *vms;   /* owned: one folder a VM; absolute */
};
void dirs_deinit(struct dirs *d);
MVM_DEFINE_AUTOVALUE(dirs, dirs_deinit)

/* @data_dir (NULL: $MICROVM_DATA_DIR) takes both as its "cache" and "vms"; else
 * $XDG_CACHE_HOME/microvm (~/.cache) and $XDG_STATE_HOME/microvm/vms (~/.local/state). Relative XDG
 * values are ignored, as their specification says. Nothing is made here. */
int dirs_init(struct dirs *ret, const char *data_dir, mvm_error **err);

/* Our own programs (base/program.h). */
int dirs_find_runner(char **ret, mvm_error **err);
int dirs_find_init(char **ret, mvm_error **err);
/* The folder of the installation's own kernels. */
const char *dirs_lib(void);

#endif
