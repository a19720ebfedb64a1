/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/boot-config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DECODE(text, ret, err) boot_config_decode((text), sizeof(text) - 1, (ret), (err))

static char text_hostname[] = "box", text_user[] = "alice:wheel", text_device[] = "/dev/vdb",
            text_fstype[] = "ext4", text_upper[] = "/dev/vdb";

static void decode_undoes_encode(void **state)
{
    (void) state;
    const struct boot_config c = {
        .hostname = text_hostname,
        .user = text_user,
        .root_device = text_device,
        .root_fstype = text_fstype,
        .upper_device = text_upper,
        .read_only = true,
        .tty = true,
        .stdin_open = true,
        .rows = 65535,
        .cols = 80,
    };
    mvm_autovalue(strbuf) out = STRBUF_INIT(BOOT_CONFIG_MAX);
    mvm_autovalue(boot_config) back = { .hostname = NULL };

    assert_int_equal(boot_config_encode(&c, &out, NULL), 0);
    assert_int_equal(boot_config_decode(out.data, out.len, &back, NULL), 0);
    assert_string_equal(back.hostname, "box");
    assert_string_equal(back.user, "alice:wheel");
    assert_string_equal(back.root_device, "/dev/vdb");
    assert_string_equal(back.root_fstype, "ext4");
    assert_string_equal(back.upper_device, "/dev/vdb");
    assert_true(back.read_only);
    assert_true(back.tty);
    assert_true(back.stdin_open);
    assert_int_equal(back.rows, 65535);
    assert_int_equal(back.cols, 80);
}

static void unset_values_stay_unset(void **state)
{
    (void) state;
    const struct boot_config c = { .hostname = NULL };
    mvm_autovalue(strbuf) out = STRBUF_INIT(BOOT_CONFIG_MAX);
    mvm_autovalue(boot_config) back = { .rows = 7 };

    assert_int_equal(boot_config_encode(&c, &out, NULL), 0);
    assert_int_equal(boot_config_decode(out.data, out.len, &back, NULL), 0);
    assert_null(back.hostname);
    assert_null(back.user);
    assert_null(back.root_device);
    assert_null(back.root_fstype);
    assert_null(back.upper_device);
    assert_false(back.read_only);
    assert_false(back.tty);
    assert_false(back.stdin_open);
    assert_int_equal(back.rows, 0);
}

static void decode_ignores_keys_of_a_newer_host(void **state)
{
    (void) state;
    mvm_autovalue(boot_config) c = { .hostname = NULL };

    assert_int_equal(DECODE("later=x=y\0user=1:2\0", &c, NULL), 0);
    assert_string_equal(c.user, "1:2");
}

static void decode_accepts_an_empty_file(void **state)
{
    (void) state;
    mvm_autovalue(boot_config) c = { .rows = 7 };

    assert_int_equal(DECODE("", &c, NULL), 0);
    assert_int_equal(c.rows, 0);
}

static void expect_refused(const char *text, size_t len, int code, const char *message)
{
    mvm_autovalue(boot_config) c = { .hostname = NULL };
    mvm_autoerror mvm_error *err = NULL;

    assert_int_equal(boot_config_decode(text, len, &c, &err), code);
    assert_string_equal(mvm_error_message(err), message);
    assert_null(c.user);
}
#define REFUSED(text, message) expect_refused((text), sizeof(text) - 1, MVM_E_FORMAT, (message))

static void decode_refuses_malformed_records(void **state)
{
    (void) state;
    REFUSED("user=a", "the last record has no end");
    REFUSED("user=a\0tty", "the last record has no end");
    REFUSED("user\0", "record 'user' has no '='");
    REFUSED("\0", "record '' has no '='");
    REFUSED("user=a\0user=b\0", "'user': given twice");
    REFUSED("user=a\0tty=2\0", "'tty': '2' is no number up to 1");
    REFUSED("tty=\0", "'tty': '' is no number up to 1");
    REFUSED("stdin_open=yes\0", "'stdin_open': 'yes' is no number up to 1");
    REFUSED("rows=65536\0", "'rows': '65536' is no number up to 65535");
    REFUSED("cols=-1\0", "'cols': '-1' is no number up to 65535");
}

static void file_has_a_maximum_size(void **state)
{
    (void) state;
    mvm_autofree char *text = calloc(1, BOOT_CONFIG_MAX + 2);
    mvm_autovalue(boot_config) c = { .hostname = NULL };

    assert_non_null(text);
    memcpy(text, "x=", 2);
    memset(text + 2, 'y', BOOT_CONFIG_MAX - 2);
    text[BOOT_CONFIG_MAX - 1] = '\0';
    assert_int_equal(boot_config_decode(text, BOOT_CONFIG_MAX, &c, NULL), 0);
    expect_refused(text, BOOT_CONFIG_MAX + 1, MVM_E_LIMIT, "more than 65536 bytes");
}

static void encode_refuses_what_decode_would(void **state)
{
    (void) state;
    mvm_autofree char *name = calloc(1, BOOT_CONFIG_MAX + 1);
    mvm_autovalue(strbuf) out = STRBUF_INIT(2 * BOOT_CONFIG_MAX);
    struct boot_config c = { .hostname = name };

    assert_non_null(name);
    memset(name, 'h', BOOT_CONFIG_MAX);
    assert_int_equal(boot_config_encode(&c, &out, NULL), MVM_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_undoes_encode),
        cmocka_unit_test(unset_values_stay_unset),
        cmocka_unit_test(decode_ignores_keys_of_a_newer_host),
        cmocka_unit_test(decode_accepts_an_empty_file),
        cmocka_unit_test(decode_refuses_malformed_records),
        cmocka_unit_test(file_has_a_maximum_size),
        cmocka_unit_test(encode_refuses_what_decode_would),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
