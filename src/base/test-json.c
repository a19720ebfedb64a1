/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static json_t *parse(const char *text)
{
    json_t *j = NULL;

    assert_int_equal(json_parse(text, strlen(text), "test", &j, NULL), 0);
    return j;
}

struct parse_case {
    const char *text;
    size_t len; /* 0: up to the NUL */
};

static void parse_refuses_what_is_not_strict_json(void **state)
{
    static const struct parse_case cases[] = {
        { "", 0 },
        { " ", 0 },
        { "{", 0 },
        { "}", 0 },
        { "[1,]", 0 },
        { "{\"a\":1,}", 0 },
        { "{'a':1}", 0 },
        { "{\"a\":1}x", 0 }, /* trailing data */
        { "{}{}", 0 },
        { "{}\0", 3 },              /* trailing NUL */
        { "{\"a\":1,\"a\":2}", 0 }, /* duplicates */
        { "{\"b\":{\"a\":1,\"\\u0061\":2}}", 0 },
        { "{\"a\\u0000b\":1}", 0 },
        { "[\"a\\u0000b\"]", 0 },
        { "[\"a\0b\"]", 7 },
        { "[\"\xff\"]", 0 },
        { "[\"\xed\xa0\x80\"]", 0 },
        { "[\"\\ud800\"]", 0 },
        { "[\"a\nb\"]", 0 },
        { "[01]", 0 },
        { "[1e999]", 0 },
        { "[9223372036854775808]", 0 },
        { "[NaN]", 0 },
        { "7", 0 }, /* neither an object nor an array */
        { "\"x\"", 0 },
        { "null", 0 },
        { "\xef\xbb\xbf{}", 0 },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autojson json_t *j = NULL;
        mvm_autoerror mvm_error *e = NULL;
        size_t len = cases[i].len ? cases[i].len : strlen(cases[i].text);
        int r = json_parse(cases[i].text, len, "the manifest", &j, &e);

        if (r != MVM_E_FORMAT)
            fail_msg("case %zu, %s: %d", i, cases[i].text, r);
        assert_memory_equal(mvm_error_message(e), "the manifest: not JSON: line ", 29);
        assert_null(j);
    }
}

static void parse_stops_at_the_length(void **state)
{
    mvm_autofree char *text = malloc(2);
    mvm_autojson json_t *j = NULL;

    (void) state;
    assert_non_null(text);
    memcpy(text, "{}", 2);
    assert_int_equal(json_parse(text, 2, "test", &j, NULL), 0);
    assert_true(json_is_object(j));
}

static int parse_nested(unsigned depth, const char *open, const char *close, mvm_error **err)
{
    mvm_autovalue(strbuf) sb = STRBUF_INIT(1 << 20);
    mvm_autojson json_t *j = NULL;

    for (unsigned i = 0; i < depth; i++)
        strbuf_adds(&sb, open);
    strbuf_adds(&sb, "[]");
    for (unsigned i = 0; i < depth; i++)
        strbuf_adds(&sb, close);
    return json_parse(strbuf_str(&sb), sb.len, "test", &j, err);
}

static void depth_of_64_is_taken_and_65_refused(void **state)
{
    mvm_autoerror mvm_error *e = NULL;

    (void) state;
    assert_int_equal(parse_nested(JSON_DEPTH_MAX - 1, "[", "]", NULL), 0);
    assert_int_equal(parse_nested(JSON_DEPTH_MAX, "[", "]", &e), MVM_E_LIMIT);
    assert_string_equal(mvm_error_message(e), "test: nested deeper than 64 levels");
    assert_int_equal(parse_nested(JSON_DEPTH_MAX - 1, "{\"a\":", "}", NULL), 0);
    assert_int_equal(parse_nested(JSON_DEPTH_MAX, "{\"a\":", "}", NULL), MVM_E_LIMIT);
    assert_int_equal(parse_nested(100000, "[", "]", NULL), MVM_E_LIMIT);
}

static void brackets_in_strings_are_no_depth(void **state)
{
    mvm_autovalue(strbuf) sb = STRBUF_INIT(4096);
    mvm_autojson json_t *j = NULL;

    (void) state;
    strbuf_adds(&sb, "[\"");
    for (int i = 0; i < 200; i++)
        strbuf_adds(&sb, i % 2 ? "[{" : "\\\"\\\\");
    strbuf_adds(&sb, "\", {\"[[\\\\\": 1}]");
    assert_int_equal(json_parse(strbuf_str(&sb), sb.len, "test", &j, NULL), 0);
}

static void strings_do_not_hide_depth(void **state)
{
    (void) state;
    /* Escapes and quotes that a careless counter would take for an open string. */
    assert_int_equal(parse_nested(JSON_DEPTH_MAX, "[\"\\\\\",", "]", NULL), MVM_E_LIMIT);
    assert_int_equal(parse_nested(JSON_DEPTH_MAX, "[\"\\\"\",", "]", NULL), MVM_E_LIMIT);
    assert_int_equal(parse_nested(JSON_DEPTH_MAX - 1, "[\"\\\\\",", "]", NULL), 0);
    /* A closing bracket in a string gives no level back. */
    assert_int_equal(parse_nested(JSON_DEPTH_MAX, "[\"]]]\",", "]", NULL), MVM_E_LIMIT);
    /* Nor does one that closes nothing. */
    assert_int_equal(parse_nested(JSON_DEPTH_MAX + 1, "[", "}", NULL), MVM_E_LIMIT);
}

static void absent_and_null_are_unset(void **state)
{
    mvm_autojson json_t *j = parse("{\"n\":null}");
    static const char *const keys[] = { "n", "absent" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        mvm_autovalue(strv) v = { .items = NULL };
        const char *text = "x";
        json_t *object = j, *array = j;
        uint64_t n = 7;
        bool b = true;

        assert_int_equal(json_get_str(j, keys[i], &text, NULL), 0);
        assert_null(text);
        assert_int_equal(json_get_u64(j, keys[i], 10, &n, NULL), 0);
        assert_int_equal(n, 0);
        assert_int_equal(json_get_bool(j, keys[i], &b, NULL), 0);
        assert_false(b);
        assert_int_equal(json_get_object(j, keys[i], &object, NULL), 0);
        assert_null(object);
        assert_int_equal(json_get_array(j, keys[i], &array, NULL), 0);
        assert_null(array);
        assert_int_equal(json_get_strv(j, keys[i], &v, NULL), 0);
        assert_int_equal(v.n, 0);
    }
}

static void values_of_the_right_type_are_given(void **state)
{
    mvm_autojson json_t *j = parse(
        "{\"s\":\"text\",\"u\":42,\"t\":true,\"o\":{},\"a\":[\"x\",\"y\"],\"e\":\"\"}");
    mvm_autovalue(strv) v = { .items = NULL };
    const char *text = NULL;
    json_t *inner = NULL;
    uint64_t n = 0;
    bool b = false;

    (void) state;
    assert_int_equal(json_get_str(j, "s", &text, NULL), 0);
    assert_string_equal(text, "text");
    assert_int_equal(json_need_str(j, "e", &text, NULL), 0);
    assert_string_equal(text, "");
    assert_int_equal(json_get_u64(j, "u", 42, &n, NULL), 0);
    assert_int_equal(n, 42);
    assert_int_equal(json_get_bool(j, "t", &b, NULL), 0);
    assert_true(b);
    assert_int_equal(json_get_object(j, "o", &inner, NULL), 0);
    assert_true(json_is_object(inner));
    assert_int_equal(json_get_array(j, "a", &inner, NULL), 0);
    assert_int_equal(json_array_size(inner), 2);
    assert_int_equal(strv_add(&v, "before"), 0);
    assert_int_equal(json_get_strv(j, "a", &v, NULL), 0);
    assert_int_equal(v.n, 3);
    assert_string_equal(v.items[2], "y");
}

static void other_types_are_refused_by_name(void **state)
{
    mvm_autojson json_t *j = parse("{\"k\":1.5,\"s\":\"x\",\"a\":[\"x\",1]}");
    mvm_autovalue(strv) v = { .items = NULL };
    mvm_autoerror mvm_error *e = NULL;
    const char *text = "old";
    json_t *inner = j;
    uint64_t n = 7;
    bool b = true;

    (void) state;
    assert_int_equal(json_get_str(j, "k", &text, &e), MVM_E_FORMAT);
    assert_string_equal(mvm_error_message(e), "key 'k' is not a string");
    assert_int_equal(json_need_str(j, "k", &text, NULL), MVM_E_FORMAT);
    assert_int_equal(json_get_u64(j, "k", 10, &n, &e), MVM_E_FORMAT);
    assert_string_equal(mvm_error_message(e), "key 'k' is not a whole number");
    assert_int_equal(json_get_u64(j, "s", 10, &n, NULL), MVM_E_FORMAT);
    assert_int_equal(json_get_bool(j, "k", &b, &e), MVM_E_FORMAT);
    assert_string_equal(mvm_error_message(e), "key 'k' is not true or false");
    assert_int_equal(json_get_object(j, "a", &inner, &e), MVM_E_FORMAT);
    assert_string_equal(mvm_error_message(e), "key 'a' is not an object");
    assert_int_equal(json_get_array(j, "k", &inner, &e), MVM_E_FORMAT);
    assert_string_equal(mvm_error_message(e), "key 'k' is not an array");
    assert_int_equal(json_get_strv(j, "a", &v, &e), MVM_E_FORMAT);
    assert_string_equal(mvm_error_message(e), "key 'a' is not an array of strings");
    assert_int_equal(json_get_strv(j, "s", &v, NULL), MVM_E_FORMAT);
    assert_int_equal(json_need_str(j, "none", &text, &e), MVM_E_FORMAT);
    assert_string_equal(mvm_error_message(e), "key 'none' is missing");
    assert_string_equal(text, "old");
    assert_int_equal(n, 7);
    assert_true(b);
    assert_ptr_equal(inner, j);
}

static void u64_takes_the_maximum_and_refuses_one_above(void **state)
{
    mvm_autojson json_t *j = parse("{\"a\":10,\"b\":11,\"c\":-1,\"d\":9223372036854775807}");
    mvm_autoerror mvm_error *e = NULL;
    uint64_t n = 0;

    (void) state;
    assert_int_equal(json_get_u64(j, "a", 10, &n, NULL), 0);
    assert_int_equal(n, 10);
    assert_int_equal(json_get_u64(j, "b", 10, &n, &e), MVM_E_FORMAT);
    assert_string_equal(mvm_error_message(e), "key 'b': 11 is not within 0 to 10");
    assert_int_equal(json_get_u64(j, "c", 10, &n, &e), MVM_E_FORMAT);
    assert_string_equal(mvm_error_message(e), "key 'c': -1 is not within 0 to 10");
    assert_int_equal(n, 10);
    assert_int_equal(json_get_u64(j, "d", UINT64_MAX, &n, NULL), 0);
    assert_int_equal(n, INT64_MAX);
}

static void keys_of_what_is_no_object_are_unset(void **state)
{
    mvm_autojson json_t *j = parse("[1]");
    const char *text = "x";

    (void) state;
    assert_int_equal(json_get_str(j, "a", &text, NULL), 0);
    assert_null(text);
    assert_int_equal(json_need_str(j, "a", &text, NULL), MVM_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_refuses_what_is_not_strict_json),
        cmocka_unit_test(parse_stops_at_the_length),
        cmocka_unit_test(depth_of_64_is_taken_and_65_refused),
        cmocka_unit_test(brackets_in_strings_are_no_depth),
        cmocka_unit_test(strings_do_not_hide_depth),
        cmocka_unit_test(absent_and_null_are_unset),
        cmocka_unit_test(values_of_the_right_type_are_given),
        cmocka_unit_test(other_types_are_refused_by_name),
        cmocka_unit_test(u64_takes_the_maximum_and_refuses_one_above),
        cmocka_unit_test(keys_of_what_is_no_object_are_unset),
    };

    return cmocka_run_group_tests_name("base-json", tests, NULL, NULL);
}
