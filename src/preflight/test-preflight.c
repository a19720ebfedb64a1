/* SPDX-License-Identifier: Apache-2.0 */
#include "preflight/preflight.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct preflight_host nowhere = { .cache_dir = "/nowhere/at/all",
                                               .lib_dir = "/nowhere/lib" };

static void pass(const struct preflight_host *host, struct preflight_result *ret)
{
    (void) host;
    preflight_pass(ret, "fine");
}

static void miss(const struct preflight_host *host, struct preflight_result *ret)
{
    (void) host;
    preflight_miss(ret, "mend it", "broken");
}

static void all_checks_run_and_required_ones_are_collected(void **state)
{
    static const struct preflight_check checks[] = {
        { "first", "", true, miss },
        { "second", "", false, miss },
        { "third", "", true, pass },
        { "fourth", "", true, miss },
    };
    struct preflight_result results[ARRAY_SIZE(checks)];
    mvm_autoerror mvm_error *err = NULL;

    (void) state;
    assert_int_equal(preflight_run(checks, ARRAY_SIZE(checks), &nowhere, results, &err),
                     MVM_E_UNSUPPORTED);
    assert_string_equal(mvm_error_message(err), "first: broken; fourth: broken");
    assert_false(results[1].ok);
    assert_string_equal(results[1].remedy, "mend it");
    assert_true(results[2].ok);
    assert_string_equal(results[2].detail, "fine");
}

static void no_checks_succeed(void **state)
{
    (void) state;
    assert_int_equal(preflight_run(NULL, 0, &nowhere, NULL, NULL), 0);
}

static void disk_space_is_looked_for_in_the_nearest_folder(void **state)
{
    struct preflight_result results[PREFLIGHT_HOST_CHECKS];

    (void) state;
    (void) preflight_run(preflight_host_checks, PREFLIGHT_HOST_CHECKS, &nowhere, results, NULL);
    assert_string_equal(preflight_host_checks[1].name, "disk-space");
    assert_non_null(strstr(results[1].detail, "'/'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_checks_run_and_required_ones_are_collected),
        cmocka_unit_test(no_checks_succeed),
        cmocka_unit_test(disk_space_is_looked_for_in_the_nearest_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
