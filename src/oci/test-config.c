/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIFF_ID "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" DIFF_ID "\"]}"

static int parse(const char *text, struct oci_config *c, mvm_error **err)
{
    return oci_config_parse(text, strlen(text), c, err);
}

static void all_fields_are_taken(void **state)
{
    mvm_autovalue(oci_config) c = { 0 };

    (void) state;
    assert_int_equal(
        parse(
            "{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v7\",\"unknown\":[1],\"config\":{"
            "\"Entrypoint\":[\"/a\"],\"Cmd\":[\"b\",\"\"],\"Env\":[\"X=1\\n2\"],\"WorkingDir\":\"/w\","
            "\"User\":\"u:g\",\"Labels\":{\"a\":\"b\",\"microvm.kernel\":\"own\"}}," ROOTFS "}",
            &c, NULL),
        0);
    assert_string_equal(c.os, "linux");
    assert_string_equal(c.architecture, "arm");
    assert_string_equal(c.variant, "v7");
    assert_int_equal(c.entrypoint.n, 1);
    assert_string_equal(c.entrypoint.items[0], "/a");
    assert_int_equal(c.cmd.n, 2);
    assert_string_equal(c.cmd.items[1], "");
    assert_string_equal(c.env.items[0], "X=1\n2");
    assert_string_equal(c.workdir, "/w");
    assert_string_equal(c.user, "u:g");
    assert_string_equal(c.kernel, "own");
    assert_int_equal(c.n_diff_ids, 1);
    assert_string_equal(digest_format(&c.diff_ids[0]).text, DIFF_ID);
}

static void absent_and_null_both_mean_unset(void **state)
{
    static const char *const texts[] = {
        "{" ROOTFS "}",
        "{\"config\":null," ROOTFS "}",
        "{\"os\":null,\"config\":{\"Entrypoint\":null,\"Cmd\":null,\"Env\":null,\"WorkingDir\":null,\"User\":null}," ROOTFS
        "}",
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        mvm_autovalue(oci_config) c = { 0 };

        assert_int_equal(parse(texts[i], &c, NULL), 0);
        assert_string_equal(c.os, "");
        assert_string_equal(c.user, "");
        assert_string_equal(c.kernel, "");
        assert_int_equal(c.entrypoint.n + c.cmd.n + c.env.n, 0);
    }
}

static void malformed_configs_are_refused(void **state)
{
    static const char *const cases[][2] = {
        { "", "not JSON" },
        { "[]", "not a JSON object" },
        { "{}", "'rootfs' is missing" },
        { "{\"rootfs\":{}}", "'type' is missing" },
        { "{\"rootfs\":{\"type\":\"layer\"}}", "'layer' is not 'layers'" },
        { "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[7]}}", "diff_ids" },
        { "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:x\"]}}", "diff_ids, entry 1" },
        { "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":\"x\"}}", "'diff_ids'" },
        { "{\"config\":7," ROOTFS "}", "'config'" },
        { "{\"config\":{\"Env\":\"x\"}," ROOTFS "}", "'Env'" },
        { "{\"config\":{\"Cmd\":[7]}," ROOTFS "}", "'Cmd'" },
        { "{\"config\":{\"User\":7}," ROOTFS "}", "'User'" },
        { "{\"os\":7," ROOTFS "}", "'os'" },
        { "{\"config\":{\"User\":\"a\\u0000b\"}," ROOTFS "}", "not JSON" },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(oci_config) c = { 0 };
        mvm_autoerror mvm_error *e = NULL;

        assert_int_equal(parse(cases[i][0], &c, &e), MVM_E_FORMAT);
        if (!strstr(mvm_error_message(e), cases[i][1]))
            fail_msg("'%s' lacks '%s'", mvm_error_message(e), cases[i][1]);
    }
}

static void size_holds_at_its_limit_and_not_above(void **state)
{
    static const char text[] = "{" ROOTFS "}";
    mvm_autofree char *padded = malloc(OCI_CONFIG_MAX + 1);
    mvm_autovalue(oci_config) c = { 0 };

    (void) state;
    memset(padded, ' ', OCI_CONFIG_MAX + 1);
    memcpy(padded, text, strlen(text));
    assert_int_equal(oci_config_parse(padded, OCI_CONFIG_MAX + 1, &c, NULL), MVM_E_LIMIT);
    assert_int_equal(oci_config_parse(padded, OCI_CONFIG_MAX, &c, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_fields_are_taken),
        cmocka_unit_test(absent_and_null_both_mean_unset),
        cmocka_unit_test(malformed_configs_are_refused),
        cmocka_unit_test(size_holds_at_its_limit_and_not_above),
    };

    return cmocka_run_group_tests_name("oci-config", tests, NULL, NULL);
}
