/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The initramfs of one VM: microvm-init, the kernel's modules.cpio, then files of this VM (its
 * configs, which may hold secrets), composed in a sealed memfd at start; nothing of it touches a
 * disk. The format is "newc" cpio, several archives after one another (Linux,
 * Documentation/driver-api/early-userspace/buffer-format.rst).
 */
#ifndef MACHINE_INITRAMFS_H
#define MACHINE_INITRAMFS_H

#include "base/error.h"
#include "base/strbuf.h"

#include <stddef.h>
#include <sys/types.h>

struct initramfs_file {
    const char *path; /* "init", "etc/x": relative, no "..", parents must come before (as a
                         directory entry) */
    mode_t mode;      /* type and permission bits: S_IFREG | 0755, S_IFDIR | 0755 */
    const void *data; /* borrowed */
    size_t len;
};
/* Appends one newc archive with @files, in order, and its trailer, padded to 4 bytes. All mtimes
 * are 0, owners root. */
int cpio_append(struct strbuf *out, const struct initramfs_file *files, size_t n, mvm_error **err);

/* @init_path: the guest's PID 1. @modules_path may be NULL. @archive_fd: one more archive, read to
 * its end; negative: none. */
int initramfs_build(const char *init_path, const char *modules_path,
                    const struct initramfs_file *files, size_t n, int archive_fd, int *ret_fd,
                    mvm_error **err);

#endif
