/* SPDX-License-Identifier: Apache-2.0 */
/* Files without a name in the store's folder, for what is too large for memory and goes with its
 * descriptor, whatever happens to the process. */
#ifndef IMAGE_SCRATCH_H
#define IMAGE_SCRATCH_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Most bytes of one: as many as an image may have uncompressed (LAYER_PLAIN_MAX), and its tar
 * headers and documents. */
#define SCRATCH_MAX ((UINT64_C(30) << 30) + (UINT64_C(1) << 30))

int scratch_file_new(int dir_fd, int *ret_fd, mvm_error **err);
/* Appends; *size counts. More than SCRATCH_MAX bytes is MVM_E_LIMIT. */
int scratch_file_add(int fd, const void *data, size_t len, uint64_t *size, mvm_error **err);

#endif
