/* SPDX-License-Identifier: Apache-2.0 */
/* How a program ended, for who wants more than an error. */
#include "base/child.h"

#include "base/clock.h"
#include "base/scan.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

/* Longer than any machine needs for what is run here. */
#define PATIENCE_MS 30000

static void run_gives_the_status_to_who_asks_for_it(void **state)
{
    static const struct {
        const char *script;
        int exited, code;
    } cases[] = { { "echo why; exit 3", 1, 3 }, { "echo why; kill -9 $$", 0, SIGKILL } };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct child_status status = { .code = -1 };
        struct child_spec spec = {
            .argv = (char *const *) (const char *const[]){ "sh", "-c", cases[i].script, NULL },
            .ret_status = &status
        };
        mvm_autofree char *out = NULL;

        assert_int_equal(child_run(&spec, PATIENCE_MS, 100, &out, NULL), 0);
        assert_string_equal(out, "why\n");
        assert_true(status.exited == cases[i].exited && status.code == cases[i].code);
    }
}

/* What a program leaves behind may keep its output open for ever. */
static void what_outlives_the_program_is_not_waited_for(void **state)
{
    struct child_spec spec = { .argv = (char *const *) (const char *const[]){
                                   "sh", "-c", "sleep 60 & echo $!", NULL } };
    mvm_autofree char *out = NULL;
    uint64_t pid = 0;

    (void) state;
    assert_int_equal(child_run(&spec, PATIENCE_MS, 100, &out, NULL), 0);
    assert_true(scan_u64(out, strcspn(out, "\n"), INT32_MAX, &pid) && pid > 1);
    assert_int_equal(kill((pid_t) pid, SIGKILL), 0);
}

static int stop(void *user)
{
    (void) user;
    return 1;
}

static void watch_ends_who_does_not_want_to_end(void **state)
{
    struct child_spec spec = {
        .argv = (char *const *) (const char *const[]){ "sh", "-c", "trap '' TERM; exec sleep 60",
                                                       NULL },
        .watch = stop,
        .end_ms = 20,
    };
    uint64_t start = clock_now_ms();
    mvm_autofree char *out = NULL;

    (void) state;
    assert_int_equal(child_run(&spec, PATIENCE_MS, 100, &out, NULL), MVM_E_CANCELLED);
    /* Less than without a time of its own, however busy the machine is. */
    assert_true(clock_now_ms() - start < 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_gives_the_status_to_who_asks_for_it),
        cmocka_unit_test(what_outlives_the_program_is_not_waited_for),
        cmocka_unit_test(watch_ends_who_does_not_want_to_end),
    };

    return cmocka_run_group_tests_name("base-child-run", tests, NULL, NULL);
}
