/* SPDX-License-Identifier: Apache-2.0 */
#include "base/scan.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What an output holds before a call that must not touch it. */
#define UNTOUCHED 0x5555555555555555ULL

struct number_case {
    const char *text;
    uint64_t max;
    bool ok;
    uint64_t value;
};

static void u64_takes_digits_up_to_the_maximum_and_nothing_else(void **state)
{
    static const struct number_case cases[] = {
        { "0", 0, true, 0 },
        { "7", 7, true, 7 },
        { "8", 7, false, 0 },
        { "007", 7, true, 7 },
        { "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
        { "18446744073709551616", UINT64_MAX, false, 0 },
        { "99999999999999999999", UINT64_MAX, false, 0 },
        { "", 9, false, 0 },
        { "-1", 9, false, 0 },
        { "+1", 9, false, 0 },
        { " 1", 9, false, 0 },
        { "1 ", 9, false, 0 },
        { "1x", 9, false, 0 },
        { "0x1", 9, false, 0 },
        { "1\n", 9, false, 0 },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct number_case *c = &cases[i];
        uint64_t value = UNTOUCHED;

        if (scan_u64(c->text, strlen(c->text), c->max, &value) != c->ok)
            fail_msg("'%s' is %s", c->text, c->ok ? "refused" : "taken");
        if (value != (c->ok ? c->value : UNTOUCHED))
            fail_msg("'%s' gives %llu", c->text, (unsigned long long) value);
    }
}

static void u64_reads_no_byte_past_the_length(void **state)
{
    mvm_autofree char *text = malloc(2); /* the sanitizer watches its end */
    uint64_t value = 0;

    (void) state;
    assert_non_null(text);
    text[0] = '4';
    text[1] = '2';
    assert_true(scan_u64(text, 2, 100, &value));
    assert_int_equal(value, 42);
    assert_true(scan_u64(text, 1, 100, &value));
    assert_int_equal(value, 4);
    assert_false(scan_u64("1\0002", 3, 100, &value));
}

static void size_knows_the_usual_suffixes(void **state)
{
    static const struct number_case cases[] = {
        { "512", 1, true, 512 },
        { "512", 1 << 20, true, 512ULL << 20 },
        { "512b", 1 << 20, true, 512 },
        { "1k", 1, true, 1024 },
        { "1K", 1, true, 1024 },
        { "512m", 1, true, 512ULL << 20 },
        { "2G", 1, true, 2ULL << 30 },
        { "2gb", 1, true, 2ULL << 30 },
        { "2gi", 1, true, 2ULL << 30 },
        { "1GiB", 1, true, 1ULL << 30 },
        { "1t", 1, true, 1ULL << 40 },
        { "0t", 1, true, 0 },
        { "16777215t", 1, true, 16777215ULL << 40 },
        { "16777216t", 1, false, 0 },
        { "18446744073709551615", 1, true, UINT64_MAX },
        { "9223372036854775808", 2, false, 0 },
        { "18446744073709551616", 1, false, 0 },
        { "", 1, false, 0 },
        { "m", 1, false, 0 },
        { "1x", 1, false, 0 },
        { "1bb", 1, false, 0 },
        { "1bi", 1, false, 0 },
        { "1kk", 1, false, 0 },
        { "1kib ", 1, false, 0 },
        { "1kibs", 1, false, 0 },
        { "1kbi", 1, false, 0 },
        { "1.5g", 1, false, 0 },
        { "-1g", 1, false, 0 },
        { "1 g", 1, false, 0 },
        { "1\xcb", 1, false, 0 },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct number_case *c = &cases[i];
        uint64_t value = UNTOUCHED;

        if (scan_size(c->text, strlen(c->text), c->max, &value) != c->ok)
            fail_msg("'%s' is %s", c->text, c->ok ? "refused" : "taken");
        if (value != (c->ok ? c->value : UNTOUCHED))
            fail_msg("'%s' gives %llu", c->text, (unsigned long long) value);
    }
    assert_false(scan_size("1\0", 2, 1, &(uint64_t){ 0 }));
}

static void duration_adds_its_parts(void **state)
{
    static const struct number_case cases[] = {
        { "0", 0, true, 0 },
        { "90", 0, true, 90000 },
        { "1.5", 0, true, 1500 },
        { "1.5s", 0, true, 1500 },
        { "200ms", 0, true, 200 },
        { "5m", 0, true, 300000 },
        { "1h30m", 0, true, 5400000 },
        { "1h1m1s1ms", 0, true, 3661001 },
        { "0.123456789s", 0, true, 123 },
        { "0.1234567890s", 0, false, 0 },
        { "0.999999999h", 0, true, 3599999 },
        { "5124095576029h", 0, true, 18446744073704400000ULL },
        { "5124095576030h", 0, false, 0 },
        { "5124095576029h5124095576029h", 0, false, 0 },
        { "", 0, false, 0 },
        { "s", 0, false, 0 },
        { "1h30", 0, false, 0 },
        { "1.s", 0, false, 0 },
        { ".5s", 0, false, 0 },
        { "1.5.5s", 0, false, 0 },
        { "1d", 0, false, 0 },
        { "-1s", 0, false, 0 },
        { "1s ", 0, false, 0 },
        { "1S", 0, false, 0 },
        { "99999999999999999999s", 0, false, 0 },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct number_case *c = &cases[i];
        uint64_t value = UNTOUCHED;

        if (scan_duration_ms(c->text, strlen(c->text), &value) != c->ok)
            fail_msg("'%s' is %s", c->text, c->ok ? "refused" : "taken");
        if (value != (c->ok ? c->value : UNTOUCHED))
            fail_msg("'%s' gives %llu", c->text, (unsigned long long) value);
    }
}

static void duration_reads_no_byte_past_the_length(void **state)
{
    mvm_autofree char *text = malloc(4);
    uint64_t value = 0;

    (void) state;
    assert_non_null(text);
    memcpy(text, "1.5m", 4);
    assert_true(scan_duration_ms(text, 4, &value));
    assert_int_equal(value, 90000);
    assert_true(scan_duration_ms(text, 3, &value));
    assert_int_equal(value, 1500);
    assert_false(scan_duration_ms(text, 2, &value));
}

static void prefix_is_compared_whole(void **state)
{
    (void) state;
    assert_true(scan_has_prefix("oci:dir", "oci:"));
    assert_true(scan_has_prefix("oci:", "oci:"));
    assert_true(scan_has_prefix("x", ""));
    assert_false(scan_has_prefix("oci", "oci:"));
    assert_false(scan_has_prefix("", "o"));
}

struct utf8_case {
    const char *text;
    size_t len;
    size_t first; /* length of the first character */
    bool ok;
};

static void utf8_is_that_of_rfc_3629(void **state)
{
    static const struct utf8_case cases[] = {
        { "", 0, 0, true },
        { "abc", 3, 1, true },
        { "\x7f", 1, 1, true },
        { "\xc3\xa9", 2, 2, true },
        { "\xe2\x82\xac", 3, 3, true },
        { "\xf0\x9f\x98\x80", 4, 4, true },
        { "\xed\x9f\xbf", 3, 3, true },      /* U+D7FF */
        { "\xee\x80\x80", 3, 3, true },      /* U+E000 */
        { "\xf4\x8f\xbf\xbf", 4, 4, true },  /* U+10FFFF */
        { "a\0b", 3, 1, false },             /* NUL */
        { "\0", 1, 0, false },               /* NUL */
        { "\x80", 1, 0, false },             /* continuation alone */
        { "\xc0\xaf", 2, 0, false },         /* overlong */
        { "\xc1\xbf", 2, 0, false },         /* overlong */
        { "\xe0\x9f\xbf", 3, 0, false },     /* overlong */
        { "\xf0\x8f\xbf\xbf", 4, 0, false }, /* overlong */
        { "\xed\xa0\x80", 3, 0, false },     /* surrogate */
        { "\xf4\x90\x80\x80", 4, 0, false }, /* above U+10FFFF */
        { "\xf5\x80\x80\x80", 4, 0, false }, /* above U+10FFFF */
        { "\xff", 1, 0, false },
        { "\xc3", 1, 0, false },         /* cut */
        { "\xe2\x82", 2, 0, false },     /* cut */
        { "\xf0\x9f\x98", 3, 0, false }, /* cut */
        { "\xe2\x28\xa1", 3, 0, false },
        { "\xe2\x82\x28", 3, 0, false },
        { "\xf0\x9f\x98\x28", 4, 0, false },
        { "ok\xc3", 3, 1, false },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct utf8_case *c = &cases[i];
        mvm_autofree char *copy = mem_array(c->len, 1);

        assert_non_null(copy);
        memcpy(copy, c->text, c->len);
        if (scan_is_utf8(copy, c->len) != c->ok)
            fail_msg("case %zu is %s", i, c->ok ? "refused" : "taken");
        if (scan_utf8_char(copy, c->len) != c->first)
            fail_msg("case %zu starts with a character of %zu bytes", i,
                     scan_utf8_char(copy, c->len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u64_takes_digits_up_to_the_maximum_and_nothing_else),
        cmocka_unit_test(u64_reads_no_byte_past_the_length),
        cmocka_unit_test(size_knows_the_usual_suffixes),
        cmocka_unit_test(duration_adds_its_parts),
        cmocka_unit_test(duration_reads_no_byte_past_the_length),
        cmocka_unit_test(prefix_is_compared_whole),
        cmocka_unit_test(utf8_is_that_of_rfc_3629),
    };

    return cmocka_run_group_tests_name("base-scan", tests, NULL, NULL);
}
