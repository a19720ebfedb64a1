/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/tsc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static void wait_us(long us)
{
    const struct timespec pause = { .tv_nsec = us * 1000 };

    (void) nanosleep(&pause, NULL);
}

/* Linux takes one that is off by more than 1% for broken (tsc_refine_calibration_work()). */
static void rate_is_the_same_over_any_time(void **state)
{
    const struct tsc_sample since = tsc_sample_take();
    uint32_t at_once, later;

    (void) state;
    if (since.tsc == 0) {
        print_message("# this processor has no TSC to read\n");
        skip();
    }
    at_once = tsc_khz(&since);
    wait_us(20 * TSC_MEASURE_US);
    later = tsc_khz(&since);
    assert_true(later > 100000);
    assert_in_range(at_once, later - later / 100, later + later / 100);
}

static void rate_is_measured_for_a_while(void **state)
{
    const struct tsc_sample since = tsc_sample_take();
    struct tsc_sample after;

    (void) state;
    if (since.tsc == 0) {
        print_message("# this processor has no TSC to read\n");
        skip();
    }
    (void) tsc_khz(&since);
    after = tsc_sample_take();
    assert_true(after.ns - since.ns >= TSC_MEASURE_US * 1000LL);
}

static void counter_that_stands_still_has_no_rate(void **state)
{
    struct tsc_sample since = tsc_sample_take();

    (void) state;
    since.tsc = UINT64_MAX; /* as if it went backwards */
    assert_int_equal(tsc_khz(&since), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_is_the_same_over_any_time),
        cmocka_unit_test(rate_is_measured_for_a_while),
        cmocka_unit_test(counter_that_stands_still_has_no_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
