/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel module says of itself: the section .modinfo of its ELF file, NUL-ended "key=value"
 * strings (Linux, include/linux/moduleparam.h). And the signature that the kernel's build appends.
 */
#ifndef MACHINE_MODINFO_H
#define MACHINE_MODINFO_H

#include "base/error.h"
#include "base/mem.h"

#include <stdint.h>

/* The largest of Debian 12's has 8 MiB. */
#define MODINFO_MODULE_MAX (64u << 20)
/* Names in one module's lists; real ones have a dozen. */
#define MODINFO_NAMES_MAX 256

struct modinfo {
    struct strv depends;  /* "depends=": each must be loaded before */
    struct strv soft_pre; /* "softdep=pre:": each is loaded before, where it exists */
};
void modinfo_deinit(struct modinfo *m);
MVM_DEFINE_AUTOVALUE(modinfo, modinfo_deinit)

/* @data: a whole ELF64 little-endian relocatable file. MVM_E_FORMAT for anything else, or when a
 * table or section leaves the file. */
int modinfo_parse(const uint8_t *data, size_t len, struct modinfo *ret, mvm_error **err);
/* The length without an appended signature (Linux, Documentation/admin-guide/module-signing.rst);
 * @len when there is none that fits. */
size_t modinfo_unsigned_len(const uint8_t *data, size_t len);

#endif
