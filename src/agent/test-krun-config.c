/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/krun-config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ROOM (2 * KRUN_CONFIG_MAX)

static void add(struct strv *v, const char *text)
{
    assert_int_equal(strv_add(v, text), 0);
}

static void assert_strv_equal(const struct strv *a, const struct strv *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++)
        assert_string_equal(a->items[i], b->items[i]);
}

static void expect_bytes(const struct krun_config *c, const char *want)
{
    mvm_autovalue(strbuf) out = STRBUF_INIT(ROOM);

    assert_int_equal(krun_config_encode(c, &out, NULL), 0);
    assert_string_equal(strbuf_str(&out), want);
}

static void encode_writes_the_reference_bytes(void **state)
{
    (void) state;
    mvm_autovalue(krun_config) c = { .workdir = strdup("/srv") };

    add(&c.cmd, "/bin/sh");
    add(&c.cmd, "-c");
    add(&c.env, "PATH=/bin");
    expect_bytes(&c, "{\n"
                     "  \"Cmd\": [\n"
                     "    \"/bin/sh\",\n"
                     "    \"-c\"\n"
                     "  ],\n"
                     "  \"Env\": [\n"
                     "    \"PATH=/bin\"\n"
                     "  ],\n"
                     "  \"WorkingDir\": \"/srv\"\n"
                     "}");
}

static void encode_writes_null_for_no_command_and_slash_for_no_workdir(void **state)
{
    (void) state;
    const struct krun_config c = { .workdir = NULL };

    expect_bytes(&c, "{\n  \"Cmd\": null,\n  \"Env\": [],\n  \"WorkingDir\": \"/\"\n}");
}

static void encode_escapes_what_libkrun_decodes_everywhere(void **state)
{
    (void) state;
    mvm_autovalue(krun_config) c = { .workdir = NULL };

    add(&c.cmd, "\"\n\t\r\b\f\x01\x1f\x7f\\ \xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80 <&>");
    expect_bytes(
        &c,
        "{\n  \"Cmd\": [\n    \"\\u0022\\u000a\\u0009\\u000d\\u0008\\u000c\\u0001\\u001f\x7f\\\\ "
        "\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80 <&>\"\n  ],\n  \"Env\": [],\n"
        "  \"WorkingDir\": \"/\"\n}");
}

static void encode_refuses_invalid_utf8_and_names_it(void **state)
{
    (void) state;
    static const char *const bad[] = { "\xff", "\xc3", "\xed\xa0\x80", "\xc0\x80", "a\x80z" };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        mvm_autovalue(krun_config) c = { .workdir = NULL };
        mvm_autovalue(strbuf) out = STRBUF_INIT(ROOM);
        mvm_autoerror mvm_error *err = NULL;

        add(&c.env, bad[i]);
        assert_int_equal(krun_config_encode(&c, &out, &err), MVM_E_ARG);
        assert_non_null(strstr(mvm_error_message(err), "Env: '"));
        assert_non_null(strstr(mvm_error_message(err), "is not UTF-8"));
    }
}

static void size_has_a_maximum_on_both_sides(void **state)
{
    (void) state;
    const size_t around = strlen("{\n  \"Cmd\": null,\n  \"Env\": [],\n  \"WorkingDir\": \"\"\n}");

    for (size_t above = 0; above <= 1; above++) {
        mvm_autovalue(krun_config) c = { .workdir = calloc(1, KRUN_CONFIG_MAX) };
        mvm_autovalue(krun_config) back = { .workdir = NULL };
        mvm_autovalue(strbuf) out = STRBUF_INIT(ROOM);
        int want = above ? MVM_E_LIMIT : 0;

        assert_non_null(c.workdir);
        memset(c.workdir, 'x', KRUN_CONFIG_MAX - around + above);
        assert_int_equal(krun_config_encode(&c, &out, NULL), want);
        assert_int_equal(out.len, KRUN_CONFIG_MAX + above);
        assert_int_equal(krun_config_decode(out.data, out.len, &back, NULL), want);
    }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* About @size bytes: every kind of character that an encoder could get wrong. */
static char *random_text(uint64_t *seed, size_t size)
{
    static const char *const parts[] = { "\"",
                                         "\\",
                                         "\n",
                                         "\t",
                                         "\x01",
                                         "\x1f",
                                         "\x7f",
                                         "/",
                                         "=",
                                         "u0041",
                                         "\\u0022",
                                         "\xc2\x80",
                                         "\xdf\xbf",
                                         "\xe0\xa0\x80",
                                         "\xe2\x80\xa8",
                                         "\xef\xbf\xbf",
                                         "\xf0\x90\x80\x80",
                                         "\xf4\x8f\xbf\xbf",
                                         "a",
                                         "Z",
                                         " ",
                                         "{",
                                         "]",
                                         ",",
                                         ":" };
    mvm_autovalue(strbuf) text = STRBUF_INIT(2 * size + 16);

    while (text.len < size)
        strbuf_adds(&text, parts[next_random(seed) % ARRAY_SIZE(parts)]);
    return strbuf_take(&text);
}

static void add_random(struct strv *v, uint64_t *seed, size_t n, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        mvm_autofree char *text = random_text(seed, size);

        assert_non_null(text);
        add(v, text);
    }
}

static void decode_undoes_encode_for_random_text(void **state)
{
    (void) state;
    for (uint64_t round = 1; round <= 100; round++) {
        uint64_t seed = round;
        mvm_autovalue(krun_config) c = { .workdir = random_text(&seed, round) };
        mvm_autovalue(krun_config) back = { .workdir = NULL };
        mvm_autovalue(strbuf) out = STRBUF_INIT(ROOM);

        add_random(&c.cmd, &seed, round % 7, round % 40);
        add_random(&c.env, &seed, round == 100 ? 200 : round % 11, round == 100 ? 1024 : round);
        assert_int_equal(krun_config_encode(&c, &out, NULL), 0);
        if (krun_config_decode(out.data, out.len, &back, NULL) != 0)
            fail_msg("seed %u: not decoded: %s", (unsigned) round, strbuf_str(&out));
        assert_strv_equal(&back.cmd, &c.cmd);
        assert_strv_equal(&back.env, &c.env);
        assert_string_equal(back.workdir, c.workdir);
    }
}

/* Joins what was decoded as "cmd|env|workdir", parts by commas. */
static void expect_decoded(const char *json, const char *want)
{
    mvm_autovalue(krun_config) c = { .workdir = NULL };
    mvm_autovalue(strbuf) got = STRBUF_INIT(4096);
    mvm_autoerror mvm_error *err = NULL;

    if (krun_config_decode(json, strlen(json), &c, &err) != 0)
        fail_msg("%s: %s", json, mvm_error_message(err));
    for (size_t i = 0; i < c.cmd.n; i++)
        strbuf_addf(&got, "%s%s", i ? "," : "", c.cmd.items[i]);
    strbuf_addc(&got, '|');
    for (size_t i = 0; i < c.env.n; i++)
        strbuf_addf(&got, "%s%s", i ? "," : "", c.env.items[i]);
    strbuf_addf(&got, "|%s", c.workdir ? c.workdir : "(none)");
    assert_string_equal(strbuf_str(&got), want);
}

static void decode_accepts_the_forms_of_libkrun(void **state)
{
    (void) state;
    expect_decoded("{}", "||(none)");
    expect_decoded("{\"Cmd\":null,\"Env\":null,\"WorkingDir\":null}", "||(none)");
    expect_decoded("{\"Cmd\":[\"a\",\"b\"],\"Env\":[\"X=1\"],\"WorkingDir\":\"/w\"}", "a,b|X=1|/w");
    expect_decoded("{\"args\":[\"a\"],\"env\":[\"X=1\"],\"cwd\":\"/w\"}", "a|X=1|/w");
    expect_decoded("{\"args\":[\"a\"],\"Cwd\":\"/w\"}", "a||/w");
    expect_decoded("{\"Cmd\":[\"b\"],\"Entrypoint\":[\"/e\",\"a\"]}", "/e,a,b||(none)");
    expect_decoded("{\"Entrypoint\":[\"/e\"]}", "/e||(none)");
    expect_decoded(
        "{\"ociVersion\":\"1.0\",\"process\":{\"terminal\":false,\"user\":{\"uid\":0},"
        "\"args\":[\"a\"],\"env\":[\"X=1\"],\"cwd\":\"/w\",\"process\":[]},\"root\":{\"path\":\"r\"}}",
        "a|X=1|/w");
    expect_decoded("{\"unknown\":[1,{\"Cmd\":[\"no\"]}],\"Cmd\":[\"\\u0061\\ud83d\\ude00\"]}",
                   "a\xf0\x9f\x98\x80||(none)");
}

static void decode_refuses_and_names_the_key(void **state)
{
    (void) state;
    static const struct {
        const char *json;
        const char *message;
    } cases[] = {
        { "", "byte 0: an object is wanted" },
        { "[]", "byte 0: an object is wanted" },
        { "{\"Cmd\":\"sh\"}", "'Cmd': byte 7: an array is wanted" },
        { "{\"Cmd\":[\"a\",1]}", "'Cmd': byte 12: a string is wanted" },
        { "{\"Cmd\":[null]}", "'Cmd': byte 8: a string is wanted" },
        { "{\"Env\":{}}", "'Env': byte 7: an array is wanted" },
        { "{\"WorkingDir\":[]}", "'WorkingDir': byte 14: a string is wanted" },
        { "{\"process\":{\"args\":7}}", "'process': 'args': byte 19: an array is wanted" },
        { "{\"process\":[]}", "'process': byte 11: an object is wanted" },
        { "{\"Cmd\":[],\"Cmd\":[]}", "'Cmd': given twice" },
        { "{\"Cmd\":[],\"args\":[]}", "'args': given twice" },
        { "{\"Cmd\":[\"\\ud800\"]}", "'Cmd': byte 15: high surrogate without a low one" },
        { "{\"Cmd\":[]} x", "byte 11: something follows the document" },
        { "{\"Cmd\":[]", "byte 9: a comma or the container's end is wanted" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(krun_config) c = { .workdir = NULL };
        mvm_autoerror mvm_error *err = NULL;

        assert_int_equal(krun_config_decode(cases[i].json, strlen(cases[i].json), &c, &err),
                         MVM_E_FORMAT);
        assert_string_equal(mvm_error_message(err), cases[i].message);
        assert_int_equal(c.cmd.n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode_writes_the_reference_bytes),
        cmocka_unit_test(encode_writes_null_for_no_command_and_slash_for_no_workdir),
        cmocka_unit_test(encode_escapes_what_libkrun_decodes_everywhere),
        cmocka_unit_test(encode_refuses_invalid_utf8_and_names_it),
        cmocka_unit_test(size_has_a_maximum_on_both_sides),
        cmocka_unit_test(decode_undoes_encode_for_random_text),
        cmocka_unit_test(decode_accepts_the_forms_of_libkrun),
        cmocka_unit_test(decode_refuses_and_names_the_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
