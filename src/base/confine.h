/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking away from a process what it does not need, before it reads the first byte of somebody whom
 * it does not trust. Nothing here can be undone.
 */
#ifndef BASE_CONFINE_H
#define BASE_CONFINE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A system call that stays allowed. */
struct confine_call {
    int number;     /* __NR_... */
    bool first_is;  /* only with this first argument, */
    uint32_t first; /* of which the kernel looks at 32 bits: a domain, a command */
};
/* The filter takes 5 instructions a call, of BPF_MAXINSNS 4096. */
#define CONFINE_CALLS_MAX 256

/* No new privileges, no core dumps, no ptrace by others of this user. */
int confine_privileges(mvm_error **err);
/* Closes every descriptor that is not in @keep, which is sorted upwards. */
int confine_descriptors(const int *keep, size_t n, mvm_error **err);
/* No file may be opened, no TCP port used, and nothing of outside be signalled, as far as the
 * kernel's Landlock can take it away; without Landlock nothing happens. Connecting to a UNIX socket
 * by its path goes on working. Needs confine_privileges(). */
int confine_files(mvm_error **err);
/* Any other system call fails with EPERM; one of another architecture kills. Needs
 * confine_privileges(). */
int confine_calls(const struct confine_call *calls, size_t n, mvm_error **err);

/* A Landlock ruleset without a rule that takes away every right which the running kernel knows how
 * to;
 * @ret_abi: its version. 1: made; 0: this kernel has no Landlock. */
int confine_ruleset(int *ret_fd, int *ret_abi, mvm_error **err);

#endif
