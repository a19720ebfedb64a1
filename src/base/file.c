/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/path.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

int file_read(int dir_fd, const char *name, size_t max, char **ret_data, size_t *ret_len,
              mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    struct stat st;
    int r;

    r = path_open_beneath(dir_fd, name, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0, &fd, err);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at '%s'", name);
    if (!S_ISREG(st.st_mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is not a regular file", name);
    r = io_read_all(fd, max, ret_data, ret_len, err);
    if (r < 0)
        return mvm_context(err, r, "'%s'", name);
    return 0;
}

static int file_fill(int fd, const void *data, size_t len, mode_t mode, mvm_error **err)
{
    int r = io_write_all(fd, data, len, err);

    if (r < 0)
        return r;
    if (fchmod(fd, mode) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the mode");
    return io_sync(fd, "it", err);
}

int file_write(int dir_fd, const char *name, const void *data, size_t len, mode_t mode,
               mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    char temp[64];
    uint64_t noise;
    int r;

    if (!path_is_component(name))
        return mvm_fail(err, MVM_E_ARG, 0, "'%s' is not a plain name", name);
    if (getrandom(&noise, sizeof(noise), 0) != sizeof(noise))
        return mvm_fail(err, MVM_E_SYS, errno, "get random bytes");
    (void) snprintf(temp, sizeof(temp), ".tmp-%016llx", (unsigned long long) noise); /* fits */
    r = path_open_beneath(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, err);
    if (r < 0)
        return mvm_context(err, r, "write '%s'", name);
    r = file_fill(fd, data, len, mode, err);
    if (close(steal_fd(&fd)) < 0 && r == 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "close it");
    if (r == 0 && renameat(dir_fd, temp, dir_fd, name) < 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "rename the new file");
    if (r < 0) {
        (void) unlinkat(dir_fd, temp, 0);
        return mvm_context(err, r, "write '%s'", name);
    }
    return 0;
}
