/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/init/root-attributes.h"

#include "kmsg.h"

#include "base/mem.h"

#include <linux/limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* Linux, Documentation/filesystems/overlayfs.rst: on the upper layer's root they would be taken for
 * the overlay's own notes. */
#define OVERLAY_PREFIX "trusted.overlay."

static int copy_xattr(int from_fd, int to_fd, const char *name, char value[XATTR_SIZE_MAX],
                      mvm_error **err)
{
    const ssize_t n = fgetxattr(from_fd, name, value, XATTR_SIZE_MAX);

    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read the attribute '%s'", name);
    if (fsetxattr(to_fd, name, value, (size_t) n, 0) == 0)
        return 0;
    /* tmpfs has no "user." attributes before Linux 6.6. */
    if (errno != ENOTSUP)
        return mvm_fail(err, MVM_E_SYS, errno, "set the attribute '%s'", name);
    kmsg_tell("the root directory is without the attribute '%s': %s", name, strerror(ENOTSUP));
    return 0;
}

static int copy_xattrs(int from_fd, int to_fd, mvm_error **err)
{
    mvm_autofree char *names = malloc(XATTR_LIST_MAX), *value = malloc(XATTR_SIZE_MAX);
    ssize_t n;
    int r = 0;

    if (!names || !value)
        return mvm_fail_nomem(err);
    n = flistxattr(from_fd, names, XATTR_LIST_MAX);
    if (n < 0 && errno != ENOTSUP)
        return mvm_fail(err, MVM_E_SYS, errno, "list the attributes");
    for (const char *name = names; r == 0 && name - names < n; name += strlen(name) + 1)
        if (strncmp(name, OVERLAY_PREFIX, strlen(OVERLAY_PREFIX)) != 0)
            r = copy_xattr(from_fd, to_fd, name, value, err);
    return r;
}

int root_attributes_copy(int from_fd, int to_fd, mvm_error **err)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
    struct stat st;
    int r;

    if (fstat(from_fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at the image's root directory");
    /* chown(2) may take bits of the mode away, and an access control list may change its own. */
    if (fchown(to_fd, st.st_uid, st.st_gid) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the root directory's owner");
    r = copy_xattrs(from_fd, to_fd, err);
    if (r < 0)
        return mvm_context(err, r, "root directory");
    times[1] = st.st_mtim;
    if (fchmod(to_fd, st.st_mode & 07777) < 0 || futimens(to_fd, times) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the root directory's mode and time");
    return 0;
}
