/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/qemu/jail.h"

#include "base/confine.h"
#include "base/mem.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Newer than Debian 12's header: the kernel that runs may know it. ABI 5. */
#define JAIL_FS_IOCTL_DEV (1ULL << 15)

#define JAIL_READ \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE)
#define JAIL_DEVICE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)

static int allow(int ruleset_fd, int fd, uint64_t access, mvm_error **err)
{
    const struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };

    if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "add a Landlock rule");
    return 0;
}

static int allow_path(int ruleset_fd, const char *path, uint64_t access, mvm_error **err)
{
    mvm_autoclose int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return 0; /* what is not there need not be allowed */
    if (!S_ISDIR(st.st_mode))
        access &= ~(uint64_t) LANDLOCK_ACCESS_FS_READ_DIR;
    return allow(ruleset_fd, fd, access, err);
}

static int allow_system(int ruleset_fd, uint64_t device_access, mvm_error **err)
{
    static const char *const read_paths[] = { "/usr",
                                              "/lib",
                                              "/lib64",
                                              "/bin",
                                              "/sbin",
                                              "/etc/ld.so.cache",
                                              "/etc/alternatives",
                                              "/sys/devices/system/cpu" };
    static const char *const devices[] = { "/dev/kvm", "/dev/null", "/dev/urandom" };
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(read_paths) && r == 0; i++)
        r = allow_path(ruleset_fd, read_paths[i], JAIL_READ, err);
    for (size_t i = 0; i < ARRAY_SIZE(devices) && r == 0; i++)
        r = allow_path(ruleset_fd, devices[i], device_access, err);
    return r;
}

int jail_make(int kernel_fd, int fd_min, int *ret_fd, mvm_error **err)
{
    mvm_autoclose int low_fd = -EBADF;
    mvm_autoclose int fd = -EBADF;
    int abi, r = confine_ruleset(&low_fd, &abi, err);

    if (r < 0)
        return r;
    if (r == 0) {
        *ret_fd = -EBADF;
        return 0;
    }
    fd = fcntl(low_fd, F_DUPFD_CLOEXEC, fd_min);
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a Landlock ruleset");
    r = allow_system(fd, JAIL_DEVICE | (abi >= 5 ? JAIL_FS_IOCTL_DEV : 0), err);
    if (r == 0)
        r = allow(fd, kernel_fd, LANDLOCK_ACCESS_FS_READ_FILE, err);
    if (r < 0)
        return r;
    *ret_fd = steal_fd(&fd);
    return 0;
}

int jail_enter(void *user)
{
    const int *fd = user;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return errno;
    if (*fd >= 0 && syscall(SYS_landlock_restrict_self, *fd, 0) < 0)
        return errno;
    return 0;
}
