/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/path.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#define FILE_TEMP_PREFIX ".tmp-"
#define FILE_TEMP_SIZE 32
/* Each needs a sweep in just the instant between making a file and locking it. */
#define FILE_WRITE_TRIES 8

static int read_regular(int fd, const char *name, size_t max, char **ret_data, size_t *ret_len,
                        mvm_error **err)
{
    struct stat st;
    int r;

    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at '%s'", name);
    if (!S_ISREG(st.st_mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is not a regular file", name);
    r = io_read_all(fd, max, ret_data, ret_len, err);
    if (r < 0)
        return mvm_context(err, r, "'%s'", name);
    return 0;
}

int file_read(int dir_fd, const char *name, size_t max, char **ret_data, size_t *ret_len,
              mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    int r;

    r = path_open_beneath(dir_fd, name, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0, &fd, err);
    /* A link and a socket cannot even be opened. */
    if (r == MVM_E_SYS && path_is_odd(dir_fd, name))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is not a regular file", name);
    return r < 0 ? r : read_regular(fd, name, max, ret_data, ret_len, err);
}

int file_read_path(const char *path, size_t max, char **ret_data, size_t *ret_len, mvm_error **err)
{
    mvm_autoclose int fd = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return mvm_fail(err, errno == ENOENT || errno == ENOTDIR ? MVM_E_NOT_FOUND : MVM_E_SYS,
                        errno, "open '%s'", path);
    return read_regular(fd, path, max, ret_data, ret_len, err);
}

/* What is written, and how. */
struct content {
    const void *data;
    size_t len;
    mode_t mode;
    bool sync;
};

static int file_fill(int fd, const struct content *c, mvm_error **err)
{
    int r = io_write_all(fd, c->data, c->len, err);

    if (r < 0)
        return r;
    if (fchmod(fd, c->mode) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the mode");
    return c->sync ? io_sync(fd, "it", err) : 0;
}

/* A new file with a name of its own, locked as long as its writer lives: see file_sweep(). */
static int temp_open(int dir_fd, char name[FILE_TEMP_SIZE], int *ret_fd, mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    uint64_t noise;
    int r;

    if (getrandom(&noise, sizeof(noise), 0) != sizeof(noise))
        return mvm_fail(err, MVM_E_SYS, errno, "get random bytes");
    (void) snprintf(name, FILE_TEMP_SIZE, FILE_TEMP_PREFIX "%016llx",
                    (unsigned long long) noise); /* fits */
    r = path_open_beneath(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, err);
    if (r < 0)
        return r;
    if (flock(fd, LOCK_EX) < 0) { /* a sweep has it for an instant at most */
        r = mvm_fail(err, MVM_E_SYS, errno, "lock a new file");
        (void) unlinkat(dir_fd, name, 0);
        return r;
    }
    *ret_fd = steal_fd(&fd);
    return 0;
}

/* 1: a sweep took the new file for a dead writer's, in the instant before it was locked. */
static int write_once(int dir_fd, const char *name, const struct content *c, mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    char temp[FILE_TEMP_SIZE];
    int r;

    r = temp_open(dir_fd, temp, &fd, err);
    if (r < 0)
        return r;
    r = file_fill(fd, c, err);
    if (r == 0 && renameat(dir_fd, temp, dir_fd, name) < 0) {
        if (errno == ENOENT)
            return 1;
        r = mvm_fail(err, MVM_E_SYS, errno, "rename the new file");
    }
    if (close(steal_fd(&fd)) < 0 && r == 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "close it");
    if (r < 0)
        (void) unlinkat(dir_fd, temp, 0);
    return r;
}

static int write_content(int dir_fd, const char *name, const struct content *c, mvm_error **err)
{
    int r = 1;

    if (!path_is_component(name))
        return mvm_fail(err, MVM_E_ARG, 0, "'%s' is not a plain name", name);
    for (unsigned i = 0; i < FILE_WRITE_TRIES && r == 1; i++)
        r = write_once(dir_fd, name, c, err);
    if (r == 1)
        return mvm_fail(err, MVM_E_BUSY, 0, "write '%s': its folder is being cleared", name);
    return r < 0 ? mvm_context(err, r, "write '%s'", name) : 0;
}

int file_write(int dir_fd, const char *name, const void *data, size_t len, mode_t mode,
               mvm_error **err)
{
    const struct content c = { .data = data, .len = len, .mode = mode, .sync = true };

    return write_content(dir_fd, name, &c, err);
}

int file_write_unsynced(int dir_fd, const char *name, const void *data, size_t len, mode_t mode,
                        mvm_error **err)
{
    const struct content c = { .data = data, .len = len, .mode = mode };

    return write_content(dir_fd, name, &c, err);
}

static int sweep_temp(void *user, const char *name, mvm_error **err)
{
    const int dir_fd = *(const int *) user;
    mvm_autoclose int fd = -EBADF;

    (void) err; /* what cannot be removed is only litter */
    if (path_open_beneath(dir_fd, name, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0, &fd, NULL) == 0 &&
        flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void) unlinkat(dir_fd, name, 0);
    return 0;
}

void file_sweep(int dir_fd)
{
    (void) path_each_name(dir_fd, FILE_TEMP_PREFIX, sweep_temp, &dir_fd, NULL); /* as above */
}
