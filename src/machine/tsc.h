/* SPDX-License-Identifier: Apache-2.0 */
/* The rate of the host's time stamp counter, which a software machine passes through to its guest.
 */
#ifndef MACHINE_TSC_H
#define MACHINE_TSC_H

#include <stdint.h>

/* In kHz, measured against CLOCK_MONOTONIC_RAW for TSC_MEASURE_US; 0 where there is no such counter
 * or it stands still. */
#define TSC_MEASURE_US 4000
uint32_t tsc_khz(void);

#endif
