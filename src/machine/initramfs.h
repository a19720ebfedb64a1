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

struct initramfs_parts {
    const char *init_path;              /* the guest's PID 1 */
    const char *modules_path;           /* archives for the kernel; NULL: none */
    const struct initramfs_file *files; /* of this VM */
    size_t n_files;
    int archive_fd; /* more archives, read to their end; negative: none */
};
/* *ret_fd: a sealed memfd, at its start. */
int initramfs_build(const struct initramfs_parts *parts, int *ret_fd, mvm_error **err);

#endif
