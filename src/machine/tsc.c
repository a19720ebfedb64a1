/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/tsc.h"

#ifdef __x86_64__
#include <time.h>
#include <x86intrin.h>

/* Of a few readings the one that was interrupted least: a pause between clock and counter would
 * count as time. */
struct tsc_sample tsc_sample_take(void)
{
    struct tsc_sample best = { 0, 0 };
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

uint32_t tsc_khz(const struct tsc_sample *since)
{
    const int64_t wanted_ns = TSC_MEASURE_US * 1000;
    struct tsc_sample to = tsc_sample_take();
    uint64_t khz;

    if (to.ns - since->ns < wanted_ns) {
        const struct timespec rest = { .tv_nsec = wanted_ns - (to.ns - since->ns) };

        (void) nanosleep(&rest, NULL); /* shorter by a signal is only less exact */
        to = tsc_sample_take();
    }
    if (to.ns <= since->ns || to.tsc <= since->tsc)
        return 0;
    khz = (uint64_t) ((__uint128_t) (to.tsc - since->tsc) * 1000000 /
                      (uint64_t) (to.ns - since->ns));
    return khz > UINT32_MAX ? 0 : (uint32_t) khz;
}
#else
struct tsc_sample tsc_sample_take(void)
{
    return (struct tsc_sample){ .tsc = 0 };
}

uint32_t tsc_khz(const struct tsc_sample *since)
{
    (void) since;
    return 0;
}
#endif
