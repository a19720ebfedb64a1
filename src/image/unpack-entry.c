/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One tar entry becomes one name. Nothing that exists is ever written to: what stands in the way is
 * unlinked, and the new file is made exclusively, since the old inode may have other names.
 */
#include "image/unpack-internal.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct job {
    struct rootfs_unpack *u;
    struct tar_reader *tar;
    const struct tar_entry *e;
    const char *name; /* in the directory where u->to stands */
    int dir_fd;       /* of that directory; borrowed */
};

typedef int make_fn(const struct tar_entry *e, int dir_fd, const char *name);

/* Calls @make; when something stands in the way, removes it and tries once more. *ret is what @make
 * gave. */
static int make_fresh(const struct job *j, make_fn *make, const char *what, int *ret,
                      mvm_error **err)
{
    int made = make(j->e, j->dir_fd, j->name);

    if (made < 0 && errno == EEXIST) {
        int r = unpack_remove(j->u, j->dir_fd, j->name, err);

        if (r < 0)
            return r;
        made = make(j->e, j->dir_fd, j->name);
    }
    if (made < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make the %s", what);
    *ret = made;
    return 0;
}

static int make_file(const struct tar_entry *e, int dir_fd, const char *name)
{
    (void) e;
    return openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static int make_symlink(const struct tar_entry *e, int dir_fd, const char *name)
{
    return symlinkat(e->link, dir_fd, name);
}

static int make_node(const struct tar_entry *e, int dir_fd, const char *name)
{
    mode_t type = e->kind == TAR_CHAR ? S_IFCHR : e->kind == TAR_BLOCK ? S_IFBLK : S_IFIFO;

    return mknodat(dir_fd, name, type | 0600, e->device);
}

static int write_block(int fd, const unsigned char *data, size_t len, uint64_t offset,
                       mvm_error **err)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t) offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "write");
        data += n;
        len -= (size_t) n;
        offset += (uint64_t) n;
    }
    return 0;
}

static int write_content(const struct job *j, int fd, mvm_error **err)
{
    const struct tar_entry *e = j->e;
    struct rootfs_unpack *u = j->u;
    uint64_t end = 0, offset = 0;
    const void *data = NULL;
    size_t len = 0;
    int r;

    if (e->size > u->limits.file_bytes - u->file_bytes)
        return mvm_fail(err, MVM_E_LIMIT, 0,
                        "the files of the image exceed the limit of %llu bytes",
                        (unsigned long long) u->limits.file_bytes);
    u->file_bytes += e->size;
    while ((r = tar_reader_data(j->tar, &data, &len, &offset, err)) > 0) {
        if (len > e->size || offset > e->size - len)
            return mvm_fail(err, MVM_E_FORMAT, 0, "content beyond the size of %llu bytes",
                            (unsigned long long) e->size);
        r = write_block(fd, data, len, offset, err);
        if (r < 0)
            return r;
        end = offset + len;
    }
    if (r == 0 && end < e->size && ftruncate(fd, (off_t) e->size) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the size");
    return r;
}

/* Owner first: a change of owner takes the set-id bits and capabilities away. */
static int finish_file(const struct job *j, int fd, mvm_error **err)
{
    const struct timespec times[2] = { j->e->mtime, j->e->mtime };
    int r = unpack_chown(j->u, fd, "", j->e->uid, j->e->gid, err);

    if (r == 0)
        r = unpack_set_xattrs(j->u, j->tar, fd, err);
    if (r < 0)
        return r;
    if (fchmod(fd, j->e->mode) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the mode");
    if (futimens(fd, times) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the time");
    return 0;
}

static int unpack_file(const struct job *j, mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    int r = make_fresh(j, make_file, "file", &fd, err);

    if (r == 0)
        r = write_content(j, fd, err);
    return r < 0 ? r : finish_file(j, fd, err);
}

/* The time of what has no descriptor of its own. */
static int set_time(const struct job *j, mvm_error **err)
{
    const struct timespec times[2] = { j->e->mtime, j->e->mtime };

    if (utimensat(j->dir_fd, j->name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the time");
    return 0;
}

static int unpack_symlink(const struct job *j, mvm_error **err)
{
    const char *target = j->e->link;
    int made, r;

    if (!target || !*target)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a symlink without a target");
    if (strlen(target) >= PATH_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "the symlink's target has %zu bytes, the limit is %d",
                        strlen(target), PATH_MAX - 1);
    r = make_fresh(j, make_symlink, "symlink", &made, err);
    if (r == 0)
        r = unpack_chown(j->u, j->dir_fd, j->name, j->e->uid, j->e->gid, err);
    if (r == 0)
        r = unpack_set_link_xattrs(j->u, j->tar, j->dir_fd, j->name, err);
    return r < 0 ? r : set_time(j, err);
}

/* Just made by us in a directory that is ours alone: it is no symlink that fchmodat() could follow.
 */
static int finish_node(const struct job *j, mvm_error **err)
{
    int r = unpack_chown(j->u, j->dir_fd, j->name, j->e->uid, j->e->gid, err);

    if (r < 0)
        return r;
    if (fchmodat(j->dir_fd, j->name, j->e->mode, 0) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the mode");
    return set_time(j, err);
}

/* What only a privileged process may make: an empty file stands for it in the tree. */
static int stand_in(const struct job *j, mvm_error **err)
{
    const struct tar_entry *e = j->e;
    const struct owner_record record = { .uid = e->uid,
                                         .gid = e->gid,
                                         .device_type = e->kind == TAR_CHAR ? S_IFCHR : S_IFBLK,
                                         .device = e->device };
    mvm_autoclose int fd = -EBADF;
    int r = make_fresh(j, make_file, "device's stand-in", &fd, err);

    if (r == 0)
        r = finish_file(j, fd, err);
    if (r < 0)
        return r;
    j->u->keeps_owners = false;
    return unpack_record(j->u, fd, "", &record, err);
}

static int unpack_node(const struct job *j, mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    int made, r = make_fresh(j, make_node, j->e->kind == TAR_FIFO ? "FIFO" : "device", &made, &why);

    if (r == MVM_E_SYS && mvm_error_errno(why) == EPERM && j->e->kind != TAR_FIFO)
        return stand_in(j, err);
    if (r < 0) {
        error_move(err, steal_ptr(&why));
        return r;
    }
    return finish_node(j, err);
}

static int unpack_dir(const struct job *j, mvm_error **err)
{
    const struct dir_attributes a = { j->e->mode, j->e->uid, j->e->gid, j->e->mtime };
    mvm_autoclose int fd = -EBADF;
    struct stat st;

    if (mkdirat(j->dir_fd, j->name, 0700) < 0) {
        int r;

        if (errno != EEXIST || fstatat(j->dir_fd, j->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "make the directory");
        /* Two directories merge; anything else gives way. */
        r = S_ISDIR(st.st_mode) ? 0 : unpack_remove(j->u, j->dir_fd, j->name, err);
        if (r < 0)
            return r;
        if (!S_ISDIR(st.st_mode) && mkdirat(j->dir_fd, j->name, 0700) < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "make the directory");
    }
    fd = openat(j->dir_fd, j->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the directory");
    if (unpack_set_dir(j->u, st.st_ino, &a, err) < 0)
        return MVM_E_NOMEM;
    return unpack_replace_dir_xattrs(j->u, j->tar, fd, err);
}

static int make_link(const struct job *j, const char *source, mvm_error **err)
{
    int from = walk_top(&j->u->from)->fd;
    struct stat st, there;

    if (fstatat(from, source, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_FORMAT : MVM_E_SYS, errno,
                        "hard link to '%.256s'", j->e->link);
    if (S_ISDIR(st.st_mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "hard link to '%.256s', which is a directory",
                        j->e->link);
    if (fstatat(j->dir_fd, j->name, &there, AT_SYMLINK_NOFOLLOW) == 0) {
        /* A link to itself, or one that is there already: removing it could remove its source. */
        if (there.st_ino == st.st_ino)
            return 0;
        int r = unpack_remove(j->u, j->dir_fd, j->name, err);

        if (r < 0)
            return r;
    }
    if (linkat(from, source, j->dir_fd, j->name, 0) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "hard link to '%.256s'", j->e->link);
    return 0;
}

static int unpack_hardlink(const struct job *j, mvm_error **err)
{
    mvm_autofree char *path = NULL, *parent = NULL;
    const char *source = NULL;
    int r = unpack_normal_name(j->e->link, j->u->limits.depth, &path, err);

    if (r == 0)
        r = unpack_split(path, &parent, &source, err);
    if (r == 0 && !source)
        r = mvm_fail(err, MVM_E_FORMAT, 0, "it is the root");
    if (r == 0)
        r = walk_to(&j->u->from, parent, NULL, err);
    if (r > 0)
        r = mvm_fail(err, MVM_E_FORMAT, 0, "%s",
                     r == WALK_MISSING ? "no such file" : "its parent is no directory");
    if (r < 0)
        return mvm_context(err, r, "hard link to '%.256s'", j->e->link);
    return make_link(j, source, err);
}

static int unpack_root(struct rootfs_unpack *u, struct tar_reader *tar, const struct tar_entry *e,
                       mvm_error **err)
{
    const struct dir_attributes a = { e->mode, e->uid, e->gid, e->mtime };
    int r;

    if (e->kind != TAR_DIR)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the root of the image must be a directory");
    r = unpack_set_dir(u, u->to.frames[0].ino, &a, err);
    return r < 0 ? r : unpack_replace_dir_xattrs(u, tar, u->root_fd, err);
}

int unpack_entry(struct rootfs_unpack *u, struct tar_reader *tar, const struct tar_entry *e,
                 const char *name, mvm_error **err)
{
    const struct job j = {
        .u = u, .tar = tar, .e = e, .name = name, .dir_fd = walk_top(&u->to)->fd
    };
    int r;

    if (!name)
        return unpack_root(u, tar, e, err);
    switch (e->kind) {
    case TAR_FILE:
        r = unpack_file(&j, err);
        break;
    case TAR_DIR:
        r = unpack_dir(&j, err);
        break;
    case TAR_SYMLINK:
        r = unpack_symlink(&j, err);
        break;
    case TAR_HARDLINK:
        r = unpack_hardlink(&j, err);
        break;
    case TAR_CHAR:
    case TAR_BLOCK:
    case TAR_FIFO:
        r = unpack_node(&j, err);
        break;
    default:
        log_warning(u->log, "image", "'%.256s' is of a kind that no image has; left out", e->name);
        return 0;
    }
    return r < 0 ? r : unpack_mark(u, MARK_MADE, walk_top(&u->to)->ino, name, err);
}
