/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/reference.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void references_get_their_full_names(void **state)
{
    static const struct {
        const char *text, *name, *registry, *repository, *tag;
    } cases[] = {
        { "alpine", "docker.io/library/alpine:latest", "docker.io", "library/alpine", "latest" },
        { "alpine:3.20", "docker.io/library/alpine:3.20", "docker.io", "library/alpine", "3.20" },
        { "docker.io/alpine", "docker.io/library/alpine:latest", "docker.io", "library/alpine",
          "latest" },
        { "docker.io/library/alpine:latest", "docker.io/library/alpine:latest", "docker.io",
          "library/alpine", "latest" },
        { "index.docker.io/alpine", "docker.io/library/alpine:latest", "docker.io",
          "library/alpine", "latest" },
        { "user/app", "docker.io/user/app:latest", "docker.io", "user/app", "latest" },
        { "localhost/x", "localhost/x:latest", "localhost", "x", "latest" },
        { "localhost:5000/x", "localhost:5000/x:latest", "localhost:5000", "x", "latest" },
        { "localhost:5000/x:5000", "localhost:5000/x:5000", "localhost:5000", "x", "5000" },
        { "localhost", "docker.io/library/localhost:latest", "docker.io", "library/localhost",
          "latest" },
        { "GHCR.io/org/app:V1_x.y-z", "ghcr.io/org/app:V1_x.y-z", "ghcr.io", "org/app",
          "V1_x.y-z" },
        { "ghcr.io/a/b/c", "ghcr.io/a/b/c:latest", "ghcr.io", "a/b/c", "latest" },
        { "[::1]:5000/x:t", "[::1]:5000/x:t", "[::1]:5000", "x", "t" },
        { "a", "docker.io/library/a:latest", "docker.io", "library/a", "latest" },
        { "a.b/c", "a.b/c:latest", "a.b", "c", "latest" },
        { "a.b/c__d-e--f.g_h", "a.b/c__d-e--f.g_h:latest", "a.b", "c__d-e--f.g_h", "latest" },
        { "alpine@sha256:" HEX64, "docker.io/library/alpine@sha256:" HEX64, "docker.io",
          "library/alpine", NULL },
        { "alpine:3.20@sha256:" HEX64, "docker.io/library/alpine@sha256:" HEX64, "docker.io",
          "library/alpine", NULL },
        { "h:1/x@sha512:" HEX64 HEX64, "h:1/x@sha512:" HEX64 HEX64, "h:1", "x", NULL },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(oci_reference) ref = { 0 };
        mvm_autoerror mvm_error *e = NULL;

        if (oci_reference_parse(cases[i].text, &ref, &e) != 0)
            fail_msg("'%s': %s", cases[i].text, mvm_error_message(e));
        assert_string_equal(ref.typed, cases[i].text);
        assert_string_equal(ref.name, cases[i].name);
        assert_string_equal(ref.registry, cases[i].registry);
        assert_string_equal(ref.repository, cases[i].repository);
        assert_int_equal(ref.has_digest, cases[i].tag == NULL);
        if (cases[i].tag)
            assert_string_equal(ref.tag, cases[i].tag);
        else
            assert_null(ref.tag);
    }
}

static void malformed_references_are_refused_with_their_text(void **state)
{
    static const char *const cases[] = {
        "",
        ":",
        "/",
        "//",
        "alpine:",
        "alpine:-x",
        "alpine:.x",
        "alpine:a b",
        "alpine:a/b:",
        "Alpine",
        "a//b",
        "a/",
        "/a",
        "a.b/",
        "a..b/c",
        "x/a..b",
        "x/.a",
        "x/a.",
        "x/a___b",
        "x/-a",
        "x/a-",
        "x/..",
        "x/.",
        "a b",
        "a\nb",
        "h:0/x",
        "h:65536/x",
        "h:x/x",
        "h:/x",
        ":5000/x",
        "-h.io/x",
        "h.io-/x",
        "[::1/x",
        "[]/x",
        "[::g]/x",
        "[::1]x/x",
        "a.b@c/x",
        "alpine@",
        "alpine@sha256:",
        "alpine@sha256:" HEX64 "0",
        "alpine@md5:" HEX64,
        "alpine@sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
        "alpine@sha256:" HEX64 "@sha256:" HEX64,
        "alpine:@sha256:" HEX64,
        "alp\xc3\xafne",
        "h.io/%2e%2e/x",
        "h.io/x?y",
        "h.io/x#y",
        "user@h.io/x",
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(oci_reference) ref = { 0 };
        mvm_autoerror mvm_error *e = NULL;

        if (oci_reference_parse(cases[i], &ref, &e) >= 0)
            fail_msg("'%s' was taken for '%s'", cases[i], ref.name);
        if (!strstr(mvm_error_message(e), "image reference '"))
            fail_msg("'%s': %s", cases[i], mvm_error_message(e));
        assert_null(ref.name);
    }
}

static void lengths_hold_at_their_limit_and_not_above(void **state)
{
    char text[400] = "h.io/";
    mvm_autovalue(oci_reference) ref = { 0 };

    (void) state;
    memset(text + 5, 'a', OCI_NAME_MAX - 5);
    assert_int_equal(oci_reference_parse(text, &ref, NULL), 0);
    oci_reference_deinit(&ref);
    text[OCI_NAME_MAX] = 'a';
    assert_int_equal(oci_reference_parse(text, &ref, NULL), MVM_E_LIMIT);
    memset(text, 'b', sizeof(text));
    memcpy(text, "x:", 2);
    text[2 + OCI_TAG_MAX] = '\0';
    assert_int_equal(oci_reference_parse(text, &ref, NULL), 0);
    oci_reference_deinit(&ref);
    text[2 + OCI_TAG_MAX] = 'b';
    text[3 + OCI_TAG_MAX] = '\0';
    assert_int_equal(oci_reference_parse(text, &ref, NULL), MVM_E_ARG);
}

static void docker_hub_has_a_host_of_its_own(void **state)
{
    (void) state;
    assert_string_equal(oci_registry_host("docker.io"), "index.docker.io");
    assert_string_equal(oci_registry_host("ghcr.io"), "ghcr.io");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_get_their_full_names),
        cmocka_unit_test(malformed_references_are_refused_with_their_text),
        cmocka_unit_test(lengths_hold_at_their_limit_and_not_above),
        cmocka_unit_test(docker_hub_has_a_host_of_its_own),
    };

    return cmocka_run_group_tests_name("oci-reference", tests, NULL, NULL);
}
