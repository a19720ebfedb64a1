/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The vectors of the authors' reference code: key 00 01 .. 0f, the first @len bytes of 00 01 .. */
static void siphash_gives_the_published_values(void **state)
{
    static const struct {
        size_t len;
        uint64_t want;
    } cases[] = { { 0, UINT64_C(0x726fdb47dd0e0e31) },
                  { 1, UINT64_C(0x74f839c593dc67fd) },
                  { 7, UINT64_C(0xab0200f58b01d137) },
                  { 8, UINT64_C(0x93f5f5799a932462) },
                  { 15, UINT64_C(0xa129ca6149be45e5) } };
    const struct siphash_key key = { UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908) };
    unsigned char data[16];

    (void) state;
    for (unsigned char i = 0; i < sizeof(data); i++)
        data[i] = i;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(siphash(&key, data, cases[i].len), cases[i].want);
}

static void siphash_depends_on_the_key(void **state)
{
    const struct siphash_key a = { 1, 2 }, b = { 1, 3 };

    (void) state;
    assert_int_not_equal(siphash(&a, "name", 4), siphash(&b, "name", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_gives_the_published_values),
        cmocka_unit_test(siphash_depends_on_the_key),
    };

    return cmocka_run_group_tests_name("base-siphash", tests, NULL, NULL);
}
