/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/tsc.h"

#ifdef __x86_64__
#include <time.h>
#include <x86intrin.h>

struct sample {
    uint64_t tsc;
    int64_t ns;
};

/* Of a few readings the one that was interrupted least: a pause between clock and counter would
 * count as time. */
static struct sample take_sample(void)
{
    struct sample best = { 0, 0 };
    uint64_t narrowest = UINT64_MAX;

    for (int i = 0; i < 16; i++) {
        struct timespec ts;
        uint64_t before = __rdtsc(), after;

        (void) clock_gettime(CLOCK_MONOTONIC_RAW,
                             &ts); /* cannot fail: the clock exists and ts is ours */
        after = __rdtsc();
        if (after - before < narrowest) {
            narrowest = after - before;
            best.tsc = before + narrowest / 2;
            best.ns = (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
        }
    }
    return best;
}

uint32_t tsc_khz(void)
{
    const struct timespec pause = { .tv_nsec = TSC_MEASURE_US * 1000 };
    struct sample from = take_sample(), to;
    uint64_t khz;

    (void) nanosleep(&pause, NULL); /* shorter by a signal is only less exact */
    to = take_sample();
    if (to.ns <= from.ns || to.tsc <= from.tsc)
        return 0;
    khz = (uint64_t) ((__uint128_t) (to.tsc - from.tsc) * 1000000 / (uint64_t) (to.ns - from.ns));
    return khz > UINT32_MAX ? 0 : (uint32_t) khz;
}
#else
uint32_t tsc_khz(void)
{
    return 0;
}
#endif
