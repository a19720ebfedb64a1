/* SPDX-License-Identifier: Apache-2.0 */
/* What a user may wish for registries, certificates in folders, and headers that registries send.
 */
#include "image/registry-certs.h"
#include "image/registry-headers.h"
#include "image/registry-options.h"

#include "base/test-sandbox.h"

#include <time.h>

static void mirrors_are_taken(void **state)
{
    static const struct {
        const char *text, *registry, *url;
    } cases[] = {
        { "https://m.example", "docker.io", "https://m.example" },
        { "http://127.0.0.1:5000/", "docker.io", "http://127.0.0.1:5000" },
        { "docker.io=https://m.example/cache/hub", "docker.io", "https://m.example/cache/hub" },
        { "Host:5000=https://[::1]:5000", "host:5000", "https://[::1]:5000" },
    };
    mvm_autovalue(registry_options) o = { 0 };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(registry_options_add_mirror(&o, cases[i].text, NULL), 0);
        assert_int_equal(o.n_mirrors, i + 1);
        assert_string_equal(o.mirrors[i].registry, cases[i].registry);
        assert_string_equal(o.mirrors[i].url, cases[i].url);
    }
}

static void wishes_that_are_none_are_refused(void **state)
{
    static const char *const mirrors[] = { "",
                                           "m.example",
                                           "ftp://m",
                                           "https://",
                                           "https:///x",
                                           "=https://m",
                                           "a b=https://m",
                                           "https://m?x",
                                           "https://u@m",
                                           "https://m/../x",
                                           "https://m/a//b",
                                           "https://m/UPPER",
                                           "x/y=https://m",
                                           "https://m/a%2e" };
    static const char *const hosts[] = { "", "https://x", "x/y", "a b", "u@x", "x\n", "x%41" };
    mvm_autovalue(registry_options) o = { 0 };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(mirrors); i++)
        if (registry_options_add_mirror(&o, mirrors[i], NULL) != MVM_E_ARG)
            fail_msg("'%s' is taken", mirrors[i]);
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++)
        if (registry_options_add_insecure(&o, hosts[i], NULL) != MVM_E_ARG)
            fail_msg("'%s' is taken", hosts[i]);
    assert_int_equal(o.n_mirrors + o.insecure.n, 0);
}

static void lists_have_a_limit(void **state)
{
    mvm_autovalue(registry_options) o = { 0 };

    (void) state;
    for (int i = 0; i < REGISTRY_MIRRORS_MAX; i++)
        assert_int_equal(registry_options_add_mirror(&o, "https://m", NULL), 0);
    assert_int_equal(registry_options_add_mirror(&o, "https://m", NULL), MVM_E_LIMIT);
    for (int i = 0; i < REGISTRY_INSECURE_MAX; i++)
        assert_int_equal(registry_options_add_insecure(&o, "h", NULL), 0);
    assert_int_equal(registry_options_add_insecure(&o, "h", NULL), MVM_E_LIMIT);
}

static void certificates_are_found_by_host(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(registry_options) o = { 0 };
    mvm_autovalue(http_tls) tls = { 0 }, other = { 0 };

    assert_int_equal(mkdirat(sb->root_fd, "host:5000", 0755), 0);
    sandbox_write(sb->root_fd, "host:5000/b.crt", "-----BEGIN CERTIFICATE-----\nB");
    sandbox_write(sb->root_fd, "host:5000/a.crt", "-----BEGIN CERTIFICATE-----\nA\n");
    sandbox_write(sb->root_fd, "host:5000/me.cert", "x");
    sandbox_write(sb->root_fd, "host:5000/me.key", "x");
    sandbox_write(sb->root_fd, "host:5000/README", "nothing for us");
    assert_true(asprintf(&o.ca_file, "%s/outside/../root/host:5000/b.crt", sb->path) > 0);
    assert_int_equal(chdir(sb->path), 0);
    assert_int_equal(strv_add(&o.certs_dirs, "root"), 0);
    assert_int_equal(registry_certs_load(&o, "host:5000", &tls, NULL), 0);
    assert_string_equal(tls.ca, "-----BEGIN CERTIFICATE-----\nB\n-----BEGIN CERTIFICATE-----\nA\n\n"
                                "-----BEGIN CERTIFICATE-----\nB\n");
    assert_int_equal(tls.ca_len, strlen(tls.ca));
    assert_string_equal(tls.cert, "root/host:5000/me.cert");
    assert_string_equal(tls.key, "root/host:5000/me.key");
    assert_false(tls.unverified);
    free(steal_ptr(&o.ca_file));
    assert_int_equal(registry_certs_load(&o, "host", &other, NULL), 0);
    assert_null(other.ca);
    assert_null(other.cert);
}

static void certificates_that_are_none_are_told(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(registry_options) o = { 0 };
    mvm_autovalue(http_tls) tls = { 0 };
    mvm_autoerror mvm_error *e = NULL, *e2 = NULL;

    assert_int_equal(chdir(sb->path), 0);
    assert_int_equal(strv_add(&o.certs_dirs, "root"), 0);
    assert_int_equal(mkdirat(sb->root_fd, "h", 0755), 0);
    sandbox_write(sb->root_fd, "h/me.cert", "x");
    assert_int_equal(registry_certs_load(&o, "h", &tls, &e), MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(e), "root/h/me.key"));
    sandbox_write(sb->root_fd, "h/a.crt", "nonsense");
    assert_int_equal(registry_certs_load(&o, "h", &tls, &e2), MVM_E_FORMAT);
    assert_non_null(strstr(mvm_error_message(e2), "root/h/a.crt"));
}

static void content_ranges(void **state)
{
    static const struct {
        const char *value;
        bool good;
        uint64_t first, last, total;
    } cases[] = {
        { "bytes 0-0/1", true, 0, 0, 1 },
        { "Bytes 5-9/10", true, 5, 9, 10 },
        { "bytes 5-9/*", true, 5, 9, UINT64_MAX },
        { "bytes 0-9223372036854775806/9223372036854775807", true, 0, INT64_MAX - 1, INT64_MAX },
        { "bytes 0-9223372036854775808/*", false, 0, 0, 0 },
        { "bytes 9-5/10", false, 0, 0, 0 },
        { "bytes 5-10/10", false, 0, 0, 0 },
        { "bytes */10", false, 0, 0, 0 },
        { "bytes 5-/10", false, 0, 0, 0 },
        { "bytes -5/10", false, 0, 0, 0 },
        { "bytes 5/10", false, 0, 0, 0 },
        { "bytes 5-9", false, 0, 0, 0 },
        { "bytes 5-9/", false, 0, 0, 0 },
        { "bytes 5-9/10 ", false, 0, 0, 0 },
        { "lines 5-9/10", false, 0, 0, 0 },
        { "", false, 0, 0, 0 },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct content_range c = { 0 };
        bool good = content_range_parse(cases[i].value, &c);

        if (good != cases[i].good || c.first != cases[i].first || c.last != cases[i].last ||
            c.total != cases[i].total)
            fail_msg("'%s': %d %llu-%llu/%llu", cases[i].value, good, (unsigned long long) c.first,
                     (unsigned long long) c.last, (unsigned long long) c.total);
    }
}

static void warnings_are_unescaped(void **state)
{
    static const char *const cases[][2] = {
        { "299 - \"text\"", "text" }, { "299 host \"a \\\"b\\\" \\\\c\" \"date\"", "a \"b\" \\c" },
        { "299 - \"open", "open" },   { "299 - \"\"", NULL },
        { "299 - text", NULL },       { "199 - \"text\"", NULL },
        { "2990 - \"text\"", NULL },
    };
    mvm_autofree char *longest = NULL, *text = NULL, *filler = malloc(5001);

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autofree char *got = warning_text(cases[i][0]);

        if (!got != !cases[i][1] || (got && strcmp(got, cases[i][1]) != 0))
            fail_msg("'%s': '%s'", cases[i][0], got);
    }
    assert_non_null(filler);
    memset(filler, 'x', 5000);
    filler[5000] = '\0';
    assert_true(asprintf(&longest, "299 - \"%s\"", filler) > 0);
    text = warning_text(longest);
    assert_int_equal(strlen(text), 4096);
}

static void retry_after_is_bounded(void **state)
{
    char date[64];
    time_t then = time(NULL) + 30;
    struct tm tm;
    uint64_t ms;

    (void) state;
    assert_int_equal(retry_after_ms("0", 60000, 7), 0);
    assert_int_equal(retry_after_ms("5", 60000, 7), 5000);
    assert_int_equal(retry_after_ms("60", 60000, 7), 60000);
    assert_int_equal(retry_after_ms("61", 60000, 7), 60000);
    assert_int_equal(retry_after_ms("4294967295", 60000, 7), 60000);
    assert_int_equal(retry_after_ms("-1", 60000, 7), 7);
    assert_int_equal(retry_after_ms("soon", 60000, 7), 7);
    assert_int_equal(retry_after_ms("Wed, 21 Oct 2015 07:28:00 GMT", 60000, 7), 0);
    assert_int_equal(retry_after_ms("Wed, 21 Oct 2099 07:28:00 GMT", 60000, 7), 60000);
    assert_true(strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &tm)) >
                0);
    ms = retry_after_ms(date, 60000, 7);
    assert_in_range(ms, 25000, 30000);
}

static void entity_tags_that_can_be_sent(void **state)
{
    static const char *const good[] = { "\"a\"", "\"\"", "\"sha256:5f-_.\"" };
    static const char *const bad[] = { "W/\"a\"", "a",        "\"",      "",          "\"a",
                                       "a\"",     "\"a\"b\"", "\"a b\"", "\"a\x7f\"", "\"\x80\"" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        if (!etag_is_strong(good[i]))
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (etag_is_strong(bad[i]))
            fail_msg("%s is taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mirrors_are_taken),
        cmocka_unit_test(wishes_that_are_none_are_refused),
        cmocka_unit_test(lists_have_a_limit),
        cmocka_unit_test_setup_teardown(certificates_are_found_by_host, sandbox_setup,
                                        sandbox_teardown),
        cmocka_unit_test_setup_teardown(certificates_that_are_none_are_told, sandbox_setup,
                                        sandbox_teardown),
        cmocka_unit_test(content_ranges),
        cmocka_unit_test(warnings_are_unescaped),
        cmocka_unit_test(retry_after_is_bounded),
        cmocka_unit_test(entity_tags_that_can_be_sent),
    };

    return cmocka_run_group_tests_name("image-registry-options", tests, NULL, NULL);
}
