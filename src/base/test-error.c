/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void fail_keeps_code_errno_and_text(void **state)
{
    mvm_autoerror mvm_error *e = NULL;

    (void) state;
    assert_int_equal(mvm_fail(&e, MVM_E_SYS, ENOENT, "open '%s'", "x"), MVM_E_SYS);
    assert_int_equal(mvm_error_code(e), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(e), ENOENT);
    assert_string_equal(mvm_error_message(e), "open 'x': No such file or directory");
}

static void fail_without_errno_adds_nothing(void **state)
{
    mvm_autoerror mvm_error *e = NULL;

    (void) state;
    assert_int_equal(mvm_fail(&e, MVM_E_FORMAT, 0, "bad"), MVM_E_FORMAT);
    assert_int_equal(mvm_error_errno(e), 0);
    assert_string_equal(mvm_error_message(e), "bad");
}

static void fail_with_unknown_errno_says_so(void **state)
{
    mvm_autoerror mvm_error *e = NULL;

    (void) state;
    (void) mvm_fail(&e, MVM_E_SYS, 99999, "read");
    assert_int_equal(mvm_error_errno(e), 99999);
    assert_string_equal(mvm_error_message(e), "read: unknown error");
}

static void null_error_is_no_error(void **state)
{
    (void) state;
    assert_int_equal(mvm_fail(NULL, MVM_E_BUSY, EBUSY, "x"), MVM_E_BUSY);
    assert_int_equal(mvm_context(NULL, MVM_E_BUSY, "y"), MVM_E_BUSY);
    assert_int_equal(mvm_error_code(NULL), 0);
    assert_int_equal(mvm_error_errno(NULL), 0);
    assert_string_equal(mvm_error_message(NULL), "");
    mvm_error_free(NULL);
}

static void context_is_put_in_front_and_keeps_the_rest(void **state)
{
    mvm_autoerror mvm_error *e = NULL;

    (void) state;
    (void) mvm_fail(&e, MVM_E_DIGEST, EIO, "812 bytes");
    assert_int_equal(mvm_context(&e, MVM_E_DIGEST, "layer %d of %d", 2, 3), MVM_E_DIGEST);
    assert_int_equal(mvm_context(&e, MVM_E_DIGEST, "pull alpine"), MVM_E_DIGEST);
    assert_string_equal(mvm_error_message(e),
                        "pull alpine: layer 2 of 3: 812 bytes: Input/output error");
    assert_int_equal(mvm_error_code(e), MVM_E_DIGEST);
    assert_int_equal(mvm_error_errno(e), EIO);
}

static void context_without_an_error_makes_none(void **state)
{
    mvm_error *e = NULL;

    (void) state;
    assert_int_equal(mvm_context(&e, MVM_E_NET, "x"), MVM_E_NET);
    assert_null(e);
}

static void fail_may_quote_the_error_that_it_replaces(void **state)
{
    mvm_autoerror mvm_error *e = NULL;

    (void) state;
    (void) mvm_fail(&e, MVM_E_NET, 0, "first");
    assert_int_equal(mvm_fail(&e, MVM_E_AUTH, 0, "second (%s)", mvm_error_message(e)), MVM_E_AUTH);
    assert_string_equal(mvm_error_message(e), "second (first)");
    assert_int_equal(mvm_error_code(e), MVM_E_AUTH);
}

static void message_has_no_control_character(void **state)
{
    mvm_autoerror mvm_error *e = NULL;

    (void) state;
    (void) mvm_fail(&e, MVM_E_FORMAT, 0, "tag '%s'", "a\n\x1b[31m\xc2\x9b\xff\xc3\xa9");
    assert_string_equal(mvm_error_message(e), "tag 'a\\x0a\\x1b[31m\\xc2\\x9b\\xff\xc3\xa9'");
    (void) mvm_context(&e, MVM_E_FORMAT, "pull\t");
    assert_string_equal(mvm_error_message(e),
                        "pull\\x09: tag 'a\\x0a\\x1b[31m\\xc2\\x9b\\xff\xc3\xa9'");
}

static void long_name_does_not_push_the_reason_out(void **state)
{
    mvm_autoerror mvm_error *e = NULL;
    mvm_autofree char *name = calloc(1, 100001);
    const char *message;

    (void) state;
    assert_non_null(name);
    memset(name, 'n', 100000);
    (void) mvm_fail(&e, MVM_E_SYS, EIO, "%s", name);
    message = mvm_error_message(e);
    assert_int_equal(strlen(message), 1023 + strlen(": Input/output error"));
    assert_string_equal(message + 1023, ": Input/output error");
}

static void message_is_cut_at_its_maximum(void **state)
{
    mvm_autoerror mvm_error *e = NULL;
    char part[1021];

    (void) state;
    memset(part, 'p', sizeof(part) - 1);
    part[sizeof(part) - 1] = '\0';
    (void) mvm_fail(&e, MVM_E_NET, 0, "%s", part);
    for (int i = 0; i < 2; i++)
        (void) mvm_context(&e, MVM_E_NET, "%s", part);
    assert_int_equal(strlen(mvm_error_message(e)), 3 * 1020 + 4);
    /* 3064 so far; 1029 more with the separator are 4095 = the maximum, and one above is cut. */
    (void) mvm_context(&e, MVM_E_NET, "%s", part);
    assert_int_equal(strlen(mvm_error_message(e)), 4 * 1020 + 6);
    (void) mvm_context(&e, MVM_E_NET, "%s", "1234567");
    assert_int_equal(strlen(mvm_error_message(e)), ERROR_MESSAGE_MAX - 1);
    (void) mvm_context(&e, MVM_E_NET, "%s", "x");
    assert_int_equal(strlen(mvm_error_message(e)), ERROR_MESSAGE_MAX - 1);
    assert_memory_equal(mvm_error_message(e), "x: 1234567: ppp", 15);
}

static void move_hands_over_or_frees(void **state)
{
    mvm_error *from = NULL;
    mvm_autoerror mvm_error *to = NULL;

    (void) state;
    (void) mvm_fail(&from, MVM_E_NET, 0, "a");
    (void) mvm_fail(&to, MVM_E_ARG, 0, "b");
    error_move(&to, from);
    assert_int_equal(mvm_error_code(to), MVM_E_NET);
    from = NULL;
    (void) mvm_fail(&from, MVM_E_NET, 0, "a");
    error_move(NULL, from);
}

static void free_keeps_errno(void **state)
{
    mvm_error *e = NULL;

    (void) state;
    (void) mvm_fail_nomem(&e);
    assert_int_equal(mvm_error_code(e), MVM_E_NOMEM);
    assert_string_equal(mvm_error_message(e), "out of memory");
    errno = EXDEV;
    mvm_error_free(e);
    assert_int_equal(errno, EXDEV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_keeps_code_errno_and_text),
        cmocka_unit_test(fail_without_errno_adds_nothing),
        cmocka_unit_test(fail_with_unknown_errno_says_so),
        cmocka_unit_test(null_error_is_no_error),
        cmocka_unit_test(context_is_put_in_front_and_keeps_the_rest),
        cmocka_unit_test(context_without_an_error_makes_none),
        cmocka_unit_test(fail_may_quote_the_error_that_it_replaces),
        cmocka_unit_test(message_has_no_control_character),
        cmocka_unit_test(long_name_does_not_push_the_reason_out),
        cmocka_unit_test(message_is_cut_at_its_maximum),
        cmocka_unit_test(move_hands_over_or_frees),
        cmocka_unit_test(free_keeps_errno),
    };

    return cmocka_run_group_tests_name("base-error", tests, NULL, NULL);
}
