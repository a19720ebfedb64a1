/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest kernels: where they are, fetching Debian's, building our own.
 *
 * A kernel is a folder below <data>/kernels/ with `vmlinux` (bare ELF, for PVH) and `kernel.json`
 * (format, release, source, size and SHA-256 of each file). Debian's, "stock", has `modules.cpio`
 * too: a "newc" archive with /lib/modules/<release>/ and a file `order` that names what to load,
 * one path a line, dependencies first. Our own has everything built in, and its `config`. Either
 * appears by rename, whole or not at all.
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
    bool built;         /* our own, by kernel_build() */
    int64_t made;       /* seconds: the newer of two builds of one release comes first */
};
void kernel_free(struct kernel *k);
MVM_DEFINE_AUTO(kernel, kernel_free)

/* Names of kernels, beside their releases: the first of our own builds, the first of Debian's. */
#define KERNEL_NAME_OWN "own"
#define KERNEL_NAME_STOCK "stock"

/* The kernel to boot: @name if given (--kernel), else $MICROVM_KERNEL: one of the names, a release
 * that kernel_list() has, or a file. Without a name our own, which boots faster, before Debian's;
 * among these what the install has in @lib_dir/kernels before @cache_dir/kernels, then the newest.
 * A file is checked to be an x86-64 ELF with a PVH note or a bzImage ("not a kernel" otherwise),
 * and to have what guests need where it tells (kernel-needs.h). MVM_E_NOT_FOUND says to run
 * `microvm kernel fetch`. */
int kernel_find(const char *name, const char *lib_dir, const char *cache_dir, struct kernel **ret,
                mvm_error **err);
/* Whether the user has chosen: @name, or else $MICROVM_KERNEL. */
bool kernel_is_chosen(const char *name);
/* One of those that are here, by name or release; what is asked for comes from an image, which may
 * name no file. MVM_E_NOT_FOUND. */
int kernel_find_here(const char *name, const char *lib_dir, const char *cache_dir,
                     struct kernel **ret, mvm_error **err);
/* All of them, the one that kernel_find() takes first. */
int kernel_list(const char *lib_dir, const char *cache_dir, struct kernel ***ret, size_t *ret_n,
                mvm_error **err);
void kernel_list_free(struct kernel **kernels, size_t n);

/* Gets Debian's cloud kernel through apt, without root and with apt's check of its signature, into
 * @cache_dir/kernels. Present and whole already: returns it without work unless @force. */
int kernel_fetch_debian(const char *cache_dir, bool force, const struct log *log,
                        struct kernel **ret, mvm_error **err);
/* What a build takes beside its defaults. */
struct kernel_build {
    const char *source_dir;  /* a tree of Linux's source; NULL: Debian's, through apt */
    const char *config_path; /* options on top of our own; NULL: none */
    bool force;              /* build even if the same is there */
    bool update;             /* ask apt whether there is newer source */
    unsigned jobs;           /* compilers at a time; 0: one a CPU */
    const struct log *log;
    /* Called a few times a second; anything but 0 cancels (MVM_E_CANCELLED). @files have been
     * compiled by now, of about @files_about; 0: another step, @step, is under way. */
    int (*progress)(void *user, const char *step, uint64_t files, uint64_t files_about);
    void *progress_user;
};
/* Builds our own kernel, without root, into @cache_dir/kernels; the same input gives the same
 * bytes. One of the same options, compiler and source is returned without work. */
int kernel_build(const char *cache_dir, const struct kernel_build *build, struct kernel **ret,
                 mvm_error **err);

/* Compares a kernel's files with the digests that were noted when it was made.
 * MVM_E_DIGEST names the file that differs. */
int kernel_verify(const struct kernel *k, mvm_error **err);

#endif
