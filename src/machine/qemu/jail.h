/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's cage in the file system and the network, by Landlock (Linux,
 * Documentation/userspace-api/landlock.rst), which needs no privilege: it may read and execute what
 * the distribution installed, read the kernel file it was given, use /dev/kvm, and open nothing
 * else; it makes no TCP connection and reaches no abstract socket and no process outside. Its own
 * filter on system calls (-sandbox) comes on top.
 */
#ifndef MACHINE_QEMU_JAIL_H
#define MACHINE_QEMU_JAIL_H

#include "base/error.h"

/* A ruleset for jail_enter(), with a number of at least @fd_min, above those that the child's
 * descriptors are dealt to. @kernel_fd: a file that may be read. *ret_fd is -EBADF, and the
 * result 0, where the running kernel has no Landlock. */
int jail_make(int kernel_fd, int fd_min, int *ret_fd, mvm_error **err);
/* In the child, before exec: only system calls. @user: pointer to the ruleset's descriptor. Gives 0
 * or an errno. */
int jail_enter(void *user);

#endif
