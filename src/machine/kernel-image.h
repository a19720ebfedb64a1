/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a file is a kernel that QEMU's microvm board can boot on x86-64. */
#ifndef MACHINE_KERNEL_IMAGE_H
#define MACHINE_KERNEL_IMAGE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes at the start of a file that are looked at: headers and the notes, which the kernel's linker
 * script puts after the text of some 20 MiB, are read by their offsets. */
#define KERNEL_HEAD_SIZE 4096
/* Most bytes of one note segment. */
#define KERNEL_NOTES_MAX 65536
#define KERNEL_PROGRAM_HEADERS_MAX 64

/* @path is for messages. MVM_E_FORMAT: "'x' is not a kernel: ...". */
int kernel_image_check(int fd, const char *path, mvm_error **err);

#endif
