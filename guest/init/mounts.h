/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's file systems: what init itself needs in the initramfs, and what a program expects in
 * its root. */
#ifndef INIT_MOUNTS_H
#define INIT_MOUNTS_H

#include "base/error.h"

/* /dev and /sys of the initramfs. */
int mounts_make_early(mvm_error **err);
/* In the final root, which is "/" by now: /proc, /sys, /dev and what lies below them, then the
 * links in /dev. */
int mounts_make(mvm_error **err);
/* mount(2). The failure names @what and, where the kernel has no such file system, its option;
 * errno stays. */
int mounts_mount(const char *source, const char *target, const char *type, unsigned long flags,
                 const char *data, const char *what, mvm_error **err);

#endif
