/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tree-remove.h"

#include "base/path.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Below so many levels ("usr/share/doc") what is left of a system is small. */
#define REMOVE_LEVELS 3

static int remove_level(int dir_fd, const char *name, unsigned levels, struct image_tick *tick,
                        mvm_error **err);

/* Takes @fd over. */
static int remove_content(int fd, unsigned levels, struct image_tick *tick, mvm_error **err)
{
    DIR *dir = fdopendir(fd);
    const struct dirent *e;
    int r = 0;

    if (!dir) {
        r = mvm_fail(err, MVM_E_SYS, errno, "list a folder");
        (void) close(fd);
        return r;
    }
    while (r == 0 && (errno = 0, e = readdir(dir)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = remove_level(dirfd(dir), e->d_name, levels, tick, err);
    if (r == 0 && errno)
        r = mvm_fail(err, MVM_E_SYS, errno, "list a folder");
    (void) closedir(dir);
    return r;
}

static int remove_level(int dir_fd, const char *name, unsigned levels, struct image_tick *tick,
                        mvm_error **err)
{
    int fd, r = image_tick(tick, err);

    if (r < 0)
        return r;
    fd = levels == 0 ? -EBADF
                     : openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    /* What cannot be opened is left to path_remove_tree(): a file, or a folder that its owner may
     * not read. */
    if (fd >= 0) {
        (void) fchmod(fd, 0700); /* where we do not own it, the removal itself fails and says so */
        r = remove_content(fd, levels - 1, tick, err);
    }
    return r < 0 ? r : path_remove_tree(dir_fd, name, err);
}

int tree_remove(int dir_fd, const char *name, struct image_tick *tick, mvm_error **err)
{
    return remove_level(dir_fd, name, REMOVE_LEVELS, tick, err);
}
