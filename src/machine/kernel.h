/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest kernels: where they are, fetching Debian's, and the initramfs that a VM starts with.
 *
 * A kernel is a folder <data>/kernels/<release>/ with `vmlinux` (bare ELF, for PVH), `modules.cpio`
 * (a "newc" archive with /lib/modules/<release>/ and a file `order` that names what to load, one
 * path a line, dependencies first) and `kernel.json` (format, release, package and version, SHA-256
 * of each file). It appears by rename, whole or not at all.
 */
#ifndef MACHINE_KERNEL_H
#define MACHINE_KERNEL_H

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

struct kernel {
    char *vmlinux_path; /* owned, absolute */
    char *modules_path; /* owned; NULL: everything is built in */
    char *release;      /* owned: "6.1.0-56-cloud-amd64"; "" when unknown (a user's own file) */
    char *source;       /* owned: "debian linux-image-... 6.1.192-2", "file" */
};
void kernel_free(struct kernel *k);
MVM_DEFINE_AUTO(kernel, kernel_free)

/* The kernel to boot: @file if given (--kernel), else $MICROVM_KERNEL, else what the install has in
 * @lib_dir/kernels, else the newest in @cache_dir/kernels. A file is checked to be an x86-64 ELF
 * with a PVH note or a bzImage ("not a kernel" otherwise). MVM_E_NOT_FOUND says to run `microvm
 * kernel fetch`. */
int kernel_find(const char *file, const char *lib_dir, const char *cache_dir, struct kernel **ret,
                mvm_error **err);
/* All of them, the one that kernel_find() takes first. */
int kernel_list(const char *lib_dir, const char *cache_dir, struct kernel ***ret, size_t *ret_n,
                mvm_error **err);
void kernel_list_free(struct kernel **kernels, size_t n);

/* Gets Debian's cloud kernel through apt, without root and with apt's check of its signature, into
 * @cache_dir/kernels. Present and whole already: returns it without work unless @force. */
int kernel_fetch_debian(const char *cache_dir, bool force, const struct log *log,
                        struct kernel **ret, mvm_error **err);
/* Compares a fetched kernel's files with the digests that were noted when it was made.
 * MVM_E_DIGEST names the file that differs. */
int kernel_verify(const struct kernel *k, mvm_error **err);

#endif
