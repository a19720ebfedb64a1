/* SPDX-License-Identifier: Apache-2.0 */
#include "image/rootfs-owners.h"

#include "image/erofs.h"

#include <fcntl.h>
#include <sys/stat.h>

struct owners_walk {
    const struct erofs *fs;
    const struct owner_map *owners;
    struct image_tick *tick;
};
struct folder { /* the same directory in the tree and in the image */
    const struct owners_walk *walk;
    int fd; /* borrowed */
    unsigned depth;
};

static int set_entry(void *user, const struct erofs_entry *entry, mvm_error **err);

static int enter_folder(const struct folder *parent, const struct erofs_entry *entry,
                        const struct erofs_inode *inode, const struct stat *st, mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    struct folder folder = { .walk = parent->walk, .depth = parent->depth + 1 };

    if (folder.depth > ROOTFS_OWNERS_DEPTH_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "deeper than %d directories", ROOTFS_OWNERS_DEPTH_MAX);
    /* A directory, not a link: the tree is ours alone. */
    if ((st->st_mode & 0700) != 0700 && fchmodat(parent->fd, entry->name, 0700, 0) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open up the directory '%s'", entry->name);
    fd = openat(parent->fd, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the directory '%s'", entry->name);
    folder.fd = fd;
    return erofs_list(parent->walk->fs, inode, set_entry, &folder, err);
}

static int set_device(const struct owners_walk *walk, const struct erofs_entry *entry,
                      const struct erofs_inode *inode, const struct owner_record *record,
                      mvm_error **err)
{
    /* Under a second name the inode is a device already, and only the entry is not. */
    if (inode->size != 0 ||
        (!S_ISREG(inode->mode) && (inode->mode & S_IFMT) != record->device_type))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' stands for a device and is not empty",
                        entry->name);
    return erofs_set_device(walk->fs, inode, entry, record->device_type, record->device, err);
}

static int set_entry(void *user, const struct erofs_entry *entry, mvm_error **err)
{
    const struct folder *folder = user;
    const struct owners_walk *walk = folder->walk;
    struct erofs_inode inode;
    struct owner_record record;
    struct stat st;
    int r = image_tick(walk->tick, err);

    if (r == 0)
        r = erofs_read_inode(walk->fs, entry->nid, &inode, err);
    if (r < 0)
        return r;
    if (fstatat(folder->fd, entry->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_FORMAT : MVM_E_SYS, errno,
                        "'%s' is in the EROFS image, but not in the tree", entry->name);
    if (S_ISDIR(st.st_mode) != S_ISDIR(inode.mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is of another type in the EROFS image",
                        entry->name);
    record = owner_map_get(walk->owners, st.st_ino);
    r = erofs_set_owner(walk->fs, &inode, record.uid, record.gid, err);
    if (r == 0 && record.device_type)
        r = set_device(walk, entry, &inode, &record, err);
    if (r < 0 || !S_ISDIR(st.st_mode))
        return r;
    return enter_folder(folder, entry, &inode, &st, err);
}

int rootfs_owners_set(int image_fd, int tree_fd, const struct owner_map *owners,
                      struct image_tick *tick, mvm_error **err)
{
    struct erofs fs;
    const struct owners_walk walk = { .fs = &fs, .owners = owners, .tick = tick };
    struct folder root = { .walk = &walk, .fd = tree_fd };
    struct owner_record record;
    struct erofs_inode inode;
    struct stat st;
    int r = erofs_open(image_fd, &fs, err);

    if (r == 0)
        r = erofs_read_inode(&fs, fs.root_nid, &inode, err);
    if (r < 0)
        return r;
    if (!S_ISDIR(inode.mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "the root of the EROFS image is no directory");
    if (fstat(tree_fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at the tree");
    record = owner_map_get(owners, st.st_ino);
    r = erofs_set_owner(&fs, &inode, record.uid, record.gid, err);
    return r < 0 ? r : erofs_list(&fs, &inode, set_entry, &root, err);
}
