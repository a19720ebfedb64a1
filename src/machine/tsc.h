/* SPDX-License-Identifier: Apache-2.0 */
/* The rate of the host's time stamp counter, which a software machine passes through to its guest.
 */
#ifndef MACHINE_TSC_H
#define MACHINE_TSC_H

#include <stdint.h>

/* Microseconds for which it is measured against CLOCK_MONOTONIC_RAW. */
#define TSC_MEASURE_US 4000

struct tsc_sample {
    uint64_t tsc;
    int64_t ns;
};
/* All zero where there is no such counter. */
struct tsc_sample tsc_sample_take(void);
/* In kHz, from @since on; waits for what is missing of TSC_MEASURE_US. 0 where there is no such
 * counter or it stands still. */
uint32_t tsc_khz(const struct tsc_sample *since);

#endif
