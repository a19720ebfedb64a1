/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest-config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void encode_writes_nothing_for_the_defaults(void **state)
{
    const struct guest_config c = { .disable_ssh = false };
    mvm_autovalue(strbuf) out = STRBUF_INIT(GUEST_CONFIG_MAX);

    (void) state;
    guest_config_encode(&c, &out);
    assert_int_equal(out.len, 0);
}

static void encode_writes_the_reference_bytes(void **state)
{
    const struct guest_config c = { .disable_ssh = true };
    mvm_autovalue(strbuf) out = STRBUF_INIT(GUEST_CONFIG_MAX);
    struct guest_config back;

    (void) state;
    guest_config_encode(&c, &out);
    assert_string_equal(strbuf_str(&out), "{\"disable_ssh\":true}");
    assert_int_equal(guest_config_decode(out.data, out.len, &back, NULL), 0);
    assert_true(back.disable_ssh);
}

static void assert_reads(const char *text, bool disable_ssh)
{
    struct guest_config c = { .disable_ssh = !disable_ssh };
    mvm_autoerror mvm_error *err = NULL;

    if (guest_config_decode(text, strlen(text), &c, &err) != 0 || c.disable_ssh != disable_ssh)
        fail_msg("'%s': %s, %d", text, mvm_error_message(err), c.disable_ssh);
}

static void decode_takes_what_other_hosts_write(void **state)
{
    (void) state;
    assert_reads("{}", false);
    assert_reads("null", false);
    assert_reads(" { \"disable_ssh\" : true } \n", true);
    assert_reads("{\"disable_ssh\":null}", false);
    assert_reads("{\"disable_ssh\":true,\"disable_ssh\":false}", false);
    assert_reads("{\"tmp_size_mib\":4,\"virtiofs_mounts\":[{\"tag\":\"w\",\"read_only\":true}],"
                 "\"disable_ssh\":true}",
                 true);
    assert_reads("{\"later\":[1,{\"x\":null}],\"disable_ssh\":true}", true);
}

static void assert_refused(const char *text)
{
    struct guest_config c = { .disable_ssh = true };

    if (guest_config_decode(text, strlen(text), &c, NULL) >= 0)
        fail_msg("'%s' was taken", text);
    assert_false(c.disable_ssh);
}

static void decode_refuses_the_rest_and_gives_the_defaults(void **state)
{
    (void) state;
    assert_refused("");
    assert_refused("true");
    assert_refused("[]");
    assert_refused("{\"disable_ssh\":true} x");
    assert_refused("{\"disable_ssh\":1}");
    assert_refused("{\"disable_ssh\":\"true\"}");
    assert_refused("{\"disable_ssh\":true");
}

static void decode_has_a_limit(void **state)
{
    mvm_autofree char *text = malloc(GUEST_CONFIG_MAX + 1);
    struct guest_config c;

    (void) state;
    assert_non_null(text);
    memset(text, ' ', GUEST_CONFIG_MAX + 1);
    memcpy(text, "{}", 2);
    assert_int_equal(guest_config_decode(text, GUEST_CONFIG_MAX, &c, NULL), 0);
    assert_int_equal(guest_config_decode(text, GUEST_CONFIG_MAX + 1, &c, NULL), MVM_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode_writes_nothing_for_the_defaults),
        cmocka_unit_test(encode_writes_the_reference_bytes),
        cmocka_unit_test(decode_takes_what_other_hosts_write),
        cmocka_unit_test(decode_refuses_the_rest_and_gives_the_defaults),
        cmocka_unit_test(decode_has_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
