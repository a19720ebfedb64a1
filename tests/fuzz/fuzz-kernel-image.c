/* SPDX-License-Identifier: Apache-2.0 */
/* A file that a user names as kernel. */
#include "machine/kernel-image.h"

#include "base/io.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autoclose int fd = -EBADF;
    mvm_error *err = NULL;

    if (io_memfd("kernel", data, size, false, &fd, NULL) == 0)
        (void) kernel_image_check(fd, "kernel", &err);
    mvm_error_free(err);
    return 0;
}
