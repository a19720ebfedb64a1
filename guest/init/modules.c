/* SPDX-License-Identifier: Apache-2.0 */
#include "modules.h"

#include "kmsg.h"

#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

/* Some dozen lines of at most a few hundred bytes. */
#define ORDER_FILE_MAX 65536

static int module_load(int dir_fd, const char *path, mvm_error **err)
{
    mvm_autoclose int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the module %s", path);
    if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST && errno != ENODEV)
        return mvm_fail(err, MVM_E_SYS, errno, "load the module %s", path);
    kmsg_debug("%s", path);
    return 0;
}

static int modules_load_list(int dir_fd, char *list, mvm_error **err)
{
    for (char *line = list; *line;) {
        size_t n = strcspn(line, "\n");
        char *next = line + n + (line[n] == '\n');
        int r = 0;

        line[n] = '\0';
        if (n > 0)
            r = module_load(dir_fd, line, err);
        if (r < 0)
            return r;
        line = next;
    }
    return 0;
}

int modules_load(mvm_error **err)
{
    mvm_autoclose int dir_fd = -EBADF;
    mvm_autoclose int fd = -EBADF;
    mvm_autofree char *list = NULL;
    struct utsname uts;
    char path[32 + sizeof(uts.release)];
    size_t len;
    int r;

    (void) uname(&uts); /* cannot fail: the buffer is ours */
    (void) snprintf(path, sizeof(path), "/lib/modules/%s", uts.release); /* fits */
    dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fd = dir_fd < 0 ? -1 : openat(dir_fd, "order", O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open %s/order", path);
    r = io_read_all(fd, ORDER_FILE_MAX, &list, &len, err);
    if (r < 0)
        return mvm_context(err, r, "%s/order", path);
    return modules_load_list(dir_fd, list, err);
}
