/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of a kernel's build share: where the source comes from (kernel-source.c), the
 * compiler's work (kernel-compile.c), and their order (kernel-build.c). */
#ifndef MACHINE_KERNEL_BUILD_INTERNAL_H
#define MACHINE_KERNEL_BUILD_INTERNAL_H

#include "machine/kernel-config.h"
#include "machine/kernel-store.h"
#include "machine/kernel.h"

/* An architecture that can be built for: another is another row, and another fragment. */
struct build_arch {
    const char *machine;  /* as uname(2) has it */
    const char *arch;     /* kbuild's ARCH */
    const char *fragment; /* its options, after the common ones */
};

struct build {
    const struct kernel_build *options; /* borrowed */
    const struct build_arch *arch;      /* borrowed */
    struct kernel_store store;
    char *fragment;        /* owned: all options that are asked for */
    struct kconfig wanted; /* the same */
    char *compiler;        /* owned: versions of compiler and linker */
    char *source_name;     /* owned: "linux-source-6.1 6.1.192-2"; NULL until it is known */
    char *source_path;     /* owned: the tree */
    char *object_path;     /* owned: what is made of it */
    char *log_path;        /* owned */
    int log_fd;            /* owned: programs write here, at its end */
    off_t log_seen;        /* of it, bytes that were looked at */
    uint64_t files;        /* compiled by now */
    const char *step;      /* borrowed */
};

/* Guest kernel options that come with this program (guest/kernel/). */
extern const char kernel_fragment_common[];
extern const char kernel_fragment_x86_64[];

/* A step begins: for the log and for people. */
void build_step(struct build *b, const char *step);
/* As in struct child_spec; @user: a struct build. */
int build_watch(void *user);
/* Runs a program of the build, its output into the log. A failure's message has the line of the log
 * that tells why, and the log's name. @envp NULL: ours. */
int build_run(struct build *b, char *const *argv, char *const *envp, int timeout_ms,
              mvm_error **err);

/* MVM_E_NOT_FOUND names all programs and headers that a build lacks, with their Debian packages. */
int build_check_tools(mvm_error **err);
/* Sets @b->compiler. */
int build_find_compiler(struct build *b, mvm_error **err);
/* From the tree to a .config that has all that is wanted, and to vmlinux. */
int build_configure(struct build *b, mvm_error **err);
int build_compile(struct build *b, mvm_error **err);

/* Sets @b->source_name: of the folder given, or of the package that apt would get. */
int build_find_source(struct build *b, mvm_error **err);
/* Sets @b->source_path, after build_find_source(). */
int build_get_source(struct build *b, mvm_error **err);

#endif
