/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* FIPS 180-4: SHA-256 and SHA-512 of "abc". */
#define ABC_256 "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC_512                                                               \
    "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

static void digest_of_abc_is_the_standard_one(void **state)
{
    static const char *const texts[] = { [DIGEST_SHA256] = ABC_256, [DIGEST_SHA512] = ABC_512 };

    (void) state;
    for (int a = DIGEST_SHA256; a <= DIGEST_SHA512; a++) {
        struct digest d, parsed;
        struct digest_text t;

        assert_int_equal(digest_of((enum digest_algorithm) a, "abc", 3, &d, NULL), 0);
        t = digest_format(&d);
        assert_string_equal(t.text, texts[a]);
        assert_string_equal(digest_hex(&t), texts[a] + 7);
        assert_int_equal(digest_parse(t.text, &parsed, NULL), 0);
        assert_true(digest_equal(&d, &parsed));
    }
}

static void stream_in_pieces_gives_the_same(void **state)
{
    mvm_auto(digest_stream) s = NULL;
    struct digest d, want;

    (void) state;
    assert_int_equal(digest_parse(ABC_256, &want, NULL), 0);
    assert_int_equal(digest_stream_new(DIGEST_SHA256, &s, NULL), 0);
    digest_stream_update(s, "a", 1);
    digest_stream_update(s, NULL, 0);
    digest_stream_update(s, "bc", 2);
    assert_int_equal(digest_stream_finish(s, &d, NULL), 0);
    assert_true(digest_equal(&d, &want));
}

static void stream_ends_once(void **state)
{
    mvm_auto(digest_stream) s = NULL;
    mvm_autoerror mvm_error *e = NULL;
    struct digest d;

    (void) state;
    assert_int_equal(digest_stream_new(DIGEST_SHA256, &s, NULL), 0);
    assert_int_equal(digest_stream_finish(s, &d, NULL), 0);
    digest_stream_update(s, "x", 1);
    assert_int_equal(digest_stream_finish(s, &d, &e), MVM_E_SYS);
    assert_string_equal(mvm_error_message(e), "sha256 failed");
    digest_stream_free(NULL);
}

static void parse_refuses_bad_grammar(void **state)
{
    static const char *const cases[] = {
        "",
        ":",
        "sha256",
        "sha256:",
        ":ba78",
        "SHA256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0",
        "sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:../../../../../../etc/passwd",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a\n",
        " sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "+sha256:ab",
        "sha256+:ab",
        "a..b:ab",
        "a/b:ab",
        "md5:a/b",
        "md5:a b",
        "md5:a:b",
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autoerror mvm_error *e = NULL;
        struct digest d = { .algorithm = DIGEST_SHA512 };
        int r = digest_parse(cases[i], &d, &e);

        if (r != MVM_E_FORMAT)
            fail_msg("'%s' gives %d: %s", cases[i], r, mvm_error_message(e));
        assert_non_null(strstr(mvm_error_message(e), "is not a digest"));
        assert_int_equal(d.algorithm, DIGEST_SHA512);
    }
}

static void parse_names_an_unknown_algorithm(void **state)
{
    static const char *const cases[][2] = { { "md5:ab", "md5" },
                                            { "sha25:ab", "sha25" },
                                            { "sha2566:ab", "sha2566" },
                                            { "multihash+base58:QmRZxt2b1_-=",
                                              "multihash+base58" } };
    mvm_autoerror mvm_error *e = NULL;
    struct digest d;
    char text[300];

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char want[100];

        (void) snprintf(want, sizeof(want), "digest algorithm '%s' is not supported", cases[i][1]);
        assert_int_equal(digest_parse(cases[i][0], &d, &e), MVM_E_UNSUPPORTED);
        assert_string_equal(mvm_error_message(e), want);
    }
    memset(text, 'a', 297);
    memcpy(text + 297, ":b", 3);
    assert_int_equal(digest_parse(text, &d, &e), MVM_E_UNSUPPORTED);
    assert_int_equal(strlen(mvm_error_message(e)),
                     strlen("digest algorithm '' is not supported") + 64);
}

static void equal_compares_algorithm_and_every_byte(void **state)
{
    struct digest a, b, c;

    (void) state;
    assert_int_equal(digest_of(DIGEST_SHA256, "a", 1, &a, NULL), 0);
    b = a;
    assert_true(digest_equal(&a, &b));
    b.bytes[31] ^= 1;
    assert_false(digest_equal(&a, &b));
    b = a;
    b.bytes[0] ^= 1;
    assert_false(digest_equal(&a, &b));
    c = a;
    c.algorithm = DIGEST_SHA512;
    assert_false(digest_equal(&a, &c));
    b = a;
    b.bytes[32] ^= 1; /* beyond SHA-256 */
    assert_true(digest_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digest_of_abc_is_the_standard_one),
        cmocka_unit_test(stream_in_pieces_gives_the_same),
        cmocka_unit_test(stream_ends_once),
        cmocka_unit_test(parse_refuses_bad_grammar),
        cmocka_unit_test(parse_names_an_unknown_algorithm),
        cmocka_unit_test(equal_compares_algorithm_and_every_byte),
    };

    return cmocka_run_group_tests_name("base-digest", tests, NULL, NULL);
}
