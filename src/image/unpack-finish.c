/* SPDX-License-Identifier: Apache-2.0 */
/* The attributes of directories, once no layer will touch their content any more: children first.
 */
#include "image/unpack-internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static int finish_dir(struct rootfs_unpack *u, DIR *dir, struct image_tick *tick, mvm_error **err);

/* Takes @fd over. */
static int finish_fd(struct rootfs_unpack *u, int fd, struct image_tick *tick, mvm_error **err)
{
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int r;

    if (!dir) {
        r = mvm_fail(err, MVM_E_SYS, errno, "open a directory of the image");
        if (fd >= 0)
            (void) close(fd);
        return r;
    }
    r = finish_dir(u, dir, tick, err);
    (void) closedir(dir);
    return r;
}

static int set_attributes(struct rootfs_unpack *u, int fd, mvm_error **err)
{
    struct dir_attributes a = DIR_ATTRIBUTES_DEFAULT;
    struct stat st;
    uint32_t index;
    int r;

    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at a directory of the image");
    if (keymap_get(&u->dirs, st.st_ino, &index))
        a = u->attributes[index];
    r = unpack_chown(u, fd, "", a.uid, a.gid, err);
    if (r < 0)
        return r;
    if (fchmod(fd, a.mode) < 0 || futimens(fd, (struct timespec[2]){ a.mtime, a.mtime }) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set a directory's mode and time");
    return 0;
}

static bool entry_is_dir(int dir_fd, const struct dirent *e)
{
    struct stat st;

    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return fstatat(dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* As deep as the limit on names allows. */
static int finish_dir(struct rootfs_unpack *u, DIR *dir, struct image_tick *tick, mvm_error **err)
{
    int fd = dirfd(dir), r = image_tick(tick, err);
    const struct dirent *e;

    while (r == 0 && (errno = 0, e = readdir(dir)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && entry_is_dir(fd, e))
            r = finish_fd(u, openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                          tick, err);
    if (r == 0 && errno)
        r = mvm_fail(err, MVM_E_SYS, errno, "list a directory of the image");
    return r < 0 ? r : set_attributes(u, fd, err);
}

int rootfs_unpack_finish(struct rootfs_unpack *u, struct image_tick *tick, mvm_error **err)
{
    return finish_fd(u, openat(u->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), tick, err);
}
