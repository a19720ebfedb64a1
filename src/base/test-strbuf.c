/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void adds_of_every_kind_are_joined(void **state)
{
    mvm_autovalue(strbuf) sb = STRBUF_INIT(100);

    (void) state;
    assert_string_equal(strbuf_str(&sb), "");
    strbuf_adds(&sb, "ab");
    strbuf_addc(&sb, 'c');
    strbuf_addf(&sb, "%d%s", 4, "e");
    strbuf_add(&sb, "f\0g", 3);
    assert_int_equal(sb.len, 8);
    assert_memory_equal(strbuf_str(&sb), "abc4ef\0g", 9);
    assert_int_equal(strbuf_check(&sb, "x", NULL), 0);
}

static void maximum_fits_and_one_above_fails(void **state)
{
    mvm_autovalue(strbuf) sb = STRBUF_INIT(5);
    mvm_autoerror mvm_error *e = NULL;

    (void) state;
    strbuf_adds(&sb, "abcde");
    assert_int_equal(strbuf_check(&sb, "x", NULL), 0);
    strbuf_addc(&sb, 'f');
    assert_int_equal(strbuf_check(&sb, "the line", &e), MVM_E_LIMIT);
    assert_string_equal(mvm_error_message(e), "the line: more than 5 bytes");
    assert_string_equal(strbuf_str(&sb), "abcde");
}

static void maximum_of_zero_holds_nothing(void **state)
{
    mvm_autovalue(strbuf) sb = STRBUF_INIT(0);

    (void) state;
    strbuf_adds(&sb, "");
    assert_int_equal(strbuf_check(&sb, "x", NULL), 0);
    strbuf_addc(&sb, 'a');
    assert_int_equal(strbuf_check(&sb, "x", NULL), MVM_E_LIMIT);
}

static void failure_is_remembered(void **state)
{
    mvm_autovalue(strbuf) sb = STRBUF_INIT(3);

    (void) state;
    strbuf_adds(&sb, "toolong");
    strbuf_adds(&sb, "a"); /* would fit */
    assert_int_equal(strbuf_check(&sb, "x", NULL), MVM_E_LIMIT);
    assert_string_equal(strbuf_str(&sb), "");
    assert_null(strbuf_take(&sb));
}

static void size_beyond_memory_fails(void **state)
{
    mvm_autovalue(strbuf) sb = STRBUF_INIT(SIZE_MAX);
    mvm_autoerror mvm_error *e = NULL;

    (void) state;
    strbuf_add(&sb, "x", SIZE_MAX); /* refused before a byte is read */
    assert_int_equal(strbuf_check(&sb, "x", &e), MVM_E_NOMEM);
    assert_string_equal(mvm_error_message(e), "out of memory");
}

static void reset_forgets_content_and_failure(void **state)
{
    mvm_autovalue(strbuf) sb = STRBUF_INIT(3);

    (void) state;
    strbuf_reset(&sb);
    strbuf_adds(&sb, "abc");
    strbuf_adds(&sb, "d");
    strbuf_reset(&sb);
    assert_string_equal(strbuf_str(&sb), "");
    strbuf_adds(&sb, "xyz");
    assert_int_equal(strbuf_check(&sb, "x", NULL), 0);
    assert_string_equal(strbuf_str(&sb), "xyz");
}

static void take_hands_over_and_empties(void **state)
{
    mvm_autovalue(strbuf) sb = STRBUF_INIT(10);
    mvm_autofree char *first = NULL;
    mvm_autofree char *second = NULL;

    (void) state;
    strbuf_adds(&sb, "abc");
    first = strbuf_take(&sb);
    assert_string_equal(first, "abc");
    assert_int_equal(sb.len, 0);
    assert_int_equal(sb.max, 10);
    second = strbuf_take(&sb);
    assert_string_equal(second, "");
}

static void content_survives_growth(void **state)
{
    mvm_autovalue(strbuf) sb = STRBUF_INIT(100000);

    (void) state;
    for (int i = 0; i < 100000; i++)
        strbuf_addc(&sb, (char) ('a' + i % 26));
    assert_int_equal(strbuf_check(&sb, "x", NULL), 0);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(strbuf_str(&sb)[i], 'a' + i % 26);
    assert_int_equal(strbuf_str(&sb)[100000], '\0');
}

static void deinit_may_come_twice(void **state)
{
    struct strbuf sb = STRBUF_INIT(10);

    (void) state;
    strbuf_adds(&sb, "abc");
    strbuf_deinit(&sb);
    strbuf_deinit(&sb);
    assert_string_equal(strbuf_str(&sb), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_of_every_kind_are_joined),
        cmocka_unit_test(maximum_fits_and_one_above_fails),
        cmocka_unit_test(maximum_of_zero_holds_nothing),
        cmocka_unit_test(failure_is_remembered),
        cmocka_unit_test(size_beyond_memory_fails),
        cmocka_unit_test(reset_forgets_content_and_failure),
        cmocka_unit_test(take_hands_over_and_empties),
        cmocka_unit_test(content_survives_growth),
        cmocka_unit_test(deinit_may_come_twice),
    };

    return cmocka_run_group_tests_name("base-strbuf", tests, NULL, NULL);
}
