/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes and directories of an EROFS image (linux/fs/erofs/erofs_fs.h): as much of the format as
 * mkfs.erofs writes without compression, in blocks of 4 KiB. Every place is checked against the
 * file's size before it is read; what does not fit is MVM_E_FORMAT.
 */
#ifndef IMAGE_EROFS_H
#define IMAGE_EROFS_H

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

/* EROFS_NAME_LEN of Linux. */
#define EROFS_NAME_MAX 255

struct erofs {
    int fd; /* borrowed */
    uint64_t size;
    uint64_t meta; /* where inode number 0 would be */
    uint64_t root_nid;
};
struct erofs_inode { /* an extended one */
    uint64_t at;     /* its place in the file */
    uint64_t size;
    uint64_t inline_at; /* where a tail that is kept beside the inode begins */
    uint32_t block;     /* first block of the data, for what has data */
    unsigned layout;
    mode_t mode;
};
struct erofs_entry {
    char name[EROFS_NAME_MAX + 1];
    uint64_t nid;
    uint64_t type_at; /* place of the byte that repeats the inode's type */
};

/* @fd is borrowed. */
int erofs_open(int fd, struct erofs *ret, mvm_error **err);
int erofs_read_inode(const struct erofs *fs, uint64_t nid, struct erofs_inode *ret,
                     mvm_error **err);
/* 0, or a negative code that ends the listing. */
typedef int erofs_entry_fn(void *user, const struct erofs_entry *entry, mvm_error **err);
/* Calls @fn for all but "." and "..". The names rise strictly, as the kernel's search in them
 * needs: none comes twice. */
int erofs_list(const struct erofs *fs, const struct erofs_inode *dir, erofs_entry_fn *fn,
               void *user, mvm_error **err);
int erofs_set_owner(const struct erofs *fs, const struct erofs_inode *inode, uid_t uid, gid_t gid,
                    mvm_error **err);
/* Makes a device of an empty regular file, seen in the directory as @entry. @type is S_IFCHR or
 * S_IFBLK. */
int erofs_set_device(const struct erofs *fs, const struct erofs_inode *inode,
                     const struct erofs_entry *entry, mode_t type, dev_t device, mvm_error **err);

#endif
