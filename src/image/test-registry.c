/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a registry source that need no server: challenges, URLs, where it may send us,
 * patience. */
#include "image/registry-internal.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

static void challenges_are_parsed(void **state)
{
    static const struct {
        const char *header;
        enum challenge_scheme scheme;
        const char *realm, *service, *scope;
    } cases[] = {
        { "Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x:pull\"",
          CHALLENGE_BEARER, "https://a/t", "s", "repository:x:pull" },
        { "bearer REALM=https://a/t", CHALLENGE_BEARER, "https://a/t", NULL, NULL },
        { "Bearer realm=\"a,b c\\\"d\" , service=\"\"", CHALLENGE_BEARER, "a,b c\"d", "", NULL },
        { "Basic realm=\"x\", Bearer realm=\"y\"", CHALLENGE_BASIC, "x", NULL, NULL },
        { "Digest realm=\"d\", nonce=\"n\", Bearer realm=\"y\"", CHALLENGE_BEARER, "y", NULL,
          NULL },
        { "Bearer realm=\"a\",realm=\"b\"", CHALLENGE_BEARER, "a", NULL, NULL },
        { "Negotiate", CHALLENGE_NONE, NULL, NULL, NULL },
        { "Bearer", CHALLENGE_BEARER, NULL, NULL, NULL },
        { "", CHALLENGE_NONE, NULL, NULL, NULL },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(challenge) c = { 0 };
        const char *const want[] = { cases[i].realm, cases[i].service, cases[i].scope };

        assert_int_equal(challenge_parse(cases[i].header, &c, NULL), 0);
        const char *const got[] = { c.realm, c.service, c.scope };

        assert_int_equal(c.scheme, cases[i].scheme);
        for (size_t k = 0; k < ARRAY_SIZE(want); k++)
            if (!want[k] != !got[k] || (want[k] && strcmp(want[k], got[k]) != 0))
                fail_msg("'%s': '%s', not '%s'", cases[i].header, got[k], want[k]);
    }
}

static void malformed_challenges_are_refused(void **state)
{
    static const char *const cases[] = { "Bearer realm=\"open", "Bearer realm=\"open\\\"",
                                         "Bearer =x", "\"x\"", "Bearer =" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(challenge) c = { 0 };

        if (challenge_parse(cases[i], &c, NULL) != MVM_E_FORMAT)
            fail_msg("'%s' is taken", cases[i]);
    }
}

static void urls_are_split(void **state)
{
    mvm_autovalue(url) a = { 0 }, b = { 0 };

    (void) state;
    assert_int_equal(url_parse("https://Host.Example/x?y", &a, NULL), 0);
    assert_true(a.https);
    assert_string_equal(a.host, "host.example");
    assert_int_equal(a.port, 443);
    assert_int_equal(url_parse("https://host.example:443/", &b, NULL), 0);
    assert_true(url_same_host(&a, &b));
    url_deinit(&b);
    assert_int_equal(url_parse("http://[::1]:5000/", &b, NULL), 0);
    assert_string_equal(b.host, "::1");
    assert_int_equal(b.port, 5000);
    assert_false(url_same_host(&a, &b));
    url_deinit(&b);
    /* Other ways to write 127.0.0.1. */
    assert_int_equal(url_parse("http://0x7f.1/", &b, NULL), 0);
    assert_string_equal(b.host, "127.0.0.1");
    url_deinit(&b);
    assert_int_equal(url_parse("file:///etc/passwd", &b, NULL), MVM_E_FORMAT);
    assert_int_equal(url_parse("ftp://x/", &b, NULL), MVM_E_FORMAT);
    assert_int_equal(url_parse("x y", &b, NULL), MVM_E_FORMAT);
}

static void loopback_and_internal_hosts_are_known(void **state)
{
    static const char *const loopback[] = { "localhost", "a.localhost", "127.0.0.1", "127.255.0.9",
                                            "::1" };
    static const char *const not_loopback[] = { "localhost.example", "127.0.0.1.example",
                                                "xlocalhost",        ".localhost",
                                                "128.0.0.1",         "::2",
                                                "10.0.0.1",          "registry.local" };
    static const char *const internal[] = { "127.0.0.1",       "10.1.2.3",     "172.16.0.1",
                                            "172.31.255.255",  "192.168.0.1",  "169.254.169.254",
                                            "0.0.0.0",         "::",           "::1",
                                            "fe80::1",         "fe80::1%eth0", "fd00::1",
                                            "::ffff:10.0.0.1", "100.64.0.1",   "255.255.255.255",
                                            "224.0.0.1" };
    static const char *const open[] = { "8.8.8.8",     "172.32.0.1",     "172.15.0.1",
                                        "2001:db8::1", "::ffff:8.8.8.8", "host.example",
                                        "10.example",  "100.128.0.1",    "192.167.0.1" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(loopback); i++)
        if (!url_host_is_loopback(loopback[i]))
            fail_msg("'%s' is not taken for loopback", loopback[i]);
    for (size_t i = 0; i < ARRAY_SIZE(not_loopback); i++)
        if (url_host_is_loopback(not_loopback[i]))
            fail_msg("'%s' is taken for loopback", not_loopback[i]);
    for (size_t i = 0; i < ARRAY_SIZE(internal); i++)
        if (!url_host_is_internal(internal[i]))
            fail_msg("'%s' is not taken for internal", internal[i]);
    for (size_t i = 0; i < ARRAY_SIZE(open); i++)
        if (url_host_is_internal(open[i]))
            fail_msg("'%s' is taken for internal", open[i]);
}

static void messages_show_no_secret_of_a_url(void **state)
{
    static const char *const cases[][2] = {
        { "https://h/p?signature=s", "https://h/p" },
        { "https://user:secret@h/p#f", "https://h/p" },
        { "https://h:1/a@b", "https://h:1/a@b" },
        { "https://h?x@y", "https://h" },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autofree char *shown = url_for_message(cases[i][0]);

        assert_string_equal(shown, cases[i][1]);
    }
}

static void registry_may_send_us_to_few_places(void **state)
{
    static const struct {
        const char *registry, *to;
        bool allowed;
    } cases[] = {
        { "https://r.example", "https://cdn.example/x", true },
        { "https://r.example", "http://cdn.example/x", false },
        { "https://r.example", "https://10.0.0.1/x", false },
        { "https://r.example", "https://127.0.0.1/x", false },
        { "https://r.example", "https://[::1]/x", false },
        { "https://r.example", "https://0.0.0.0/x", false },
        { "https://10.0.0.1", "https://10.0.0.1/x", true },
        { "https://10.0.0.1", "https://10.0.0.1:8443/x", false },
        { "https://10.0.0.1", "https://10.0.0.2/x", false },
        { "http://127.0.0.1:5000", "http://127.0.0.1:5000/x", true },
        { "http://127.0.0.1:5000", "http://127.0.0.1:5001/x", false },
        { "http://127.0.0.1:5000", "http://cdn.example/x", true },
        { "https://r.example", "file:///etc/passwd", false },
        { "https://r.example", "https://localhost:2375/x", false },
        { "https://r.example", "https://a.localhost/x", false },
        { "https://localhost:5000", "https://localhost:5000/x", true },
        { "https://localhost:5000", "https://localhost:5001/x", true },
        { "http://127.0.0.1:5000", "http://localhost:5001/x", true },
        { "https://r.example", "https://user:secret@cdn.example/x", false },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(url) from = { 0 };
        bool allowed;

        assert_int_equal(url_parse(cases[i].registry, &from, NULL), 0);
        allowed = registry_check_target(&from, false, cases[i].to, "redirect", NULL) == 0;
        if (allowed != cases[i].allowed)
            fail_msg("%s to %s: %d", cases[i].registry, cases[i].to, allowed);
    }
}

/* A server that takes the connection and then says nothing. */
static void foreign_layers_may_be_in_few_places(void **state)
{
    static const struct {
        const char *registry, *to;
        bool http, allowed;
    } cases[] = {
        { "https://r.example", "https://cdn.example/x", false, true },
        { "https://r.example", "http://cdn.example/x", false, false },
        { "https://r.example", "http://cdn.example/x", true, true },
        { "https://r.example", "https://10.0.0.1/x", false, false },
        { "https://r.example", "https://127.0.0.1/x", false, false },
        { "https://r.example", "https://localhost/x", true, false },
        { "https://r.example", "https://169.254.169.254/x", true, false },
        { "https://10.0.0.1", "https://10.0.0.2/x", false, true },
        { "https://10.0.0.1", "https://127.0.0.1/x", false, false },
        { "https://10.0.0.1", "https://a.localhost/x", false, false },
        { "https://127.0.0.1:5000", "http://localhost:80/x", true, true },
        { "https://localhost:5000", "https://10.0.0.2/x", true, true },
        { "https://r.example", "https://u:p@cdn.example/x", false, false },
        { "https://r.example", "ftp://cdn.example/x", true, false },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct endpoint e = { .may = { true, cases[i].http } };

        for (int k = 0; k < REGISTRY_SCHEMES; k++)
            assert_int_equal(url_parse(cases[i].registry, &e.urls[k], NULL), 0);
        if ((registry_check_foreign(&e, cases[i].to, NULL) == 0) != cases[i].allowed)
            fail_msg("%s to %s, http %d: not %d", cases[i].registry, cases[i].to, cases[i].http,
                     cases[i].allowed);
        for (int k = 0; k < REGISTRY_SCHEMES; k++)
            url_deinit(&e.urls[k]);
    }
}

static int listen_silently(unsigned *ret_port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &len), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void silent_peer_is_given_up(void **state)
{
    const struct http_limits limits = { .connect_ms = 1000, .stall_ms = 200 };
    unsigned port = 0;
    mvm_autoclose int fd = listen_silently(&port);
    mvm_auto(http_client) client = NULL;
    mvm_auto(http_response) response = NULL;
    mvm_autoerror mvm_error *e = NULL;
    mvm_autofree char *url = NULL;
    bool again = false;

    (void) state;
    assert_true(fd >= 0);
    assert_true(asprintf(&url, "http://127.0.0.1:%u/v2/", port) > 0);
    assert_int_equal(http_client_new(&limits, NULL, &client, NULL), 0);
    assert_int_equal(http_send(client, &(struct http_request){ .url = url }, &response, &again, &e),
                     MVM_E_NET);
    assert_string_equal(mvm_error_message(e), "no byte for 200 ms");
}

static int cancel(void *user, const struct image_progress *p)
{
    (void) user;
    (void) p;
    return 1;
}

static void silent_peer_does_not_hold_up_a_cancel(void **state)
{
    const struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct image_tick tick = { .fn = cancel };
    unsigned port = 0;
    mvm_autoclose int fd = listen_silently(&port);
    mvm_auto(http_client) client = NULL;
    mvm_auto(http_response) response = NULL;
    mvm_autofree char *url = NULL;
    bool again = false;

    (void) state;
    assert_true(fd >= 0);
    assert_true(asprintf(&url, "http://127.0.0.1:%u/v2/", port) > 0);
    assert_int_equal(http_client_new(&limits, &tick, &client, NULL), 0);
    assert_int_equal(
        http_send(client, &(struct http_request){ .url = url }, &response, &again, NULL),
        MVM_E_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(challenges_are_parsed),
        cmocka_unit_test(malformed_challenges_are_refused),
        cmocka_unit_test(urls_are_split),
        cmocka_unit_test(loopback_and_internal_hosts_are_known),
        cmocka_unit_test(messages_show_no_secret_of_a_url),
        cmocka_unit_test(registry_may_send_us_to_few_places),
        cmocka_unit_test(foreign_layers_may_be_in_few_places),
        cmocka_unit_test(silent_peer_is_given_up),
        cmocka_unit_test(silent_peer_does_not_hold_up_a_cancel),
    };

    return cmocka_run_group_tests_name("image-registry", tests, NULL, NULL);
}
