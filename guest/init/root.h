/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root of the program: the image, read-only, under a private upper layer in memory. Called
 * once, in the initramfs; on success "/" is the new root, the working directory is in it, and
 * nothing of the initramfs is left.
 */
#ifndef INIT_ROOT_H
#define INIT_ROOT_H

#include "base/error.h"

int root_switch(const char *device, const char *fstype, mvm_error **err);

#endif
