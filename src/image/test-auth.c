/* SPDX-License-Identifier: Apache-2.0 */
/* Files with credentials: which key in them counts, what an entry may be, what is refused. */
#include "base/base64.h"
#include "image/auth-config.h"
#include "image/auth-helper.h"

#include "base/test-sandbox.h"

/* alice:secret, and bob:other. */
#define ALICE "YWxpY2U6c2VjcmV0"
#define BOB "Ym9iOm90aGVy"

static struct auth_store *store_of(struct sandbox *sb, const char *text)
{
    struct auth_store *store = NULL;
    mvm_autofree char *path = NULL;

    sandbox_write(sb->root_fd, "auth.json", text);
    assert_true(asprintf(&path, "%s/root/auth.json", sb->path) > 0);
    assert_int_equal(auth_store_open(path, &store, NULL), 0);
    return store;
}

static void the_most_specific_key_counts(void **state)
{
    static const struct {
        const char *auths, *registry, *repository, *user;
    } cases[] = {
        { "\"host:5000\":{\"auth\":\"" ALICE "\"}", "host:5000", "a/b", "alice" },
        { "\"https://host:5000/v1/\":{\"auth\":\"" ALICE "\"}", "host:5000", "a/b", "alice" },
        { "\"host:5000\":{\"auth\":\"" BOB "\"},\"host:5000/a\":{\"auth\":\"" ALICE "\"}",
          "host:5000", "a/b", "alice" },
        { "\"host:5000/a\":{\"auth\":\"" BOB "\"},\"host:5000/a/b\":{\"auth\":\"" ALICE "\"}",
          "host:5000", "a/b", "alice" },
        { "\"host:5000/a\":{\"auth\":\"" ALICE "\"}", "host:5000", "ab", NULL },
        { "\"host:5000/a\":{\"auth\":\"" ALICE "\"}", "host:5000", "b/a", NULL },
        { "\"host\":{\"auth\":\"" ALICE "\"}", "host:5000", "a", NULL },
        { "\"host:5000\":{\"auth\":\"" ALICE "\"}", "host", "a", NULL },
        { "\"HOST\":{\"auth\":\"" ALICE "\"}", "host", "a", "alice" },
        { "\"https://index.docker.io/v1/\":{\"auth\":\"" ALICE "\"}", "docker.io", "library/x",
          "alice" },
        { "\"docker.io\":{\"auth\":\"" ALICE "\"}", "docker.io", "library/x", "alice" },
        { "\"index.docker.io\":{\"auth\":\"" ALICE "\"}", "docker.io", "library/x", "alice" },
        { "\"registry-1.docker.io\":{\"auth\":\"" ALICE "\"}", "docker.io", "x/y", "alice" },
        { "\"docker.io/org\":{\"auth\":\"" ALICE "\"},\"docker.io\":{\"auth\":\"" BOB "\"}",
          "docker.io", "org/x", "alice" },
        { "\"https://index.docker.io/v1/\":{\"auth\":\"" ALICE "\"}", "ghcr.io", "x", NULL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autofree char *text = NULL;
        mvm_auto(auth_store) store = NULL;
        mvm_autovalue(credentials) c = { 0 };

        assert_true(asprintf(&text, "{\"auths\":{%s}}", cases[i].auths) > 0);
        store = store_of(*state, text);
        assert_int_equal(
            auth_store_find(store, cases[i].registry, cases[i].repository, NULL, &c, NULL), 0);
        if (!c.username != !cases[i].user || (c.username && strcmp(c.username, cases[i].user) != 0))
            fail_msg("%s: '%s', not '%s'", text, c.username, cases[i].user);
    }
}

static void a_file_is_read_up_to_its_limit(void **state)
{
    struct sandbox *sb = *state;
    mvm_autofree char *path = NULL, *text = malloc(AUTH_FILE_MAX + 2);
    mvm_autoerror mvm_error *e = NULL;

    assert_non_null(text);
    assert_true(asprintf(&path, "%s/root/auth.json", sb->path) > 0);
    for (size_t extra = 0; extra < 2; extra++) {
        mvm_auto(auth_store) store = NULL;

        memset(text, ' ', AUTH_FILE_MAX + extra);
        text[0] = '{';
        text[AUTH_FILE_MAX + extra - 1] = '}';
        text[AUTH_FILE_MAX + extra] = '\0';
        sandbox_write(sb->root_fd, "auth.json", text);
        assert_int_equal(auth_store_open(path, &store, &e), extra ? MVM_E_LIMIT : 0);
    }
    assert_non_null(strstr(mvm_error_message(e), path));
}

/* *@c is empty after a failure. */
static int get(const char *entry, struct credentials *c, mvm_error **err)
{
    mvm_auto(auth_config) config = NULL;
    mvm_autofree char *text = NULL;

    assert_true(asprintf(&text, "{\"auths\":{\"h\":%s}}", entry) > 0);
    assert_int_equal(auth_config_parse(text, strlen(text), &config, NULL), 0);
    return auth_config_get(config, "h", c, err);
}

static void entries_are_understood(void **state)
{
    static const struct {
        const char *entry, *user, *password, *identity, *registry;
    } cases[] = {
        { "{\"auth\":\"" ALICE "\"}", "alice", "secret", NULL, NULL },
        { "{\"auth\":\"dTpwOnE=\"}", "u", "p:q", NULL, NULL }, /* u:p:q */
        { "{\"auth\":\"dTpwOnE\"}", "u", "p:q", NULL, NULL },  /* without padding */
        { "{\"auth\":\"dTpwAAA=\"}", "u", "p", NULL, NULL },   /* u:p and two NULs */
        { "{\"auth\":\"dTo=\",\"identitytoken\":\"t\"}", "u", "", "t", NULL },
        { "{\"username\":\"u\",\"password\":\"p\"}", "u", "p", NULL, NULL },
        { "{\"username\":\"u\"}", NULL, NULL, NULL, NULL },
        { "{\"password\":\"p\"}", NULL, NULL, NULL, NULL },
        { "{\"registrytoken\":\"t\"}", NULL, NULL, NULL, "t" },
        { "{}", NULL, NULL, NULL, NULL },
        { "null", NULL, NULL, NULL, NULL },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(credentials) c = { 0 };
        const char *const want[] = { cases[i].user, cases[i].password, cases[i].identity,
                                     cases[i].registry };

        assert_int_equal(get(cases[i].entry, &c, NULL), 0);
        const char *const got[] = { c.username, c.password, c.identity_token, c.registry_token };

        for (size_t k = 0; k < ARRAY_SIZE(want); k++)
            if (!want[k] != !got[k] || (want[k] && strcmp(want[k], got[k]) != 0))
                fail_msg("%s: '%s', not '%s'", cases[i].entry, got[k], want[k]);
    }
}

static void entries_are_refused_without_their_secrets(void **state)
{
    static const char *const cases[] = {
        "7",
        "{\"auth\":\"hunter2!\"}",
        "{\"auth\":\"aHVudGVyMg==\"}",     /* hunter2, no colon */
        "{\"auth\":\"aHVudGVyMgA6cA==\"}", /* a NUL inside */
        "{\"auth\":7}",
        "{\"username\":\"hunter2\\n\",\"password\":\"p\"}",
        "{\"username\":\"u\",\"password\":\"hunter2\\r\"}",
        "{\"username\":\"u:hunter2\",\"password\":\"p\"}",
        "{\"registrytoken\":\"hunter2 x\"}",
        "{\"identitytoken\":\"hunter2\\t\"}",
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(credentials) c = { 0 };
        mvm_autoerror mvm_error *e = NULL;

        if (get(cases[i], &c, &e) != MVM_E_FORMAT)
            fail_msg("%s is taken", cases[i]);
        assert_false(credentials_are_set(&c));
        assert_null(strstr(mvm_error_message(e), "hunter2"));
        assert_non_null(strstr(mvm_error_message(e), "'h'"));
    }
}

static void values_have_a_limit(void **state)
{
    mvm_autofree char *value = malloc(AUTH_VALUE_MAX + 2);

    (void) state;
    assert_non_null(value);
    for (size_t extra = 0; extra < 2; extra++) {
        mvm_autovalue(credentials) c = { 0 };
        mvm_autofree char *entry = NULL;

        memset(value, 'x', AUTH_VALUE_MAX + extra);
        value[AUTH_VALUE_MAX + extra] = '\0';
        assert_true(asprintf(&entry, "{\"registrytoken\":\"%s\"}", value) > 0);
        assert_int_equal(get(entry, &c, NULL), extra ? MVM_E_FORMAT : 0);
    }
}

static void helpers_are_named_by_the_file(void **state)
{
    static const char text[] =
        "{\"credsStore\":\"all\",\"credHelpers\":{\"h\":\"one\",\"e\":\"\"}}";
    mvm_auto(auth_config) config = NULL;
    mvm_auto(auth_config) none = NULL;

    (void) state;
    assert_int_equal(auth_config_parse(text, strlen(text), &config, NULL), 0);
    assert_string_equal(auth_config_helper(config, "h"), "one");
    assert_null(auth_config_helper(config, "e"));
    assert_null(auth_config_helper(config, "x"));
    assert_string_equal(auth_config_store(config), "all");
    assert_int_equal(auth_config_parse("{\"credsStore\":\"\"}", 17, &none, NULL), 0);
    assert_null(auth_config_store(none));
}

static void answers_of_a_helper(void **state)
{
    static const struct {
        const char *text, *user, *password, *identity;
        int code;
    } cases[] = {
        { "{\"ServerURL\":\"x\",\"Username\":\"u\",\"Secret\":\"p\"}\n", "u", "p", NULL, 0 },
        { "{\"Username\":\"<token>\",\"Secret\":\"t\"}", NULL, NULL, "t", 0 },
        { "{\"Username\":\"\",\"Secret\":\"\"}", NULL, NULL, NULL, 0 },
        { "{\"Username\":\"u\"}", NULL, NULL, NULL, MVM_E_FORMAT },
        { "{\"Secret\":\"p\"}", NULL, NULL, NULL, MVM_E_FORMAT },
        { "{\"Username\":\"<token>\",\"Secret\":\"t x\"}", NULL, NULL, NULL, MVM_E_FORMAT },
        { "[]", NULL, NULL, NULL, MVM_E_FORMAT },
        { "", NULL, NULL, NULL, MVM_E_FORMAT },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(credentials) c = { 0 };
        const char *const want[] = { cases[i].user, cases[i].password, cases[i].identity };

        assert_int_equal(auth_helper_parse(cases[i].text, strlen(cases[i].text), &c, NULL),
                         cases[i].code);
        const char *const got[] = { c.username, c.password, c.identity_token };

        for (size_t k = 0; k < ARRAY_SIZE(want); k++)
            if (!want[k] != !got[k] || (want[k] && strcmp(want[k], got[k]) != 0))
                fail_msg("%s: '%s', not '%s'", cases[i].text, got[k], want[k]);
    }
}

static void base64_is_read_padded_or_not(void **state)
{
    static const char *const good[][2] = { { "", "" },
                                           { "TQ==", "M" },
                                           { "TQ", "M" },
                                           { "TWE=", "Ma" },
                                           { "TWE", "Ma" },
                                           { "TWFu", "Man" },
                                           { "+/+/", "\xfb\xff\xbf" } };
    static const char *const bad[] = { "T", "T===", "TQ=", "T Q=", "TQ==TQ==", "=", "-_-_" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        mvm_autofree char *out = NULL;
        size_t len = 0;

        assert_true(base64_decode(good[i][0], strlen(good[i][0]), &out, &len));
        assert_int_equal(len, strlen(good[i][1]));
        assert_string_equal(out, good[i][1]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        mvm_autofree char *out = NULL;
        size_t len = 0;

        if (base64_decode(bad[i], strlen(bad[i]), &out, &len))
            fail_msg("'%s' is taken", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_most_specific_key_counts, sandbox_setup,
                                        sandbox_teardown),
        cmocka_unit_test_setup_teardown(a_file_is_read_up_to_its_limit, sandbox_setup,
                                        sandbox_teardown),
        cmocka_unit_test(entries_are_understood),
        cmocka_unit_test(entries_are_refused_without_their_secrets),
        cmocka_unit_test(values_have_a_limit),
        cmocka_unit_test(helpers_are_named_by_the_file),
        cmocka_unit_test(answers_of_a_helper),
        cmocka_unit_test(base64_is_read_padded_or_not),
    };

    return cmocka_run_group_tests_name("image-auth", tests, NULL, NULL);
}
