/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/json-reader.h"

#include "base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int skip_all(const char *text, size_t len, mvm_error **err)
{
    struct json_reader r = JSON_READER_INIT(text, len);
    int rc = json_reader_skip(&r, err);

    return rc < 0 ? rc : json_reader_end(&r, err);
}

static void expect_decoded(const char *json, const char *want)
{
    struct json_reader r = JSON_READER_INIT(json, strlen(json));
    mvm_autofree char *got = NULL;

    assert_int_equal(json_reader_string(&r, &got, NULL), 0);
    assert_string_equal(got, want);
    assert_int_equal(json_reader_end(&r, NULL), 0);
}

static void strings_decode_every_escape(void **state)
{
    (void) state;
    expect_decoded("\"\"", "");
    expect_decoded("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
    expect_decoded("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"",
                   "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    expect_decoded("\"\\u0001\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
                   "\x01\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf");
    expect_decoded("\"\\ud800\\udc00\\udbff\\udfff\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
    expect_decoded(" \t\r\n\"\xf0\x9f\x98\x80 raw\" ", "\xf0\x9f\x98\x80 raw");
}

static void strings_refuse_what_is_no_string(void **state)
{
    (void) state;
    static const struct {
        const char *json;
        const char *message;
    } cases[] = {
        { "\"", "byte 1: the text ends inside a string" },
        { "\"a", "byte 2: the text ends inside a string" },
        { "\"\\", "byte 2: unknown escape" },
        { "\"\\x41\"", "byte 2: unknown escape" },
        { "\"\\'\"", "byte 2: unknown escape" },
        { "\"\\U0041\"", "byte 2: unknown escape" },
        { "\"\\u004\"", "byte 6: \\u needs four hexadecimal digits" },
        { "\"\\u00g0\"", "byte 5: \\u needs four hexadecimal digits" },
        { "\"\\u+041\"", "byte 3: \\u needs four hexadecimal digits" },
        { "\"\\u", "byte 3: \\u needs four hexadecimal digits" },
        { "\"\\u0000\"", "byte 7: a string must not hold a NUL" },
        { "\"\\ud800\"", "byte 7: high surrogate without a low one" },
        { "\"\\ud800x\"", "byte 7: high surrogate without a low one" },
        { "\"\\ud800\\n\"", "byte 7: high surrogate without a low one" },
        { "\"\\ud800\\ud800\"", "byte 13: high surrogate without a low one" },
        { "\"\\ud800\\ue000\"", "byte 13: high surrogate without a low one" },
        { "\"\\udc00\"", "byte 7: low surrogate without a high one" },
        { "\"\\udfff\\ud800\"", "byte 7: low surrogate without a high one" },
        { "\"a\nb\"", "byte 2: control character inside a string" },
        { "\"\x1f\"", "byte 1: control character inside a string" },
        { "\"\xff\"", "byte 2: the string is not UTF-8" },
        { "\"\xc3\"", "byte 2: the string is not UTF-8" },
        { "\"\xc0\x80\"", "byte 3: the string is not UTF-8" },
        { "\"\xed\xa0\x80\"", "byte 4: the string is not UTF-8" },
        { "\"\xc3\\u00a9\"", "byte 2: the string is not UTF-8" },
        { "'a'", "byte 0: no value starts like this" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autoerror mvm_error *err = NULL;

        assert_int_equal(skip_all(cases[i].json, strlen(cases[i].json), &err), MVM_E_FORMAT);
        assert_string_equal(mvm_error_message(err), cases[i].message);
    }
}

static void raw_nul_inside_a_string_is_refused(void **state)
{
    (void) state;
    assert_int_equal(skip_all("\"a\0b\"", 5, NULL), MVM_E_FORMAT);
}

static void documents_of_every_kind_are_accepted(void **state)
{
    (void) state;
    static const char *const good[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "10",
        "-1.5e+10",
        "1E-2",
        "0.0",
        "[]",
        "{}",
        "[[],{}]",
        " { \"a\" : [ 1 , \"b\" , null ] , \"c\" : { } } ",
        "[{\"a\":{}},[]]",
        "{\"\":0,\"\":1}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        mvm_autoerror mvm_error *err = NULL;

        assert_int_equal(skip_all(good[i], strlen(good[i]), &err), 0);
        assert_string_equal(mvm_error_message(err), "");
    }
}

static void broken_documents_are_refused(void **state)
{
    (void) state;
    static const char *const bad[] = {
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "00",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x10",
        "NaN",
        "[",
        "]",
        "[1",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{,}",
        "{\"a\":1 \"b\":2}",
        "{\"a\"=1}",
        "{1:2}",
        "1 2",
        "{} {}",
        "[]]",
        "// x\n1",
        "\xef\xbb\xbf{}",
        "[[]",
        "[{]}",
        "[[1] [2]]",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (skip_all(bad[i], strlen(bad[i]), NULL) != MVM_E_FORMAT)
            fail_msg("accepted: %s", bad[i]);
}

/* @depth arrays around nothing. */
static int skip_nested(size_t depth)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(1024);

    for (size_t i = 0; i < depth; i++)
        strbuf_addc(&text, '[');
    for (size_t i = 0; i < depth; i++)
        strbuf_addc(&text, ']');
    return skip_all(strbuf_str(&text), text.len, NULL);
}

static void nesting_has_a_maximum(void **state)
{
    (void) state;
    assert_int_equal(skip_nested(JSON_READER_DEPTH_MAX), 0);
    assert_int_equal(skip_nested(JSON_READER_DEPTH_MAX + 1), MVM_E_LIMIT);
}

static void depth_counts_what_is_open_not_what_was(void **state)
{
    (void) state;
    mvm_autovalue(strbuf) text = STRBUF_INIT(4096);

    strbuf_adds(&text, "[[]");
    for (int i = 0; i < 10 * JSON_READER_DEPTH_MAX; i++)
        strbuf_adds(&text, ",[{}]");
    strbuf_addc(&text, ']');
    assert_int_equal(skip_all(strbuf_str(&text), text.len, NULL), 0);
}

static void members_and_elements_come_in_order(void **state)
{
    (void) state;
    static const char text[] = "{\"a\": [\"x\", \"y\"], \"b\": \"z\"}";
    struct json_reader r = JSON_READER_INIT(text, sizeof(text) - 1);
    mvm_autofree char *a = NULL, *x = NULL, *y = NULL, *b = NULL, *z = NULL, *none = NULL;

    assert_int_equal(json_reader_enter(&r, JSON_KIND_OBJECT, NULL), 0);
    assert_int_equal(json_reader_next_member(&r, &a, NULL), 1);
    assert_int_equal(json_reader_enter(&r, JSON_KIND_ARRAY, NULL), 0);
    assert_int_equal(json_reader_next_element(&r, NULL), 1);
    assert_int_equal(json_reader_string(&r, &x, NULL), 0);
    assert_int_equal(json_reader_next_element(&r, NULL), 1);
    assert_int_equal(json_reader_string(&r, &y, NULL), 0);
    assert_int_equal(json_reader_next_element(&r, NULL), 0);
    assert_int_equal(json_reader_next_member(&r, &b, NULL), 1);
    assert_int_equal(json_reader_string(&r, &z, NULL), 0);
    assert_int_equal(json_reader_next_member(&r, &none, NULL), 0);
    assert_int_equal(json_reader_end(&r, NULL), 0);
    assert_string_equal(a, "a");
    assert_string_equal(x, "x");
    assert_string_equal(y, "y");
    assert_string_equal(b, "b");
    assert_string_equal(z, "z");
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_decode_every_escape),
        cmocka_unit_test(strings_refuse_what_is_no_string),
        cmocka_unit_test(raw_nul_inside_a_string_is_refused),
        cmocka_unit_test(documents_of_every_kind_are_accepted),
        cmocka_unit_test(broken_documents_are_refused),
        cmocka_unit_test(nesting_has_a_maximum),
        cmocka_unit_test(depth_counts_what_is_open_not_what_was),
        cmocka_unit_test(members_and_elements_come_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
