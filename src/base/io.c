/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"

#include "base/mem.h"

#include <fcntl.h>
#include <sys/mman.h>

/* Bytes of a copy at a time: what stays in the cache of a CPU. */
#define COPY_SIZE 131072

/* First step of io_read_all()'s buffer. */
#define IO_READ_CHUNK 16384

int io_read_all(int fd, size_t max, char **ret_data, size_t *ret_len, mvm_error **err)
{
    mvm_autofree char *data = NULL;
    size_t cap = 0, len = 0;

    for (;;) {
        size_t room;
        ssize_t n;

        if (mem_grow(&data, &cap, len + IO_READ_CHUNK, 1) < 0)
            return mvm_fail_nomem(err);
        room = cap - len - 1;
        if (room > max - len)
            room = max - len + 1; /* one byte above the maximum tells that it is exceeded */
        n = read(fd, data + len, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "read");
        if (n == 0)
            break;
        len += (size_t) n;
        if (len > max)
            return mvm_fail(err, MVM_E_LIMIT, 0, "more than %zu bytes", max);
    }
    data[len] = '\0';
    *ret_data = steal_ptr(&data);
    *ret_len = len;
    return 0;
}

ssize_t io_read_full(int fd, void *data, size_t len, mvm_error **err)
{
    size_t at = 0;

    while (at < len) {
        ssize_t n = read(fd, (char *) data + at, len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "read");
        if (n == 0)
            break;
        at += (size_t) n;
    }
    return (ssize_t) at;
}

int io_write_all(int fd, const void *data, size_t len, mvm_error **err)
{
    size_t at = 0;

    while (at < len) {
        ssize_t n = write(fd, (const char *) data + at, len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "write");
        at += (size_t) n;
    }
    return 0;
}

int io_pwrite_all(int fd, const void *data, size_t len, uint64_t offset, mvm_error **err)
{
    size_t at = 0;

    while (at < len) {
        ssize_t n = pwrite(fd, (const char *) data + at, len - at, (off_t) (offset + at));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "write");
        at += (size_t) n;
    }
    return 0;
}

int io_memfd(const char *name, const void *data, size_t len, bool seal, int *ret_fd,
             mvm_error **err)
{
    mvm_autoclose int fd = memfd_create(name, MFD_CLOEXEC | (seal ? MFD_ALLOW_SEALING : 0));
    int r;

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make the memory file '%s'", name);
    r = io_write_all(fd, data, len, err);
    if (r < 0)
        return mvm_context(err, r, "memory file '%s'", name);
    if (lseek(fd, 0, SEEK_SET) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "rewind the memory file '%s'", name);
    r = seal ? io_seal(fd, err) : 0;
    if (r < 0)
        return mvm_context(err, r, "memory file '%s'", name);
    *ret_fd = steal_fd(&fd);
    return 0;
}

int io_seal(int fd, mvm_error **err)
{
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "seal it");
    return 0;
}

int io_copy(int from_fd, int to_fd, size_t max, size_t *ret_len, mvm_error **err)
{
    mvm_autofree char *data = malloc(COPY_SIZE);
    size_t len = 0;
    ssize_t n;

    if (!data)
        return mvm_fail_nomem(err);
    while ((n = io_read_full(from_fd, data, COPY_SIZE, err)) > 0) {
        int r;

        if ((size_t) n > max - len)
            return mvm_fail(err, MVM_E_LIMIT, 0, "more than %zu bytes", max);
        r = io_write_all(to_fd, data, (size_t) n, err);
        if (r < 0)
            return r;
        len += (size_t) n;
    }
    if (n < 0)
        return (int) n;
    *ret_len = len;
    return 0;
}

int io_set_nonblock(int fd, bool on, mvm_error **err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read the flags of descriptor %d", fd);
    flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (fcntl(fd, F_SETFL, flags) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the flags of descriptor %d", fd);
    return 0;
}

int io_sync(int fd, const char *what, mvm_error **err)
{
    if (fsync(fd) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "sync %s", what);
    return 0;
}
