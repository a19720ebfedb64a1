/* SPDX-License-Identifier: Apache-2.0 */
/* The tiny guest of the KVM probe: what runs in it, and how far it came. */
#ifndef MACHINE_ACCEL_GUEST_H
#define MACHINE_ACCEL_GUEST_H

#include <stdint.h>

/* What the probing process was doing last. */
enum probe_stage {
    PROBE_OPEN,    /* open /dev/kvm */
    PROBE_VERSION, /* ask for the API version */
    PROBE_VM,      /* make a VM, its memory and a vCPU */
    PROBE_STATE,   /* set the vCPU's registers */
    PROBE_RUN,     /* the guest runs */
    PROBE_DONE     /* the guest did all that was asked */
};

/* How far it came: in memory that the process shares with its parent, which reads it also when it
 * had to kill it. */
struct probe_report {
    enum probe_stage stage;
    int errnum;           /* of the call that failed; 0: none did */
    uint32_t step;        /* the guest's last step, 1 to PROBE_STEPS; 0: none */
    uint32_t exit_reason; /* KVM_EXIT_* that ended the guest */
    uint32_t suberror;    /* with KVM_EXIT_INTERNAL_ERROR */
};

/* Steps of the guest, in order. */
enum probe_step {
    PROBE_STEP_START = 1,
    PROBE_STEP_CMPXCHG16B,
    PROBE_STEP_INT3,
    PROBE_STEP_XSTATE,
    PROBE_STEP_CPUID,
    PROBE_STEP_LOOP,
    PROBE_STEP_END
};
/* "xsave and xrstor": what step @step does; for messages. */
const char *probe_step_name(uint32_t step);

/* Runs the guest in the calling process, which may hang in it: only to be called in a child that
 * can be killed. Uses system calls and *report alone, so that it may follow a fork in a program
 * with threads. */
void probe_run_guest(struct probe_report *report);

#endif
