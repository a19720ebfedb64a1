/* SPDX-License-Identifier: Apache-2.0 */
/* What killed downloads left behind. */
#include "image/disk-download.h"

#include "base/file.h"
#include "base/path.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

/* Kept bytes that nobody took up for so long are garbage. */
#define PART_AGE_S (7 * 24 * 3600)

static void sweep_one(int dir_fd, const char *name)
{
    mvm_autoclose int fd = -EBADF;
    mvm_autofree char *note = NULL;
    struct stat st;

    if (path_open_beneath(dir_fd, name, O_RDONLY | O_NONBLOCK, 0, &fd, NULL) < 0 ||
        flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_mtime > time(NULL) - PART_AGE_S)
        return;
    if (asprintf(&note, "%s" DISK_PART_SUFFIX, name) < 0) {
        note = NULL;
        return;
    }
    (void) unlinkat(dir_fd, note, 0);
    (void) unlinkat(dir_fd, name, 0);
}

/* A note whose part is gone is as small as it is rare; it goes when it is as old. */
void disk_download_sweep(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    if (!dir) {
        if (fd >= 0)
            (void) close(fd);
        return;
    }
    while ((e = readdir(dir)) != NULL)
        if (strncmp(e->d_name, DISK_PART_PREFIX, strlen(DISK_PART_PREFIX)) == 0)
            sweep_one(dir_fd, e->d_name);
    (void) closedir(dir);
    file_sweep(dir_fd);
}
