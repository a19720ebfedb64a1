/* SPDX-License-Identifier: Apache-2.0 */
/* When an image was used last: the time of a file beside it, so that neither the image nor the
 * stamps of its files change with it. */
#include "image/store-internal.h"

#include "base/path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

/* What --older-than and the order of images can do without. */
#define USED_PRECISION_S 60

static bool is_fresh(int folder_fd)
{
    time_t now = time(NULL);
    struct stat st;

    /* A time to come is a clock's that was wrong. */
    return fstatat(folder_fd, STORE_USED, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_mtim.tv_sec <= now && now - st.st_mtim.tv_sec < USED_PRECISION_S;
}

void store_image_touch(int folder_fd)
{
    mvm_autoclose int fd = -EBADF;

    if (is_fresh(folder_fd) || store_clear_odd(folder_fd, STORE_USED, NULL) < 0)
        return;
    if (path_open_beneath(folder_fd, STORE_USED, O_WRONLY | O_CREAT | O_NONBLOCK, 0600, &fd,
                          NULL) == 0)
        (void) futimens(fd, NULL); /* else the older time stays */
}

static bool time_of(int folder_fd, const char *name, int64_t *ret)
{
    struct stat st;

    return fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           !__builtin_mul_overflow((int64_t) st.st_mtim.tv_sec, INT64_C(1000000000), ret) &&
           !__builtin_add_overflow(*ret, (int64_t) st.st_mtim.tv_nsec, ret);
}

int64_t store_image_used_ns(int folder_fd)
{
    int64_t ns = 0;

    return time_of(folder_fd, STORE_USED, &ns) || time_of(folder_fd, STORE_MANIFEST, &ns) ? ns : 0;
}
