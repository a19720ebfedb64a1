/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether KVM works here. /dev/kvm can be present, openable and useless, so that a guest of a few
 * instructions is run (design.md section 3): it executes, with a time limit, what a stock kernel
 * needs.
 */
#ifndef MACHINE_ACCEL_H
#define MACHINE_ACCEL_H

#include "base/error.h"
#include "machine/machine.h"

#define ACCEL_REASON_MAX 256
/* Milliseconds that the probe's guest may take; it needs far less than one where KVM is real. */
#define ACCEL_PROBE_TIMEOUT_MS 500
/* Seconds for which a probe that took too long is remembered. A KVM that emulates is always too
 * slow, and not each of many starts shall wait for it; a real one on a busy host is so for once. */
#define ACCEL_SLOW_KEPT_S 60

struct accel_result {
    bool kvm;                      /* KVM works */
    bool slow;                     /* it does not, and may: the probe did not end in time */
    char reason[ACCEL_REASON_MAX]; /* when not: one clause without a full stop, for people */
};

/* Runs the probe in a child process of ours. An unusable KVM is a result, not an error. */
int accel_probe(struct accel_result *ret, mvm_error **err);
/* The same, remembered in the file "accel.json" of the folder @cache_dir_fd for as long as the
 * host's boot id, the kernel release and the access to /dev/kvm stay as they were; a slow one, for
 * ACCEL_SLOW_KEPT_S. */
int accel_probe_cached(int cache_dir_fd, struct accel_result *ret, mvm_error **err);

#endif
