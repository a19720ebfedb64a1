/* SPDX-License-Identifier: Apache-2.0 */
#include "image/scratch.h"

#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>

int scratch_file_new(int dir_fd, int *ret_fd, mvm_error **err)
{
    int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a temporary file in the image store");
    *ret_fd = fd;
    return 0;
}

int scratch_file_add(int fd, const void *data, size_t len, uint64_t *size, mvm_error **err)
{
    int r;

    if (len > SCRATCH_MAX - *size)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than the limit of %llu bytes uncompressed",
                        (unsigned long long) SCRATCH_MAX);
    r = io_write_all(fd, data, len, err);
    if (r < 0)
        return mvm_context(err, r, "write a temporary file in the image store");
    *size += len;
    return 0;
}
