/* SPDX-License-Identifier: Apache-2.0 */
#include "base/libarchive.h"
#include "base/library.h"
#include "base/test-sandbox.h"

#include <math.h>

struct table {
    double (*before)(double); /* stays as it is */
    double (*cbrt)(double);
    double (*hypot)(double, double);
};
#define FUNCTION(name)                      \
    {                                       \
#name, offsetof(struct table, name) \
    }

static void functions_are_found(void **state)
{
    static const struct library_function functions[] = { FUNCTION(cbrt), FUNCTION(hypot) };
    struct table table = { 0 };
    struct library_reason why = { .text = "" };

    (void) state;
    assert_true(library_load("libm.so.6", functions, ARRAY_SIZE(functions), &table, &why));
    assert_string_equal(why.text, "");
    assert_null(table.before);
    assert_int_equal((int) table.cbrt(27.0), 3);
    assert_int_equal((int) table.hypot(3.0, 4.0), 5);
}

static void missing_function_is_named(void **state)
{
    static const struct library_function functions[] = {
        FUNCTION(cbrt), { "no_such_function", offsetof(struct table, hypot) }
    };
    struct table table = { 0 };
    struct library_reason why = { .text = "" };

    (void) state;
    assert_false(library_load("libm.so.6", functions, ARRAY_SIZE(functions), &table, &why));
    assert_string_equal(why.text, "libm.so.6 lacks no_such_function");
    assert_null(table.hypot);
}

static void missing_library_is_named(void **state)
{
    struct library_reason why = { .text = "" };

    (void) state;
    assert_false(library_load("libnowhere.so.9", NULL, 0, NULL, &why));
    assert_non_null(strstr(why.text, "libnowhere.so.9"));
}

static void long_reason_is_cut(void **state)
{
    struct library_reason why = { .text = "" };
    char text[600];

    (void) state;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    library_say(&why, text);
    assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
    text[sizeof(why.text) - 1] = '\0';
    library_say(&why, text);
    assert_string_equal(why.text, text);
}

/* What the headers say is what is there. */
static void libarchive_has_all_functions(void **state)
{
    mvm_error *err = NULL;

    (void) state;
    assert_int_equal(libarchive_load(&err), 0);
    assert_null(err);
#define ASSERT_THERE(name) assert_non_null(libarchive()->name);
    LIBARCHIVE(ASSERT_THERE)
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_found),          cmocka_unit_test(missing_function_is_named),
        cmocka_unit_test(missing_library_is_named),     cmocka_unit_test(long_reason_is_cut),
        cmocka_unit_test(libarchive_has_all_functions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
