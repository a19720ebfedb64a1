/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of the host: whether VMs can run here, what is missing, and the command that mends it
 * (host.md section 19). All checks run, in order, also after a failure.
 */
#ifndef PREFLIGHT_PREFLIGHT_H
#define PREFLIGHT_PREFLIGHT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define PREFLIGHT_DETAIL_MAX 512
#define PREFLIGHT_REMEDY_MAX 256

struct preflight_result {
    bool ok;
    char detail[PREFLIGHT_DETAIL_MAX]; /* what was found; one line */
    char remedy[PREFLIGHT_REMEDY_MAX]; /* when not ok: the command that mends it; "" where there is
                                          none */
};

/* Where the checks look. */
struct preflight_host {
    const char *cache_dir; /* absolute; need not exist */
    const char *lib_dir;
};

struct preflight_check {
    const char *name;
    const char *description;
    bool required; /* without it no VM runs */
    void (*run)(const struct preflight_host *host, struct preflight_result *ret);
};

/* The checks of the host itself; those of the machine are in machine/checks.h. */
#define PREFLIGHT_HOST_CHECKS 3
extern const struct preflight_check preflight_host_checks[PREFLIGHT_HOST_CHECKS];

/* Fills @results (as many as @checks). 0, or MVM_E_UNSUPPORTED with each failed required check and
 * its cause. */
int preflight_run(const struct preflight_check *checks, size_t n, const struct preflight_host *host,
                  struct preflight_result *results, mvm_error **err);

/* For checks: set the result. */
void preflight_pass(struct preflight_result *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void preflight_miss(struct preflight_result *r, const char *remedy, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
