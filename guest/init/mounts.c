/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The final mounts are made inside the new root, after chroot, so that a symlink which an image has
 * in place of /dev or /proc ends inside that image. /dev and /sys are the same instances as the
 * early ones: nothing needs to move.
 *
 * Flags and data are those of docker where it has the mount, else of guest.md section 5. /dev is
 * not "noexec": it forbids executable mappings of /dev/zero, which programs make. /tmp and /run are
 * the image's own.
 */
#include "mounts.h"

#include "kmsg.h"

#include "base/mem.h"

#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define NO_SUID_DEV_EXEC (MS_NOSUID | MS_NODEV | MS_NOEXEC)

struct mount_entry {
    const char *target;
    const char *type;
    unsigned long flags;
    const char *data;
    bool optional; /* a kernel without it still runs most programs */
};

static const struct mount_entry early_mounts[] = {
    { "/dev", "devtmpfs", MS_NOSUID, "mode=0755", false },
    { "/sys", "sysfs", NO_SUID_DEV_EXEC, NULL, false },
};

static const struct mount_entry final_mounts[] = {
    { "/dev", "devtmpfs", MS_NOSUID, "mode=0755", false },
    { "/proc", "proc", NO_SUID_DEV_EXEC, NULL, false },
    { "/sys", "sysfs", NO_SUID_DEV_EXEC, NULL, false },
    { "/sys/fs/cgroup", "cgroup2", NO_SUID_DEV_EXEC, NULL, true },
    { "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5",
      false },
    { "/dev/shm", "tmpfs", NO_SUID_DEV_EXEC, "mode=1777", false },
    { "/dev/mqueue", "mqueue", NO_SUID_DEV_EXEC, NULL, true },
};

static const struct {
    const char *path;
    const char *target;
} dev_links[] = {
    { "/dev/fd", "/proc/self/fd" },       { "/dev/stdin", "/proc/self/fd/0" },
    { "/dev/stdout", "/proc/self/fd/1" }, { "/dev/stderr", "/proc/self/fd/2" },
    { "/dev/core", "/proc/kcore" },
};

/* Of what a guest cannot do without; the rest is optional or an image's own. */
static const char *option_of(const char *type)
{
    static const struct {
        const char *type, *option;
    } options[] = {
        { "devtmpfs", "CONFIG_DEVTMPFS" },  { "sysfs", "CONFIG_SYSFS" },
        { "proc", "CONFIG_PROC_FS" },       { "devpts", "CONFIG_UNIX98_PTYS" },
        { "tmpfs", "CONFIG_TMPFS" },        { "erofs", "CONFIG_EROFS_FS" },
        { "overlay", "CONFIG_OVERLAY_FS" }, { "ext4", "CONFIG_EXT4_FS" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        if (strcmp(type, options[i].type) == 0)
            return options[i].option;
    return NULL;
}

int mounts_mount(const char *source, const char *target, const char *type, unsigned long flags,
                 const char *data, const char *what, mvm_error **err)
{
    const char *option;
    int e, r;

    if (mount(source, target, type, flags, data) == 0)
        return 0;
    e = errno;
    option = e == ENODEV ? option_of(type) : NULL; /* mount(2): no such file system */
    r = mvm_fail(err, MVM_E_SYS, e, "mount %s (%s%s%s)", what, type,
                 option ? ", which the kernel lacks: " : "", option ? option : "");
    errno = e;
    return r;
}

static int mount_make(const struct mount_entry *m, mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    int r;

    /* sysfs makes its own mount points, and refuses others with EPERM. */
    if (mkdir(m->target, 0755) < 0 && errno != EEXIST && errno != EPERM)
        return mvm_fail(err, MVM_E_SYS, errno, "make the directory %s", m->target);
    r = mounts_mount(m->type, m->target, m->type, m->flags, m->data, m->target, &why);
    if (r < 0 && errno != EBUSY) {
        error_move(err, steal_ptr(&why));
        return r;
    }
    kmsg_debug("%s", m->target);
    return 0;
}

static int mount_make_all(const struct mount_entry *list, size_t n, mvm_error **err)
{
    for (size_t i = 0; i < n; i++) {
        mvm_autoerror mvm_error *why = NULL;
        int r = mount_make(&list[i], &why);

        if (r < 0 && !list[i].optional) {
            error_move(err, steal_ptr(&why));
            return r;
        }
        if (r < 0)
            kmsg_tell("%s", mvm_error_message(why));
    }
    return 0;
}

int mounts_make_early(mvm_error **err)
{
    return mount_make_all(early_mounts, ARRAY_SIZE(early_mounts), err);
}

int mounts_make(mvm_error **err)
{
    int r;

    r = mount_make_all(final_mounts, ARRAY_SIZE(final_mounts), err);
    if (r < 0)
        return r;
    /* The node of devtmpfs leads to the instance of pts that the kernel made first, not to ours
     * (G-49). */
    if (unlink("/dev/ptmx") < 0 && errno != ENOENT)
        return mvm_fail(err, MVM_E_SYS, errno, "remove /dev/ptmx");
    if (symlink("pts/ptmx", "/dev/ptmx") < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make the link /dev/ptmx");
    for (size_t i = 0; i < ARRAY_SIZE(dev_links); i++)
        if (symlink(dev_links[i].target, dev_links[i].path) < 0 && errno != EEXIST)
            return mvm_fail(err, MVM_E_SYS, errno, "make the link %s", dev_links[i].path);
    return 0;
}
