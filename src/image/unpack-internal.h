/* SPDX-License-Identifier: Apache-2.0 */
/* The state that the parts of the unpacker share. */
#ifndef IMAGE_UNPACK_INTERNAL_H
#define IMAGE_UNPACK_INTERNAL_H

#include "image/keymap.h"
#include "image/layer-unpack.h"
#include "image/owner-map.h"
#include "image/rootfs-walk.h"
#include "image/tar-reader.h"

/* What a directory gets in the end. */
struct dir_attributes {
    mode_t mode;
    uid_t uid;
    gid_t gid;
    struct timespec mtime;
};

struct rootfs_unpack {
    int root_fd; /* borrowed */
    struct unpack_limits limits;
    const struct log *log;   /* borrowed */
    bool keeps_owners;       /* the tree carries them */
    struct owner_map owners; /* those of all files, carried or not */
    uint64_t entries, file_bytes;
    uint64_t seed;
    struct keymap marks;               /* names of this layer: see enum unpack_mark */
    struct keymap dirs;                /* inode of a directory to its index in attributes */
    struct dir_attributes *attributes; /* owned */
    size_t n_attributes, attributes_cap;
    struct walk to;   /* where entries go */
    struct walk from; /* where hard links come from */
};

enum unpack_mark {
    MARK_MADE = 1,   /* the layer has an entry of this name */
    MARK_THROUGH = 2 /* the layer has entries below it */
};
int unpack_mark(struct rootfs_unpack *u, enum unpack_mark mark, uint64_t dir_ino, const char *name,
                mvm_error **err);
bool unpack_is_marked(const struct rootfs_unpack *u, enum unpack_mark mark, uint64_t dir_ino,
                      const char *name);

/* What the directory with this inode gets in the end. */
int unpack_set_dir(struct rootfs_unpack *u, uint64_t ino, const struct dir_attributes *a,
                   mvm_error **err);
/* Of a directory that no entry describes: 0755, root's; time 0, so that the same layers give the
 * same image. */
#define DIR_ATTRIBUTES_DEFAULT ((struct dir_attributes){ .mode = 0755 })

/* Removes whatever @name is in the directory; absent is fine. */
int unpack_remove(struct rootfs_unpack *u, int dir_fd, const char *name, mvm_error **err);
/* Walks to the directory @path, making what is missing, and marks it as gone through. */
int unpack_enter(struct rootfs_unpack *u, const char *path, mvm_error **err);

/* unpack-entry.c: one entry that is no whiteout, @name in the directory where u->to stands; NULL:
 * the root itself. */
int unpack_entry(struct rootfs_unpack *u, struct tar_reader *tar, const struct tar_entry *e,
                 const char *name, mvm_error **err);
/* unpack-attributes.c */
int unpack_set_xattrs(struct rootfs_unpack *u, struct tar_reader *tar, int fd, mvm_error **err);
/* As unpack_set_xattrs(), but what a lower layer's entry had set goes first. */
int unpack_replace_dir_xattrs(struct rootfs_unpack *u, struct tar_reader *tar, int fd,
                              mvm_error **err);
int unpack_set_link_xattrs(struct rootfs_unpack *u, struct tar_reader *tar, int dir_fd,
                           const char *name, mvm_error **err);
/* The owner, and the record of it, of @name in the directory, or of @dir_fd itself for "". */
int unpack_chown(struct rootfs_unpack *u, int dir_fd, const char *name, uid_t uid, gid_t gid,
                 mvm_error **err);
int unpack_record(struct rootfs_unpack *u, int dir_fd, const char *name,
                  const struct owner_record *record, mvm_error **err);
/* unpack-whiteout.c: @name begins with ".wh."; @parent is the normal path of its directory. */
int unpack_whiteout(struct rootfs_unpack *u, const char *parent, const char *name, mvm_error **err);

/* unpack-name.c: the normal form of an entry's name or a hard link's source: no ".", no empty
 * component. What climbs out, is absolute, too long or too deep is refused. "" is the root. *ret is
 * owned by the caller. */
int unpack_normal_name(const char *name, size_t depth_max, char **ret, mvm_error **err);
/* Splits a normal path: *ret_parent (owned) and the last component, borrowed from @path; NULL for
 * the root. */
int unpack_split(const char *path, char **ret_parent, const char **ret_name, mvm_error **err);

#endif
