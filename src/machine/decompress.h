/* SPDX-License-Identifier: Apache-2.0 */
/* One compressed stream in memory, of any kind that libarchive can tell by its first bytes. */
#ifndef MACHINE_DECOMPRESS_H
#define MACHINE_DECOMPRESS_H

#include "base/error.h"

#include <stddef.h>

/* Gives at most @max bytes (MVM_E_LIMIT above). *ret_data is owned by the caller and NUL-ended. */
int decompress_memory(const void *data, size_t len, size_t max, char **ret_data, size_t *ret_len,
                      mvm_error **err);

#endif
