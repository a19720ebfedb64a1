/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The extents of a root disk of several: the key `root_extents` of the runner's config. It is there
 * only beside a `root_path` that names the first of them.
 */
#ifndef RUNNER_ROOT_EXTENTS_H
#define RUNNER_ROOT_EXTENTS_H

#include "base/json.h"
#include "base/mem.h"
#include "machine/machine.h"

struct root_extents {
    struct machine_extent *items; /* owned, paths too */
    size_t n;                     /* 0, or 2 to MACHINE_EXTENTS_MAX */
};
void root_extents_deinit(struct root_extents *e);
MVM_DEFINE_AUTOVALUE(root_extents, root_extents_deinit)

/* Adds the key to @j, where there are any. False when out of memory. */
bool root_extents_encode(const struct root_extents *e, json_t *j);
/* @root_path: the first extent is to be the same file. @ret must be zeroed. */
int root_extents_decode(const json_t *j, const char *root_path, struct root_extents *ret,
                        mvm_error **err);

#endif
