/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/file-info.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

static int read_link(int dir_fd, const char *name, char **ret, mvm_error **err)
{
    mvm_autofree char *link = malloc(AGENT_PATH_MAX);
    ssize_t n;

    if (!link)
        return mvm_fail_nomem(err);
    n = readlinkat(dir_fd, name, link, AGENT_PATH_MAX - 1);
    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read the link '%s'", name);
    link[n] = '\0';
    *ret = steal_ptr(&link);
    return 0;
}

int file_info_get(int dir_fd, const char *name, const char *shown, struct agent_file *ret,
                  mvm_error **err)
{
    struct agent_file f = { .name = (char *) shown }; /* borrowed, as file_info_release() knows */
    struct stat st;
    int r = 0;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at '%s'", name);
    f.mode = st.st_mode;
    f.uid = st.st_uid;
    f.gid = st.st_gid;
    f.size = S_ISREG(st.st_mode) ? (uint64_t) st.st_size : 0;
    f.mtime_ns = (int64_t) st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
        f.device_major = major(st.st_rdev);
        f.device_minor = minor(st.st_rdev);
    }
    if (S_ISLNK(st.st_mode))
        r = read_link(dir_fd, name, &f.link, err);
    if (r == 0)
        *ret = f;
    return r;
}

int file_info_open(int dir_fd, const char *name, const struct agent_file *f, int *ret_fd,
                   mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    struct stat st;

    fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s'", name);
    if ((st.st_mode & S_IFMT) != (f->mode & S_IFMT))
        return mvm_fail(err, MVM_E_CANCELLED, 0, "'%s' has been replaced meanwhile", name);
    *ret_fd = steal_fd(&fd);
    return 0;
}

void file_info_release(struct agent_file *f)
{
    f->name = NULL;
    agent_file_deinit(f);
}
