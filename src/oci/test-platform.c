/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/platform.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct oci_platform platform(const char *text)
{
    struct oci_platform p = { 0 };

    assert_int_equal(oci_platform_parse(text, &p, NULL), 0);
    return p;
}

static void platforms_are_parsed_and_formatted(void **state)
{
    static const char *const good[] = { "linux/amd64", "linux/arm/v7", "windows/amd64",
                                        "linux/arm64/v8.2" };
    static const char *const bad[] = { "",
                                       "linux",
                                       "linux/",
                                       "/amd64",
                                       "linux//v7",
                                       "linux/arm/",
                                       "linux/arm/v7/x",
                                       "li nux/arm",
                                       "linux/ar\nm",
                                       "linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct oci_platform p = platform(good[i]);

        assert_string_equal(oci_platform_format(&p).text, good[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct oci_platform p;

        if (oci_platform_parse(bad[i], &p, NULL) != MVM_E_ARG)
            fail_msg("'%s' is taken", bad[i]);
    }
    (void) platform("linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"); /* 31: the limit */
}

static void machines_have_their_names(void **state)
{
    static const char *const cases[][2] = {
        { "x86_64", "linux/amd64" },    { "aarch64", "linux/arm64/v8" },
        { "armv7l", "linux/arm/v7" },   { "armv6l", "linux/arm/v6" },
        { "i686", "linux/386" },        { "riscv64", "linux/riscv64" },
        { "ppc64le", "linux/ppc64le" }, { "s390x", "linux/s390x" },
    };
    struct oci_platform p = { 0 };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(oci_platform_from_machine(cases[i][0], &p, NULL), 0);
        assert_string_equal(oci_platform_format(&p).text, cases[i][1]);
    }
    assert_int_equal(oci_platform_from_machine("vax", &p, NULL), MVM_E_UNSUPPORTED);
    assert_int_equal(oci_platform_host(&p, NULL), 0);
    assert_string_equal(p.os, "linux");
}

static void variants_rank_by_level_up_to_the_wanted_one(void **state)
{
    static const struct {
        const char *want, *offer;
        int rank;
    } cases[] = {
        { "linux/amd64", "linux/amd64", 1 },        { "linux/amd64/v3", "linux/amd64/v3", 3 },
        { "linux/amd64/v3", "linux/amd64/v2", 2 },  { "linux/amd64/v3", "linux/amd64", 1 },
        { "linux/amd64/v3", "linux/amd64/v4", -1 }, { "linux/amd64", "linux/amd64/v2", -1 },
        { "linux/arm/v7", "linux/arm/v6", 6 },      { "linux/arm/v7", "linux/arm/v8", -1 },
        { "linux/arm/v7", "linux/arm", 6 },         { "linux/arm64/v8", "linux/arm64", 8 },
        { "linux/arm64", "linux/arm64/v8", 8 },     { "linux/arm64/v8", "linux/arm/v7", -1 },
        { "linux/amd64", "windows/amd64", -1 },     { "linux/s390x", "linux/s390x", 0 },
        { "linux/amd64/v3", "linux/amd64/x", -1 },  { "linux/386/x", "linux/386/x", 0 },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct oci_platform want = platform(cases[i].want), offer = platform(cases[i].offer);
        int rank = oci_platform_rank(&want, &offer);

        if (rank != cases[i].rank)
            fail_msg("%s for %s: %d, not %d", cases[i].offer, cases[i].want, rank, cases[i].rank);
    }
}

static void wish_without_variant_gets_a_sensible_one(void **state)
{
    struct oci_platform host = { 0 }, want = { 0 };
    char text[80];

    (void) state;
    assert_int_equal(oci_platform_host(&host, NULL), 0);
    assert_int_equal(oci_platform_want(NULL, &want, NULL), 0);
    assert_memory_equal(&want, &host, sizeof(host));
    assert_true(snprintf(text, sizeof(text), "linux/%s", host.architecture) > 0);
    assert_int_equal(oci_platform_want(text, &want, NULL), 0);
    assert_string_equal(want.variant, host.variant);
    if (strcmp(host.architecture, "arm") != 0) {
        assert_int_equal(oci_platform_want("linux/arm", &want, NULL), 0);
        assert_string_equal(want.variant, "v7");
    }
    assert_int_equal(oci_platform_want("linux", &want, NULL), MVM_E_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(platforms_are_parsed_and_formatted),
        cmocka_unit_test(machines_have_their_names),
        cmocka_unit_test(variants_rank_by_level_up_to_the_wanted_one),
        cmocka_unit_test(wish_without_variant_gets_a_sensible_one),
    };

    return cmocka_run_group_tests_name("oci-platform", tests, NULL, NULL);
}
