/* SPDX-License-Identifier: Apache-2.0 */
/* What killed downloads left behind. */
#include "image/disk-download.h"

#include "base/file.h"
#include "base/path.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

/* Kept bytes that nobody took up for so long are garbage. */
#define PART_AGE_S (7 * 24 * 3600)

static int sweep_one(void *user, const char *name, mvm_error **err)
{
    const int dir_fd = *(const int *) user;
    mvm_autoclose int fd = -EBADF;
    mvm_autofree char *note = NULL;
    struct stat st;

    (void) err; /* what cannot be removed is there for the next time */
    if (path_open_beneath(dir_fd, name, O_RDONLY | O_NONBLOCK, 0, &fd, NULL) < 0 ||
        flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_mtime > time(NULL) - PART_AGE_S)
        return 0;
    if (asprintf(&note, "%s" DISK_PART_SUFFIX, name) < 0) {
        note = NULL;
        return 0;
    }
    (void) unlinkat(dir_fd, note, 0);
    (void) unlinkat(dir_fd, name, 0);
    return 0;
}

/* A note whose part is gone is as small as it is rare; it goes when it is as old. */
void disk_download_sweep(int dir_fd)
{
    (void) path_each_name(dir_fd, DISK_PART_PREFIX, sweep_one, &dir_fd, NULL); /* as above */
    file_sweep(dir_fd);
}
