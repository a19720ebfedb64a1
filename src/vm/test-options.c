/* SPDX-License-Identifier: Apache-2.0 */
#include "base/test-sandbox.h"
#include "vm/options-internal.h"

static void layer_jobs_are_up_to_their_limit(void **state)
{
    mvm_options *o = mvm_options_new();

    (void) state;
    assert_non_null(o);
    assert_int_equal(o->layer_jobs, 0);
    assert_int_equal(mvm_options_set_layer_jobs(o, MVM_LAYER_JOBS_MAX), 0);
    assert_int_equal(mvm_options_set_layer_jobs(o, MVM_LAYER_JOBS_MAX + 1), MVM_E_ARG);
    assert_int_equal(o->layer_jobs, MVM_LAYER_JOBS_MAX);
    assert_int_equal(mvm_options_set_layer_jobs(o, 0), 0);
    assert_int_equal(o->layer_jobs, 0);
    assert_int_equal(mvm_options_set_layer_jobs(NULL, 1), MVM_E_ARG);
    mvm_options_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_jobs_are_up_to_their_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
