/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const char minimal[] =
    "{\"root_path\":\"/r\",\"num_vcpus\":2,\"ram_mib\":512,\"console_log_path\":\"/c\","
    "\"name\":\"n\",\"vm_dir\":\"/v\",\"cache_dir\":\"/k\",\"kernel_path\":\"/vmlinux\","
    "\"init_path\":\"/init\",\"program\":{\"Cmd\":[\"sh\"],\"Env\":[]}}";

static void assert_refused(const char *text, int code, const char *part)
{
    mvm_autovalue(runner_config) c = { .root_path = NULL };
    mvm_autoerror mvm_error *err = NULL;

    assert_int_equal(runner_config_decode(text, strlen(text), &c, &err), code);
    if (!strstr(mvm_error_message(err), part))
        fail_msg("'%s' does not name '%s'", mvm_error_message(err), part);
    assert_null(c.root_path);
}

static void config_keeps_order_and_leaves_defaults_out(void **state)
{
    mvm_autovalue(runner_config) c = { .root_path = NULL };
    mvm_autofree char *text = NULL;

    (void) state;
    assert_int_equal(runner_config_decode(minimal, strlen(minimal), &c, NULL), 0);
    assert_int_equal(runner_config_encode(&c, &text, NULL), 0);
    assert_string_equal(text, minimal);
}

static void config_carries_every_field(void **state)
{
    struct runner_config c = { .root_path = strdup("/r"),
                               .num_vcpus = 255,
                               .ram_mib = UINT32_MAX,
                               .console_log_path = strdup("/c"),
                               .log_level = 4,
                               .name = strdup("n"),
                               .vm_dir = strdup("/v"),
                               .remove_at_end = true,
                               .detached = true,
                               .vsock_uds = strdup("/u"),
                               .accel = MACHINE_ACCEL_TCG,
                               .cache_dir = strdup("/k"),
                               .kernel_path = strdup("/vmlinux"),
                               .modules_path = strdup("/m"),
                               .init_path = strdup("/init"),
                               .timeout_ms = 1500,
                               .user = strdup("app:staff"),
                               .tty = true,
                               .stdin_open = true,
                               .rows = 65535,
                               .cols = 1 };
    mvm_autovalue(runner_config) back = { .root_path = NULL };
    mvm_autofree char *text = NULL;

    (void) state;
    assert_int_equal(strv_add(&c.program.cmd, "say \"\\\n\xc3\xa9\""), 0);
    assert_int_equal(strv_add(&c.program.env, "A=b\nc"), 0);
    c.program.workdir = strdup("/w");
    assert_int_equal(runner_config_encode(&c, &text, NULL), 0);
    assert_int_equal(runner_config_decode(text, strlen(text), &back, NULL), 0);
    assert_int_equal(back.num_vcpus, 255);
    assert_int_equal(back.ram_mib, UINT32_MAX);
    assert_int_equal(back.log_level, 4);
    assert_true(back.remove_at_end && back.tty && back.stdin_open && back.detached);
    assert_string_equal(back.vsock_uds, "/u");
    assert_int_equal(back.accel, MACHINE_ACCEL_TCG);
    assert_string_equal(back.modules_path, "/m");
    assert_int_equal(back.timeout_ms, 1500);
    assert_string_equal(back.user, "app:staff");
    assert_int_equal(back.rows, 65535);
    assert_int_equal(back.cols, 1);
    assert_string_equal(back.program.cmd.items[0], "say \"\\\n\xc3\xa9\"");
    assert_string_equal(back.program.env.items[0], "A=b\nc");
    assert_string_equal(back.program.workdir, "/w");
    runner_config_deinit(&c);
}

/* H-308 to H-310: keys, types and order are the reference's; "listen" is ours, and left out where
 * it is not. */
static void config_has_vsock_ports_in_the_reference_s_bytes(void **state)
{
    static const char ports[] = "\"vsock_ports\":[{\"port\":2048,\"socket_path\":\"/b\"},"
                                "{\"port\":4294967294,\"socket_path\":\"/a\",\"listen\":true}],";
    mvm_autovalue(runner_config) c = { .root_path = NULL };
    mvm_autovalue(runner_config) back = { .root_path = NULL };
    mvm_autofree char *text = NULL;
    mvm_autofree char *wanted = NULL;
    const char *name = strstr(minimal, "\"name\"");

    (void) state;
    assert_true(asprintf(&wanted, "%.*s%s%s", (int) (name - minimal), minimal, ports, name) > 0);
    assert_int_equal(runner_config_decode(minimal, strlen(minimal), &c, NULL), 0);
    assert_int_equal(vsock_map_add(&c.vsock_ports, 2048, "/b", false, NULL), 0);
    assert_int_equal(vsock_map_add(&c.vsock_ports, UINT32_MAX - 1, "/a", true, NULL), 0);
    assert_int_equal(runner_config_encode(&c, &text, NULL), 0);
    assert_string_equal(text, wanted);
    assert_int_equal(runner_config_decode(text, strlen(text), &back, NULL), 0);
    assert_int_equal(back.vsock_ports.n, 2);
    assert_int_equal(back.vsock_ports.items[0].port, 2048);
    assert_false(back.vsock_ports.items[0].listen);
    assert_string_equal(back.vsock_ports.items[1].socket_path, "/a");
    assert_true(back.vsock_ports.items[1].listen);
}

/* The extents stand before our own keys; the first of them is "root_path". */
static void config_has_root_extents_in_their_order(void **state)
{
    static const char extents[] = "\"root_extents\":[{\"path\":\"/r\",\"size\":4096},"
                                  "{\"path\":\"/1.data\",\"size\":1099511627776}],"
                                  "\"upper_path\":\"/u\",\"read_only\":true,";
    mvm_autovalue(runner_config) c = { .root_path = NULL };
    mvm_autofree char *text = NULL;
    mvm_autofree char *wanted = NULL;
    const char *name = strstr(minimal, "\"name\"");

    (void) state;
    assert_true(asprintf(&wanted, "%.*s%s%s", (int) (name - minimal), minimal, extents, name) > 0);
    assert_int_equal(runner_config_decode(wanted, strlen(wanted), &c, NULL), 0);
    assert_int_equal(c.root_extents.n, 2);
    assert_string_equal(c.root_extents.items[1].path, "/1.data");
    assert_true(c.root_extents.items[1].size == 1ULL << 40);
    assert_string_equal(c.upper_path, "/u");
    assert_true(c.read_only);
    assert_int_equal(runner_config_encode(&c, &text, NULL), 0);
    assert_string_equal(text, wanted);
}

/* @ports in the place of a key of its own. */
static void assert_ports_refused(const char *ports, int code, const char *part)
{
    mvm_autofree char *text = NULL;

    assert_true(asprintf(&text, "{%s,%s", ports, minimal + 1) > 0);
    assert_refused(text, code, part);
}

static void config_refuses_vsock_ports_that_cannot_be(void **state)
{
    (void) state;
    assert_ports_refused("\"vsock_ports\":7", MVM_E_FORMAT, "vsock_ports");
    assert_ports_refused("\"vsock_ports\":[7]", MVM_E_FORMAT, "entry 1");
    assert_ports_refused("\"vsock_ports\":[{\"port\":5}]", MVM_E_FORMAT, "socket_path");
    assert_ports_refused("\"vsock_ports\":[{\"socket_path\":\"/a\"}]", MVM_E_ARG, "port 0");
    assert_ports_refused("\"vsock_ports\":[{\"port\":5,\"socket_path\":\"/a\"},"
                         "{\"port\":5,\"socket_path\":\"/b\"}]",
                         MVM_E_EXISTS, "entry 2");
    assert_ports_refused("\"vsock_ports\":[{\"port\":4294967296,\"socket_path\":\"/a\"}]",
                         MVM_E_FORMAT, "port");
    assert_ports_refused("\"vsock_uds\":\"relative\"", MVM_E_ARG, "not absolute");
}

/* @n extents of @size bytes. */
static void expect_extents(unsigned n, uint64_t size, int code, const char *part)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(65536);
    mvm_autovalue(runner_config) c = { .root_path = NULL };

    strbuf_adds(&text, "{\"root_extents\":[");
    for (unsigned i = 0; i < n; i++)
        strbuf_addf(&text, "%s{\"path\":\"/r\",\"size\":%llu}", i ? "," : "",
                    (unsigned long long) size);
    strbuf_addf(&text, "],%s", minimal + 1);
    if (code == 0)
        assert_int_equal(runner_config_decode(text.data, text.len, &c, NULL), 0);
    else
        assert_refused(strbuf_str(&text), code, part);
}

static void config_refuses_root_extents_that_cannot_be(void **state)
{
    (void) state;
    expect_extents(1, 4096, MVM_E_LIMIT, "1 entries: 2 to 512 are possible");
    expect_extents(2, 4096, 0, "");
    expect_extents(512, 4096, 0, "");
    expect_extents(513, 4096, MVM_E_LIMIT, "513 entries: 2 to 512 are possible");
    expect_extents(2, 0, MVM_E_FORMAT, "entry 1: size 0 is not a multiple of 4096");
    expect_extents(2, 4095, MVM_E_FORMAT, "entry 1: size 4095 is not a multiple");
    expect_extents(2, 1ULL << 62, MVM_E_LIMIT, "entry 2: the disk has more bytes");
    assert_ports_refused("\"root_extents\":{}", MVM_E_FORMAT, "root_extents");
    assert_ports_refused("\"root_extents\":[1,2]", MVM_E_FORMAT, "entry 1: not an object");
    assert_ports_refused("\"root_extents\":[{\"size\":4096},{}]", MVM_E_FORMAT, "path");
    assert_ports_refused("\"root_extents\":[{\"path\":\"/x\",\"size\":4096},"
                         "{\"path\":\"/r\",\"size\":4096}]",
                         MVM_E_FORMAT, "begins with '/x', not with '/r'");
}

static void config_refuses_what_is_wrong_and_names_it(void **state)
{
    (void) state;
    assert_refused("", MVM_E_FORMAT, "runner config");
    assert_refused("[]", MVM_E_FORMAT, "not an object");
    assert_refused("{}", MVM_E_FORMAT, "root_path");
    assert_refused("{\"root_path\":\"\"}", MVM_E_FORMAT, "root_path");
    assert_refused("{\"root_path\":7}", MVM_E_FORMAT, "root_path");
    assert_refused("{\"root_path\":\"/r\",\"root_path\":\"/s\"}", MVM_E_FORMAT, "duplicate");
}

static void config_refuses_numbers_out_of_range(void **state)
{
    mvm_autofree char *text = strdup(minimal);

    (void) state;
    memcpy(strstr(text, "\"num_vcpus\":2"), "\"num_vcpus\":0", 13);
    assert_refused(text, MVM_E_FORMAT, "num_vcpus");
    memcpy(text, minimal, sizeof(minimal));
    memcpy(strstr(text, "\"ram_mib\":512"), "\"ram_mib\":-12", 13);
    assert_refused(text, MVM_E_FORMAT, "ram_mib");
    memcpy(text, minimal, sizeof(minimal));
    memcpy(strstr(text, "[\"sh\"]"), "[     ", 6);
    text[strstr(text, "[     ") - text + 5] = ']';
    assert_refused(text, MVM_E_FORMAT, "no command");
}

/* Each of the texts may be NULL. */
static void assert_not_carried(const char *argument, const char *entry, const char *root,
                               const char *part)
{
    mvm_autovalue(runner_config) c = { .root_path = NULL };
    mvm_autoerror mvm_error *err = NULL;
    mvm_autofree char *text = NULL;

    assert_int_equal(runner_config_decode(minimal, strlen(minimal), &c, NULL), 0);
    if (argument)
        assert_int_equal(strv_add(&c.program.cmd, argument), 0);
    if (entry)
        assert_int_equal(strv_add(&c.program.env, entry), 0);
    if (root) {
        free(c.root_path);
        c.root_path = strdup(root);
    }
    assert_int_equal(runner_config_encode(&c, &text, &err), MVM_E_ARG);
    assert_null(text);
    if (!strstr(mvm_error_message(err), part))
        fail_msg("'%s' does not name '%s'", mvm_error_message(err), part);
}

static void config_refuses_text_that_is_not_utf8(void **state)
{
    (void) state;
    assert_not_carried(NULL, NULL, "/r\xff", "the path '/r\\xff'");
    assert_not_carried("\xff", NULL, NULL, "argument 1 of the command");
    assert_not_carried(NULL, "NAME=secret\xff", NULL, "variable 'NAME'");
}

static void config_does_not_tell_the_value_of_a_variable(void **state)
{
    mvm_autovalue(runner_config) c = { .root_path = NULL };
    mvm_autoerror mvm_error *err = NULL;
    mvm_autofree char *text = NULL;

    (void) state;
    assert_int_equal(runner_config_decode(minimal, strlen(minimal), &c, NULL), 0);
    assert_int_equal(strv_add(&c.program.env, "NAME=secret\xff"), 0);
    assert_int_equal(runner_config_encode(&c, &text, &err), MVM_E_ARG);
    assert_null(strstr(mvm_error_message(err), "secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_keeps_order_and_leaves_defaults_out),
        cmocka_unit_test(config_carries_every_field),
        cmocka_unit_test(config_has_root_extents_in_their_order),
        cmocka_unit_test(config_refuses_root_extents_that_cannot_be),
        cmocka_unit_test(config_refuses_what_is_wrong_and_names_it),
        cmocka_unit_test(config_refuses_numbers_out_of_range),
        cmocka_unit_test(config_refuses_text_that_is_not_utf8),
        cmocka_unit_test(config_does_not_tell_the_value_of_a_variable),
        cmocka_unit_test(config_has_vsock_ports_in_the_reference_s_bytes),
        cmocka_unit_test(config_refuses_vsock_ports_that_cannot_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
