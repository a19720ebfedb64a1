/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a kernel: everything happens in a temporary folder beside the kernels, and the finished
 * one appears by rename. A lock on the folder makes a second maker wait, and then find the first
 * one's result. Whoever holds the lock removes what a killed maker left. The programs that it
 * starts hold it too, as their standard input: apt changes its user, which frees it from the death
 * signal (prctl(2)), and would else outlive us unnoticed, in a folder that somebody removes.
 */
#ifndef MACHINE_KERNEL_STORE_H
#define MACHINE_KERNEL_STORE_H

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

/* What makes kernels, each with a lock and temporary folders of its own. */
struct kernel_maker {
    const char *what;   /* "fetch": for messages */
    const char *lock;   /* name of the file */
    const char *prefix; /* of the temporary folders: begins with a dot */
};

struct kernel_store {
    const struct log *log;            /* borrowed */
    const struct kernel_maker *maker; /* borrowed */
    char *path;                       /* owned: <cache>/kernels */
    int fd;                           /* owned: the same */
    int lock_fd;                      /* owned */
    char *temp_name;                  /* owned; NULL: there is none */
    char *temp_path;                  /* owned */
    int temp_fd;                      /* owned */
    int out_fd;                       /* owned: "out" in it, the new kernel's folder */
};
#define KERNEL_STORE_NONE                                                    \
    {                                                                        \
        .fd = -EBADF, .lock_fd = -EBADF, .temp_fd = -EBADF, .out_fd = -EBADF \
    }

/* Opens @cache_dir/kernels, waits for the lock and removes leftovers. */
int kernel_store_open(struct kernel_store *s, const char *cache_dir, mvm_error **err);
/* Makes the temporary folder, with "out" in it; others may enter it, since apt downloads as a user
 * of its own. It goes away with @s. */
int kernel_store_make_temp(struct kernel_store *s, mvm_error **err);
/* Puts "out" in its place @name; one that is there goes away with the temporary folder. */
int kernel_store_publish(const struct kernel_store *s, const char *name, mvm_error **err);
void kernel_store_deinit(struct kernel_store *s);
MVM_DEFINE_AUTOVALUE(kernel_store, kernel_store_deinit)

#endif
