/* SPDX-License-Identifier: Apache-2.0 */
/* How a program ended, for who wants more than an error. */
#include "base/child.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_gives_the_status_to_who_asks_for_it),
    };

    return cmocka_run_group_tests_name("base-child-run", tests, NULL, NULL);
}
