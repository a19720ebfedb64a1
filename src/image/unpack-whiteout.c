/* SPDX-License-Identifier: Apache-2.0 */
/* Whiteouts (OCI image-spec, layer.md, Whiteouts and Opaque Whiteout). */
#include "image/unpack-internal.h"

#include "base/scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
/* Bookkeeping of AUFS, which old builders left in layers: without effect. */
#define WHITEOUT_AUFS ".wh..wh."

struct folder { /* a directory whose lower content goes */
    int fd;     /* borrowed */
    uint64_t ino;
};

static int purge_content(struct rootfs_unpack *u, const struct folder *dir, mvm_error **err);

static int purge_marked_dir(struct rootfs_unpack *u, const struct folder *parent, const char *name,
                            bool made, mvm_error **err)
{
    mvm_autoclose int fd = openat(parent->fd, name,
                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%.256s'", name);
    /* The lower directory is hidden, and this layer only has something below it. */
    if (!made) {
        int r = unpack_set_dir(u, st.st_ino, &DIR_ATTRIBUTES_DEFAULT, err);

        if (r < 0)
            return r;
    }
    return purge_content(u, &(struct folder){ .fd = fd, .ino = st.st_ino }, err);
}

/* Removes of @name what this layer has not made. */
static int purge_name(struct rootfs_unpack *u, const struct folder *parent, const char *name,
                      mvm_error **err)
{
    bool made = unpack_is_marked(u, MARK_MADE, parent->ino, name);
    bool through = unpack_is_marked(u, MARK_THROUGH, parent->ino, name);
    struct stat st;

    if (fstatat(parent->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : mvm_fail(err, MVM_E_SYS, errno, "look at '%.256s'", name);
    if (S_ISDIR(st.st_mode) && (made || through))
        return purge_marked_dir(u, parent, name, made, err);
    return made ? 0 : unpack_remove(u, parent->fd, name, err);
}

static int purge_content(struct rootfs_unpack *u, const struct folder *dir, mvm_error **err)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    int r = 0;

    if (!list) {
        r = mvm_fail(err, MVM_E_SYS, errno, "list a directory");
        if (fd >= 0)
            (void) close(fd);
        return r;
    }
    while (r == 0 && (errno = 0, e = readdir(list)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = purge_name(u, dir, e->d_name, err);
    if (r == 0 && errno)
        r = mvm_fail(err, MVM_E_SYS, errno, "list a directory");
    (void) closedir(list);
    return r;
}

int unpack_whiteout(struct rootfs_unpack *u, const char *parent, const char *name, mvm_error **err)
{
    const char *target = name + strlen(WHITEOUT_PREFIX);
    bool opaque = strcmp(name, WHITEOUT_OPAQUE) == 0;
    struct folder dir;
    int r;

    if (!opaque && scan_has_prefix(name, WHITEOUT_AUFS))
        return 0;
    if (!*target || strcmp(target, ".") == 0 || strcmp(target, "..") == 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a whiteout of '%s'", target);
    r = walk_to(&u->to, parent, NULL, err);
    if (r == WALK_NOT_DIRECTORY && opaque)
        return mvm_fail(err, MVM_E_FORMAT, 0, "an opaque marker in what is no directory");
    if (r != 0)
        return r < 0 ? r : 0; /* nothing to hide */
    dir = (struct folder){ .fd = walk_top(&u->to)->fd, .ino = walk_top(&u->to)->ino };
    return opaque ? purge_content(u, &dir, err) : purge_name(u, &dir, target, err);
}
