/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A merged tree as a real directory: for a caller's hooks, for `--rootfs` and for libkrun
 * (design.md, section 8). The second way to present an image; the first is block.h.
 *
 * Each name of the image is created in a held directory, as one component that is never followed.
 * Files are new inodes: nothing is shared with the store that a writer could change.
 *
 * A process that may (root, outside of a user namespace that lacks ids) gives files their owners,
 * modes of 12 bits, times, devices and extended attributes. What it may not set is kept for the
 * file server in attributes (override.h), and a file is then
 *   - readable and writable for its owner whatever its mode, so that the server can do its work,
 *     and without set-id and sticky bits, which have no business at an ordinary user's file;
 *   - for a device or a FIFO an empty regular file, whose attribute says what it is.
 * Names of attributes outside "user.", "trusted.", "system.posix_acl_" and "security.capability"
 * would speak to the host (a label of SELinux): these are always kept as override_xattr. A server
 * takes a file without override_stat for what the host's file is, with its own user and group as
 * root.
 *
 * What cannot be kept at all (the owner of a symlink, which has no "user." attributes; an
 * attribute where the file system has no room for it) is counted and named, never lost in silence.
 */
#ifndef ROOTFS_DIRECTORY_H
#define ROOTFS_DIRECTORY_H

#include "image/tree.h"

#include <stdbool.h>

enum rootfs_copy {        /* from the best to the worst */
    ROOTFS_COPY_NONE = 0, /* no file was large enough */
    ROOTFS_COPY_CLONE,    /* extents are shared: FICLONERANGE */
    ROOTFS_COPY_KERNEL,   /* copy_file_range() */
    ROOTFS_COPY_PLAIN     /* read and written */
};

struct rootfs_directory_report {
    enum rootfs_copy copy; /* the worst that was needed */
    bool overrides;        /* something is kept in attributes alone */
    uint64_t lost;         /* owners, modes and attributes that could not be kept */
    char *first_lost;      /* owned: which one, for a message; NULL: none */
};
void rootfs_directory_report_deinit(struct rootfs_directory_report *r);
MVM_DEFINE_AUTOVALUE(rootfs_directory_report, rootfs_directory_report_deinit)

/* @tree: after tree_finish(). @data_fds: of each layer its data file, opened for reading, or -EBADF
 * where it has no content; borrowed, their offsets move. @parent_fd: a folder that is ours and
 * closed to all others (mode 0700), since a directory root has set-id programs and devices;
 * borrowed. @name: one component, which must not be there: MVM_E_EXISTS. It appears when all is in
 * it, and after a failure nothing is left; a process that is killed leaves a folder ".rootfs-*" at
 * most. Nothing is synced. @tick may be NULL. MVM_E_DIGEST: the store is damaged. */
int rootfs_directory_make(const struct tree *tree, const int *data_fds, int parent_fd,
                          const char *name, struct image_tick *tick,
                          struct rootfs_directory_report *ret, mvm_error **err);

#endif
