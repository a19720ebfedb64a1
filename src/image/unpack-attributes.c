/* SPDX-License-Identifier: Apache-2.0 */
/* Owners and extended attributes of entries. */
#include "image/unpack-internal.h"

#include "base/scan.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

int unpack_record(struct rootfs_unpack *u, int dir_fd, const char *name,
                  const struct owner_record *record, mvm_error **err)
{
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at what was unpacked");
    return owner_map_set(&u->owners, st.st_ino, record) < 0 ? mvm_fail_nomem(err) : 0;
}

/* Recorded even while the tree carries the owners: it may turn out later that it cannot. */
int unpack_chown(struct rootfs_unpack *u, int dir_fd, const char *name, uid_t uid, gid_t gid,
                 mvm_error **err)
{
    const struct owner_record record = { .uid = uid, .gid = gid };
    int r = unpack_record(u, dir_fd, name, &record, err);

    if (r < 0)
        return r;
    if (!u->keeps_owners ||
        fchownat(dir_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0)
        return 0;
    /* EINVAL: a user namespace that does not know this id. */
    if (errno != EPERM && errno != EINVAL)
        return mvm_fail(err, MVM_E_SYS, errno, "set the owner %u:%u", uid, gid);
    log_debug(u->log, "image", "the tree cannot carry the owners of files; the image gets them");
    u->keeps_owners = false;
    return 0;
}

/* Only what has a meaning inside the guest is carried over: an image has no business with the
 * host's own labels, and a POSIX ACL here would be inherited by files that are made below it. */
static bool xattr_is_wanted(const char *name)
{
    return scan_has_prefix(name, "user.") || scan_has_prefix(name, "trusted.") ||
           strcmp(name, "security.capability") == 0;
}

/* Whether a failure means that this host, this filesystem or this user cannot hold the attribute.
 */
static bool xattr_cannot_be_held(int errnum)
{
    return errnum == EPERM || errnum == EOPNOTSUPP || errnum == ENOSPC || errnum == E2BIG ||
           errnum == ERANGE;
}

/* The next wanted attribute, charged against the limit; 0 when there is none left. */
static int next_xattr(struct rootfs_unpack *u, struct tar_reader *tar, size_t *used,
                      struct tar_xattr *ret, mvm_error **err)
{
    while (tar_reader_next_xattr(tar, ret)) {
        size_t n = strlen(ret->name);

        if (n > u->limits.xattr_bytes - *used || ret->size > u->limits.xattr_bytes - *used - n)
            return mvm_fail(err, MVM_E_LIMIT, 0, "more than %zu bytes of extended attributes",
                            u->limits.xattr_bytes);
        *used += n + ret->size;
        if (xattr_is_wanted(ret->name))
            return 1;
    }
    return 0;
}

static int xattr_result(struct rootfs_unpack *u, int result, const char *name, mvm_error **err)
{
    if (result == 0)
        return 0;
    if (!xattr_cannot_be_held(errno))
        return mvm_fail(err, MVM_E_SYS, errno, "set the extended attribute '%.256s'", name);
    log_debug(u->log, "image", "an extended attribute '%.256s' cannot be kept here", name);
    return 0;
}

int unpack_set_xattrs(struct rootfs_unpack *u, struct tar_reader *tar, int fd, mvm_error **err)
{
    struct tar_xattr x = { 0 };
    size_t used = 0;
    int r = next_xattr(u, tar, &used, &x, err);

    while (r > 0) {
        r = xattr_result(u, fsetxattr(fd, x.name, x.value, x.size, 0), x.name, err);
        if (r == 0)
            r = next_xattr(u, tar, &used, &x, err);
    }
    return r;
}

/* Most bytes of a list of attribute names (XATTR_LIST_MAX of Linux). */
#define XATTR_NAMES_MAX (64u << 10)

int unpack_replace_dir_xattrs(struct rootfs_unpack *u, struct tar_reader *tar, int fd,
                              mvm_error **err)
{
    ssize_t n = flistxattr(fd, NULL, 0);

    if (n > 0) {
        mvm_autofree char *names = malloc(XATTR_NAMES_MAX);

        if (!names)
            return mvm_fail_nomem(err);
        n = flistxattr(fd, names, XATTR_NAMES_MAX);
        for (ssize_t i = 0; i < n; i += (ssize_t) strlen(names + i) + 1)
            if (xattr_is_wanted(names + i) && fremovexattr(fd, names + i) < 0)
                return mvm_fail(err, MVM_E_SYS, errno, "remove the extended attribute '%.256s'",
                                names + i);
    }
    return unpack_set_xattrs(u, tar, fd, err);
}

int unpack_set_link_xattrs(struct rootfs_unpack *u, struct tar_reader *tar, int dir_fd,
                           const char *name, mvm_error **err)
{
    struct tar_xattr x = { 0 };
    mvm_autofree char *path = NULL;
    size_t used = 0;
    int r = next_xattr(u, tar, &used, &x, err);

    /* No xattr call takes a directory descriptor before Linux 6.13; the last component is not
     * followed. */
    if (r > 0 && asprintf(&path, "/proc/self/fd/%d/%s", dir_fd, name) < 0) {
        path = NULL;
        return mvm_fail_nomem(err);
    }
    while (r > 0) {
        r = xattr_result(u, lsetxattr(path, x.name, x.value, x.size, 0), x.name, err);
        if (r == 0)
            r = next_xattr(u, tar, &used, &x, err);
    }
    return r;
}
