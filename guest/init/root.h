/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root of the program: the image, read-only, under a private upper layer on the VM's own disk
 * or in memory. root_switch() is called once, in the initramfs; on success "/" is the new root, the
 * working directory is in it, and nothing of the initramfs is left.
 */
#ifndef INIT_ROOT_H
#define INIT_ROOT_H

#include "agent/boot-config.h"
#include "base/error.h"

int root_switch(const struct boot_config *boot, mvm_error **err);
/* From here on nothing is written to the root, but to what is mounted in it. */
int root_make_read_only(mvm_error **err);

#endif
