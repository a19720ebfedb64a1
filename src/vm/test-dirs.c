/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/dirs.h"

#include "base/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static int setup(void **state)
{
    (void) state;
    (void) unsetenv("MICROVM_DATA_DIR");
    (void) unsetenv("XDG_CACHE_HOME");
    (void) unsetenv("XDG_STATE_HOME");
    return setenv("HOME", "/home/u", 1);
}

static void assert_dirs(const char *data_dir, const char *cache, const char *vms)
{
    mvm_autovalue(dirs) d = { .cache = NULL };

    assert_int_equal(dirs_init(&d, data_dir, NULL), 0);
    assert_string_equal(d.cache, cache);
    assert_string_equal(d.vms, vms);
}

static void dirs_follow_xdg(void **state)
{
    (void) state;
    assert_dirs(NULL, "/home/u/.cache/microvm", "/home/u/.local/state/microvm/vms");
    (void) setenv("XDG_CACHE_HOME", "/c/", 1);
    (void) setenv("XDG_STATE_HOME", "/s", 1);
    assert_dirs(NULL, "/c/microvm", "/s/microvm/vms");
}

static void relative_xdg_values_are_ignored(void **state)
{
    (void) state;
    (void) setenv("XDG_CACHE_HOME", "c", 1);
    (void) setenv("XDG_STATE_HOME", "", 1);
    assert_dirs(NULL, "/home/u/.cache/microvm", "/home/u/.local/state/microvm/vms");
}

static void a_data_dir_takes_everything(void **state)
{
    (void) state;
    (void) setenv("MICROVM_DATA_DIR", "/env", 1);
    assert_dirs(NULL, "/env/cache", "/env/vms");
    assert_dirs("/given", "/given/cache", "/given/vms");
}

static void a_program_that_is_nowhere_is_named_with_the_places(void **state)
{
    mvm_autoerror mvm_error *err = NULL;
    mvm_autofree char *path = NULL;

    (void) state;
    assert_int_equal(program_find("MICROVM_NONE", "microvm-none", "/nowhere", &path, &err),
                     MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(err), "microvm-none"));
    assert_non_null(strstr(mvm_error_message(err), "/nowhere"));
    (void) setenv("MICROVM_NONE", "/nowhere/at/all", 1);
    assert_int_equal(program_find("MICROVM_NONE", "microvm-none", "/bin", &path, &err),
                     MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(err), "/nowhere/at/all"));
    (void) setenv("MICROVM_NONE", "/bin/sh", 1);
    assert_int_equal(program_find("MICROVM_NONE", "microvm-none", "/nowhere", &path, NULL), 0);
    assert_string_equal(path, "/bin/sh");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(dirs_follow_xdg, setup),
        cmocka_unit_test_setup(relative_xdg_values_are_ignored, setup),
        cmocka_unit_test_setup(a_data_dir_takes_everything, setup),
        cmocka_unit_test_setup(a_program_that_is_nowhere_is_named_with_the_places, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
