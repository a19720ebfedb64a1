/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86 boot image: a setup header (Linux, Documentation/arch/x86/boot.rst) and, inside the code
 * that unpacks it, the compressed vmlinux. QEMU starts a bare vmlinux faster (PVH), since nothing
 * is unpacked in the guest.
 */
#ifndef MACHINE_BZIMAGE_H
#define MACHINE_BZIMAGE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Debian's is 14 MiB packed and 51 MiB bare; distribution kernels stay below 100. */
#define BZIMAGE_MAX (128u << 20)
#define BZIMAGE_VMLINUX_MAX (256u << 20)
/* Bytes from the start that bzimage_is_one() needs. */
#define BZIMAGE_HEADER_SIZE 0x250

/* Has the boot flag and the magic number of a boot image's setup header. */
bool bzimage_is_one(const uint8_t *data, size_t len);

struct bzimage_payload {
    const uint8_t *data; /* borrowed from the image: one compressed stream */
    size_t len;
    size_t unpacked_len; /* as the kernel's build wrote it */
};
/* Where the payload is. MVM_E_FORMAT for what is no boot image or lies about its sizes,
 * MVM_E_UNSUPPORTED for protocols before 2.08, which do not tell, MVM_E_LIMIT above
 * BZIMAGE_VMLINUX_MAX. */
int bzimage_payload(const uint8_t *data, size_t len, struct bzimage_payload *ret, mvm_error **err);
/* The bare vmlinux; owned by the caller. */
int bzimage_extract(const uint8_t *data, size_t len, char **ret_data, size_t *ret_len,
                    mvm_error **err);

#endif
