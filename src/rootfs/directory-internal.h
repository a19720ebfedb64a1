/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory.c             the two walks: everything is made, then directories get their attributes
 * directory-entry.c       one name
 * directory-copy.c        the content of a file
 * directory-attributes.c  owner, extended attributes, mode, times
 */
#ifndef ROOTFS_DIRECTORY_INTERNAL_H
#define ROOTFS_DIRECTORY_INTERNAL_H

#include "rootfs/directory.h"

#include <limits.h>

/* An open directory on the way from the root to where a walk is. */
struct presented_dir {
    int fd; /* owned */
    tree_entry entry;
};

struct presenter {
    const struct tree *tree; /* borrowed, and so are these: */
    const int *data_fds;
    struct image_tick *tick;
    bool native; /* owners can be set */
    struct presented_dir dirs[TREE_DEPTH_MAX + 1];
    size_t n_dirs;
    struct layer_cursor cursor; /* of the inode at hand */
    uint32_t layer;             /* where its content is */
    unsigned looked;            /* entries since the indexes' memory was given back */
    bool no_clone, no_copy_range;
    struct rootfs_directory_report report;
};

/* The name of an entry, for system calls. */
struct present_name {
    char text[NAME_MAX + 1];
};
struct present_name presenter_name(const struct presenter *p, tree_entry e);

/* directory-entry.c: makes @e in the directory on top; of a directory only itself. */
int present_entry(struct presenter *p, tree_entry e, mvm_error **err);

/* directory-copy.c: the content of the inode at hand to the new file @fd. */
int present_content(struct presenter *p, int fd, mvm_error **err);

/* directory-attributes.c, of the inode at hand: */

/* What has a descriptor: files and directories. @type: what it stands for, of an empty file that
 * stands for a device or a FIFO; else its own type. */
int present_attributes(struct presenter *p, int fd, mode_t type, mvm_error **err);
/* Symlinks, and devices and FIFOs that are such. */
int present_attributes_at(struct presenter *p, int dir_fd, const char *name, mvm_error **err);

#endif
