/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which modules a guest needs, and in which order: the closure of a few names under the modules'
 * own "depends" and "softdep", dependencies first. Names treat '-' and '_' alike, as the kernel
 * does.
 */
#ifndef MACHINE_MODULES_H
#define MACHINE_MODULES_H

#include "base/error.h"
#include "base/mem.h"
#include "machine/modinfo.h"

/* Lists of a release: about 700 lines in Debian's cloud kernel, 4000 in its largest. */
#define MODULES_LIST_MAX (4u << 20)

/* A kernel's modules.order and modules.builtin: one path a line, relative to lib/modules/<release>.
 */
struct modules_list {
    struct strv paths;   /* "kernel/fs/erofs/erofs.ko" */
    struct strv builtin; /* the same, of what is part of the kernel */
};
void modules_list_deinit(struct modules_list *l);
MVM_DEFINE_AUTOVALUE(modules_list, modules_list_deinit)
/* Splits the text of such a file; empty lines are skipped. */
int modules_parse_list(const char *text, size_t len, struct strv *ret, mvm_error **err);

/* Reads what the module at @path says of itself. */
typedef int modules_info_fn(void *user, const char *path, struct modinfo *ret, mvm_error **err);

/* Appends to @ret the paths of @names and all that they need, each once, in load order. What is
 * built in is left out. MVM_E_NOT_FOUND names a missing module and who needs it; a missing soft
 * dependency is none. MVM_E_FORMAT for a cycle. */
int modules_resolve(const struct modules_list *list, const char *const *names, size_t n,
                    modules_info_fn *info, void *user, struct strv *ret, mvm_error **err);

#endif
