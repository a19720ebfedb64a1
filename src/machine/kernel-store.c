/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/kernel-store.h"

#include "base/path.h"
#include "base/scan.h"
#include "machine/kernel-internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void) close(steal_fd(fd));
}

void kernel_store_deinit(struct kernel_store *s)
{
    close_fd(&s->temp_fd);
    close_fd(&s->out_fd);
    if (s->temp_name)
        (void) path_remove_tree(s->fd, s->temp_name, NULL); /* the next maker tries again */
    free(s->temp_name);
    free(s->temp_path);
    free(s->path);
    close_fd(&s->lock_fd); /* last: the folder is ours until here */
    close_fd(&s->fd);
    *s = (struct kernel_store) KERNEL_STORE_NONE;
}

static int take_lock(struct kernel_store *s, mvm_error **err)
{
    int r = path_open_beneath(s->fd, s->maker->lock, O_RDWR | O_CREAT, 0644, &s->lock_fd, err);

    if (r < 0)
        return r;
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    log_info(s->log, "kernel", "another %s is under way: waiting for it", s->maker->what);
    while (flock(s->lock_fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return mvm_fail(err, MVM_E_SYS, errno, "lock '%s/%s'", s->path, s->maker->lock);
    return 0;
}

/* A rewinddir() after each removal, since a removal may hide entries from readdir(3). */
static int remove_leftovers(const struct kernel_store *s, mvm_error **err)
{
    int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3), r = 0;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    if (!d) {
        r = mvm_fail(err, MVM_E_SYS, errno, "list '%s'", s->path);
        close_fd(&fd);
        return r;
    }
    rewinddir(d);
    while (r == 0 && (e = readdir(d)))
        if (scan_has_prefix(e->d_name, s->maker->prefix)) {
            r = path_remove_tree(s->fd, e->d_name, err);
            rewinddir(d);
        }
    (void) closedir(d);
    return r;
}

int kernel_store_open(struct kernel_store *s, const char *cache_dir, mvm_error **err)
{
    int r;

    s->path = path_join(cache_dir, KERNELS_DIR);
    if (!s->path)
        return mvm_fail_nomem(err);
    r = path_make_dirs(s->path, 0755, &s->fd, err);
    if (r == 0)
        r = take_lock(s, err);
    if (r == 0)
        r = remove_leftovers(s, err);
    return r;
}

int kernel_store_make_temp(struct kernel_store *s, mvm_error **err)
{
    int r = path_make_temp_dir(s->fd, s->maker->prefix, &s->temp_name, &s->temp_fd, err);

    if (r < 0)
        return r;
    if (fchmod(s->temp_fd, 0711) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open up a folder for apt");
    s->temp_path = path_join(s->path, s->temp_name);
    if (!s->temp_path)
        return mvm_fail_nomem(err);
    return path_make_dir_at(s->temp_fd, "out", 0755, &s->out_fd, err);
}

int kernel_store_publish(const struct kernel_store *s, const char *name, mvm_error **err)
{
    if (renameat2(s->temp_fd, "out", s->fd, name, RENAME_NOREPLACE) < 0 &&
        (errno != EEXIST || renameat2(s->temp_fd, "out", s->fd, name, RENAME_EXCHANGE) < 0))
        return mvm_fail(err, MVM_E_SYS, errno, "move the new kernel to '%s/%s'", s->path, name);
    if (fsync(s->fd) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "sync '%s'", s->path);
    return 0;
}
