/* SPDX-License-Identifier: Apache-2.0 */
/* Small whole files below a held directory: read with a maximum, written by temporary name, sync
 * and rename. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/error.h"

#include <stddef.h>
#include <sys/types.h>

/* MVM_E_NOT_FOUND when absent, MVM_E_FORMAT for what is no regular file, MVM_E_LIMIT above @max;
 * *ret_data is owned by the caller and NUL-ended. */
int file_read(int dir_fd, const char *name, size_t max, char **ret_data, size_t *ret_len,
              mvm_error **err);
/* The same for a path that the user or the environment gave: symlinks are followed. */
int file_read_path(const char *path, size_t max, char **ret_data, size_t *ret_len, mvm_error **err);
/* Atomic: a reader sees the old content or the new one. @name is one component. A writer that is
 * killed leaves a file ".tmp-*" at most, for file_sweep(). */
int file_write(int dir_fd, const char *name, const void *data, size_t len, mode_t mode,
               mvm_error **err);

/* The same without the sync, which costs a turn of the disk: after a crash of the system, and only
 * then, @name may be empty. */
int file_write_unsynced(int dir_fd, const char *name, const void *data, size_t len, mode_t mode,
                        mvm_error **err);

/* Removes the ".tmp-*" files of writers that are dead: a living one holds a lock (flock) on its
 * own. */
void file_sweep(int dir_fd);

#endif
