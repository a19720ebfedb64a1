/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest kernel must have for our init to get as far as the program. A kernel that carries
 * its own .config (CONFIG_IKCONFIG) is asked before the start; Debian's does not, nor does a
 * bzImage, whose content is compressed: what they lack, init tells.
 */
#ifndef MACHINE_KERNEL_NEEDS_H
#define MACHINE_KERNEL_NEEDS_H

#include "base/error.h"
#include "machine/kernel-config.h"

/* MVM_E_UNSUPPORTED names the options that are off. */
int kernel_needs_check(const struct kconfig *c, mvm_error **err);
/* The .config inside the image in @fd, when there is one that can be read; @path is for messages.
 */
int kernel_needs_check_image(int fd, const char *path, mvm_error **err);
/* The same for an image in memory. */
int kernel_needs_check_bytes(const void *data, size_t len, mvm_error **err);

#endif
