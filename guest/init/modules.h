/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel modules of the initramfs: /lib/modules/<release>/order names them, one path (below that
 * folder) a line, dependencies first. Without that file everything is built in.
 */
#ifndef INIT_MODULES_H
#define INIT_MODULES_H

#include "base/error.h"

/* A module that is there already, or whose device is not, is no failure. */
int modules_load(mvm_error **err);

#endif
