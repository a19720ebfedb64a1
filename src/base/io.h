/* SPDX-License-Identifier: Apache-2.0 */
/* Whole reads and writes on descriptors, and anonymous files. Every descriptor made here is
 * CLOEXEC. */
#ifndef BASE_IO_H
#define BASE_IO_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads to the end. More than @max bytes is MVM_E_LIMIT. *ret_data is owned by the caller and
 * NUL-ended. */
int io_read_all(int fd, size_t max, char **ret_data, size_t *ret_len, mvm_error **err);
/* Reads up to @len bytes, stopping short only at the end. Gives the count, or a negative code. */
ssize_t io_read_full(int fd, void *data, size_t len, mvm_error **err);
/* Both count on a blocking descriptor; a closed pipe raises SIGPIPE as for write(2). */
int io_write_all(int fd, const void *data, size_t len, mvm_error **err);
/* At @offset, which stays the caller's business. */
int io_pwrite_all(int fd, const void *data, size_t len, uint64_t offset, mvm_error **err);
/* A memfd that holds @data, its offset at 0; @seal forbids every later change (F_SEAL_*). */
int io_memfd(const char *name, const void *data, size_t len, bool seal, int *ret_fd,
             mvm_error **err);
/* Forbids every later change of a memfd that was made to be sealed. */
int io_seal(int fd, mvm_error **err);
/* Copies from where @from_fd is to its end. More than @max bytes are MVM_E_LIMIT. */
int io_copy(int from_fd, int to_fd, size_t max, size_t *ret_len, mvm_error **err);
int io_set_nonblock(int fd, bool on, mvm_error **err);
/* fsync with the error checked. */
int io_sync(int fd, const char *what, mvm_error **err);

#endif
