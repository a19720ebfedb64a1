/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest-config.h"

#include "base/strbuf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

/* "size ssh tag,tag" with a "!" at a mount that is read-only, or what the error says. */
static void expect(const char *text, const char *want)
{
    mvm_autovalue(guest_config) c = { .mounts = NULL };
    mvm_autovalue(strbuf) got = STRBUF_INIT(65536);
    mvm_autoerror mvm_error *err = NULL;

    if (guest_config_decode(text, strlen(text), &c, &err) < 0) {
        strbuf_adds(&got, mvm_error_message(err));
        assert_int_equal(c.tmp_size_mib, 0);
        assert_false(c.disable_ssh);
        assert_int_equal(c.n_mounts, 0);
    } else {
        strbuf_addf(&got, "%u %d", c.tmp_size_mib, c.disable_ssh);
        for (size_t i = 0; i < c.n_mounts; i++)
            strbuf_addf(&got, " %s%s", c.mounts[i].tag ? c.mounts[i].tag : "-",
                        c.mounts[i].read_only ? "!" : "");
    }
    assert_string_equal(strbuf_str(&got), want);
}

static void what_the_host_writes_is_read(void **state)
{
    (void) state;
    expect("{\"disable_ssh\":true}", "0 1");
    expect("{\"tmp_size_mib\":512,\"virtiofs_mounts\":[{\"tag\":\"a\",\"read_only\":true},"
           "{\"tag\":\"b\"}],\"disable_ssh\":false}",
           "512 0 a! b");
    expect("{\"tmp_size_mib\":4294967295}", "4294967295 0");
}

static void unknown_null_and_repeated_keys_follow_the_rules(void **state)
{
    (void) state;
    expect("null", "0 0");
    expect(" {} ", "0 0");
    expect("{\"later\":{\"x\":[1]},\"disable_ssh\":true}", "0 1");
    expect("{\"disable_ssh\":null,\"tmp_size_mib\":null,\"virtiofs_mounts\":null}", "0 0");
    expect("{\"disable_ssh\":true,\"disable_ssh\":false}", "0 0");
    expect("{\"disable_ssh\":true,\"disable_ssh\":null}", "0 1");
    expect("{\"virtiofs_mounts\":[{\"tag\":\"a\"}],\"virtiofs_mounts\":[{\"tag\":\"b\"}]}",
           "0 0 b");
    expect("{\"virtiofs_mounts\":[{\"tag\":\"a\",\"tag\":\"b\",\"x\":1},null]}", "0 0 b -");
}

static void anything_wrong_gives_the_defaults(void **state)
{
    (void) state;
    expect("{\"tmp_size_mib\":4294967296}", "tmp_size_mib: is no integer from 0 to 4294967295");
    expect("{\"disable_ssh\":true,\"tmp_size_mib\":-1}",
           "tmp_size_mib: is no integer from 0 to 4294967295");
    expect("{\"tmp_size_mib\":1.0}", "tmp_size_mib: is no integer from 0 to 4294967295");
    expect("{\"tmp_size_mib\":\"1\"}", "tmp_size_mib: is not a number");
    expect("{\"disable_ssh\":1}", "disable_ssh: is not true or false");
    expect("{\"virtiofs_mounts\":{}}", "virtiofs_mounts: is not an array");
    expect("{\"virtiofs_mounts\":[1]}", "virtiofs_mounts: is not an object");
    expect("{\"virtiofs_mounts\":[{\"tag\":1}]}", "virtiofs_mounts: tag: is not a string");
    expect("[]", "is not an object");
    expect("true", "is not an object");
}

static void broken_json_is_refused(void **state)
{
    static const char *const texts[] = { "",
                                         " ",
                                         "{",
                                         "{\"disable_ssh\":true",
                                         "{}x",
                                         "{} {}",
                                         "{\"disable_ssh\":tru}",
                                         "{disable_ssh:true}",
                                         "nul" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct guest_config c;
        mvm_autoerror mvm_error *err = NULL;

        if (guest_config_decode(texts[i], strlen(texts[i]), &c, &err) != MVM_E_FORMAT)
            fail_msg("accepted: %s", texts[i]);
    }
}

static int decode_mounts(size_t n)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(65536);
    mvm_autovalue(guest_config) c = { .mounts = NULL };

    strbuf_adds(&text, "{\"virtiofs_mounts\":[{}");
    for (size_t i = 1; i < n; i++)
        strbuf_adds(&text, ",{}");
    strbuf_adds(&text, "]}");
    return guest_config_decode(text.data, text.len, &c, NULL);
}

static void mounts_have_a_limit(void **state)
{
    (void) state;
    assert_int_equal(decode_mounts(GUEST_CONFIG_MOUNTS_MAX), 0);
    assert_int_equal(decode_mounts(GUEST_CONFIG_MOUNTS_MAX + 1), MVM_E_LIMIT);
}

static void put_file(const char *path, size_t blanks)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fprintf(f, "{\"disable_ssh\":true}%*s", (int) blanks, "") > 0);
    assert_int_equal(fclose(f), 0);
}

static void file_is_read_and_its_absence_is_no_error(void **state)
{
    char dir[] = "/tmp/test-guest-config-XXXXXX", path[64];
    size_t fits = GUEST_CONFIG_MAX - strlen("{\"disable_ssh\":true}");
    mvm_autovalue(guest_config) c = { .disable_ssh = true };
    mvm_autoerror mvm_error *err = NULL;

    (void) state;
    assert_non_null(mkdtemp(dir));
    (void) snprintf(path, sizeof(path), "%s/file", dir);
    assert_int_equal(guest_config_read(path, &c, NULL), 0);
    assert_false(c.disable_ssh);
    put_file(path, fits);
    assert_int_equal(guest_config_read(path, &c, NULL), 0);
    assert_true(c.disable_ssh);
    put_file(path, fits + 1);
    assert_int_equal(guest_config_read(path, &c, NULL), MVM_E_LIMIT);
    assert_false(c.disable_ssh);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(guest_config_read(path, &c, &err), MVM_E_FORMAT);
    assert_non_null(strstr(mvm_error_message(err), "is not a regular file"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

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
    mvm_autovalue(guest_config) back = { .mounts = NULL };

    (void) state;
    guest_config_encode(&c, &out);
    assert_string_equal(strbuf_str(&out), "{\"disable_ssh\":true}");
    assert_int_equal(guest_config_decode(out.data, out.len, &back, NULL), 0);
    assert_true(back.disable_ssh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode_writes_nothing_for_the_defaults),
        cmocka_unit_test(encode_writes_the_reference_bytes),
        cmocka_unit_test(what_the_host_writes_is_read),
        cmocka_unit_test(unknown_null_and_repeated_keys_follow_the_rules),
        cmocka_unit_test(anything_wrong_gives_the_defaults),
        cmocka_unit_test(broken_json_is_refused),
        cmocka_unit_test(mounts_have_a_limit),
        cmocka_unit_test(file_is_read_and_its_absence_is_no_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
