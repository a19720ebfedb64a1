/* SPDX-License-Identifier: Apache-2.0 */
/* Monotonic time. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_now_us(void); /* microseconds of CLOCK_MONOTONIC */
static inline uint64_t clock_now_ms(void)
{
    return clock_now_us() / 1000;
}

#endif
