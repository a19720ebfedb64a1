/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overlay's options:
 *  redirect_dir=on  rename(2) of a directory that comes from the image works; without it the kernel
 * answers EXDEV. metacopy=on      chown and chmod of a file do not copy its content into memory.
 *  index=off        a hard link of the image comes apart when one of its names is written; the
 * index that would hold them together costs a directory operation per copied file. docker chooses
 * the same. xino=auto        one st_dev and lasting inode numbers over both layers, where they fit.
 * What the overlay trusts (trusted.overlay.*, character devices 0:0 of the lower layer) is taken
 * out of an image when it is made (image/tree.h, image/layer-convert-xattr.c).
 *
 * The upper disk's (ext4(5); Linux, Documentation/admin-guide/ext4.rst):
 *  discard, noinit_itable   what is removed is given back to the host, and tables that nobody needs
 * are not written out in the background. nobarrier   nobody sees the disk after a crash.
 *
 * The initramfs cannot be unmounted. It is emptied instead: its files hold the environment, which
 * may be secret, and memory.
 */
#include "root.h"

#include "guest/init/guest-files.h"
#include "kmsg.h"
#include "mounts.h"
#include "root-attributes.h"
#include "uevent.h"

#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define LOWER_DIR "/lower"
#define UPPER_DIR "/upper"
#define UPPER_DATA UPPER_DIR "/data"
#define ROOT_DIR "/root"
#define OVERLAY_OPTIONS                                                 \
    "lowerdir=" LOWER_DIR ",upperdir=" UPPER_DATA ",workdir=" UPPER_DIR \
    "/work,redirect_dir=on,metacopy=on,index=off,xino=auto"

#define DISK_DEFAULT "/dev/vda"
#define FSTYPE_DEFAULT "erofs"
#define UPPER_FSTYPE "ext4"
#define UPPER_OPTIONS "discard,noinit_itable,nobarrier"

/* Our own initramfs is 5 folders deep; what a user appends to it may be more, but not without end.
 */
#define EMPTY_DEPTH_MAX 32

static int device_is_there(void *user, mvm_error **err)
{
    const char *device = user;
    struct stat st;

    if (stat(device, &st) < 0)
        return errno == ENOENT ? 0 : mvm_fail(err, MVM_E_SYS, errno, "look at %s", device);
    if (!S_ISBLK(st.st_mode))
        return mvm_fail(err, MVM_E_ARG, 0, "'%s' is not a block device", device);
    return 1;
}

static int make_dir(const char *path, mvm_error **err)
{
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return mvm_fail(err, MVM_E_SYS, errno, "make the directory %s", path);
    return 0;
}

static int wait_for_disk(const char *device, const char *what, mvm_error **err)
{
    int r = uevent_wait_for(device_is_there, (void *) device, device, err);

    return r == MVM_E_TIMEOUT
               ? mvm_context(err, r, "the %s disk (CONFIG_VIRTIO_BLK, CONFIG_VIRTIO_MMIO)", what)
               : r;
}

/* tmpfs takes half of the memory at most. */
static int mount_upper(const char *device, mvm_error **err)
{
    int r;

    if (!device)
        return mounts_mount("upper", UPPER_DIR, "tmpfs", 0, "mode=0755", "the upper layer", err);
    r = wait_for_disk(device, "upper", err);
    return r < 0 ? r
                 : mounts_mount(device, UPPER_DIR, UPPER_FSTYPE, MS_NOATIME, UPPER_OPTIONS,
                                "the upper layer, " UPPER_OPTIONS, err);
}

/* Both as folders of the upper layer's file system. The overlay shows the first one's attributes as
 * the root's. */
static int make_upper_dirs(mvm_error **err)
{
    mvm_autoclose int lower = -EBADF, data = -EBADF;
    int r = make_dir(UPPER_DATA, err);

    if (r == 0)
        r = make_dir(UPPER_DIR "/work", err);
    if (r < 0)
        return r;
    lower = open(LOWER_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    data = open(UPPER_DATA, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lower < 0 || data < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open " LOWER_DIR " and " UPPER_DATA);
    return root_attributes_copy(lower, data, err);
}

static int mount_layers(const struct boot_config *boot, mvm_error **err)
{
    const char *device = boot->root_device ? boot->root_device : DISK_DEFAULT;
    const char *fstype = boot->root_fstype ? boot->root_fstype : FSTYPE_DEFAULT;
    static const char *const dirs[] = { LOWER_DIR, UPPER_DIR, ROOT_DIR };
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
        r = make_dir(dirs[i], err);
        if (r < 0)
            return r;
    }
    r = wait_for_disk(device, "root", err);
    if (r == 0)
        r = mounts_mount(device, LOWER_DIR, fstype, MS_RDONLY, NULL, device, err);
    if (r == 0)
        r = mount_upper(boot->upper_device, err);
    if (r < 0)
        return r;
    r = make_upper_dirs(err);
    if (r < 0)
        return r;
    return mounts_mount("overlay", ROOT_DIR, "overlay", 0, OVERLAY_OPTIONS,
                        "the root, " OVERLAY_OPTIONS, err);
}

/* Removes what lies on the file system @dev; what else is mounted there stays. Failures leave
 * memory in use, no more. */
static void empty_dir(int dir_fd, dev_t dev, unsigned depth)
{
    DIR *dir = depth < EMPTY_DEPTH_MAX ? fdopendir(dir_fd) : NULL;
    struct dirent *entry;

    if (!dir) {
        (void) close(dir_fd);
        return;
    }
    while ((entry = readdir(dir))) {
        struct stat st;
        int child;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != dev)
            continue;
        if (!S_ISDIR(st.st_mode)) {
            (void) unlinkat(dirfd(dir), entry->d_name, 0);
            continue;
        }
        child = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child >= 0)
            empty_dir(child, dev, depth + 1);
        (void) unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
    }
    (void) closedir(dir);
}

static int enter_root(mvm_error **err)
{
    mvm_autoclose int old_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (old_fd < 0 || fstat(old_fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the initramfs");
    if (chdir(ROOT_DIR) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "enter the new root");
    /* So that mounts spread into the namespaces of containers inside, as systemd has it (K-7). */
    if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "share the root's mounts");
    empty_dir(steal_fd(&old_fd), st.st_dev, 0);
    return 0;
}

int root_switch(const struct boot_config *boot, mvm_error **err)
{
    int r;

    r = mount_layers(boot, err);
    if (r < 0)
        return r;
    kmsg_debug("root mounted");
    r = guest_files_install("/" GUEST_FILES_DIR, ROOT_DIR, err);
    if (r < 0)
        return r;
    return enter_root(err);
}

int root_make_read_only(mvm_error **err)
{
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make the root read-only");
    return 0;
}
