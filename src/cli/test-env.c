/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/env.h"

#include "vm/options-internal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static char path[] = "/tmp/test-env-XXXXXX";

static int setup(void **state)
{
    *state = mvm_options_new();
    memcpy(path, "/tmp/test-env-XXXXXX", sizeof(path));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    mvm_options_free(*state);
    (void) unlink(path);
    return 0;
}

static int add_file(mvm_options *options, const char *text, size_t len, mvm_error **err)
{
    mvm_autoclose int fd = mkostemp(path, O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    return env_add_file(options, path, err);
}

static void a_name_alone_takes_our_own_value(void **state)
{
    mvm_options *options = *state;

    (void) setenv("TEST_ENV_SET", "a=b c", 1);
    (void) unsetenv("TEST_ENV_UNSET");
    assert_int_equal(env_add(options, "TEST_ENV_SET", NULL), 0);
    assert_int_equal(env_add(options, "TEST_ENV_UNSET", NULL), 0);
    assert_int_equal(env_add(options, "EMPTY=", NULL), 0);
    assert_int_equal(options->env.n, 2);
    assert_string_equal(options->env.items[0], "TEST_ENV_SET=a=b c");
    assert_string_equal(options->env.items[1], "EMPTY=");
}

static void an_empty_name_is_refused(void **state)
{
    assert_int_equal(env_add(*state, "", NULL), MVM_E_ARG);
    assert_int_equal(env_add(*state, "=x", NULL), MVM_E_ARG);
}

static void a_file_is_taken_line_by_line_and_nothing_is_unquoted(void **state)
{
    static const char text[] = "# comment\n\n  A=1\nB=\"two words\" \r\nC=last";
    mvm_options *options = *state;

    assert_int_equal(add_file(options, text, sizeof(text) - 1, NULL), 0);
    assert_int_equal(options->env.n, 3);
    assert_string_equal(options->env.items[0], "A=1");
    assert_string_equal(options->env.items[1], "B=\"two words\" ");
    assert_string_equal(options->env.items[2], "C=last");
}

static void a_bad_line_is_named_by_file_and_number(void **state)
{
    mvm_autoerror mvm_error *err = NULL;
    mvm_autofree char *place = NULL;

    assert_int_equal(add_file(*state, "A=1\nB C=2\n", 10, &err), MVM_E_FORMAT);
    assert_true(asprintf(&place, "'%s': line 2", path) > 0);
    assert_non_null(strstr(mvm_error_message(err), place));
}

static void a_nul_byte_is_refused(void **state)
{
    assert_int_equal(add_file(*state, "A=1\0B=2", 7, NULL), MVM_E_FORMAT);
}

static void a_file_above_the_limit_is_refused(void **state)
{
    mvm_autofree char *text = malloc(ENV_FILE_MAX + 1);

    assert_non_null(text);
    memset(text, 'x', ENV_FILE_MAX + 1);
    text[1] = '=';
    assert_int_equal(add_file(*state, text, ENV_FILE_MAX + 1, NULL), MVM_E_LIMIT);
    (void) unlink(path);
    memcpy(path, "/tmp/test-env-XXXXXX", sizeof(path));
    assert_int_equal(add_file(*state, text, ENV_FILE_MAX, NULL), 0);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    mvm_autoerror mvm_error *err = NULL;

    assert_int_equal(env_add_file(*state, "/nowhere/env", &err), MVM_E_SYS);
    assert_non_null(strstr(mvm_error_message(err), "/nowhere/env"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_alone_takes_our_own_value, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_name_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_is_taken_line_by_line_and_nothing_is_unquoted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_bad_line_is_named_by_file_and_number, setup, teardown),
        cmocka_unit_test_setup_teardown(a_nul_byte_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_above_the_limit_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_named, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
