/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vsock/ports.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ROUNDS 2000

static uint64_t seed;

static uint32_t rnd(uint32_t below)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t) (seed >> 33) % below;
}

/* Paths with what could confuse a reader of words: colons, blanks, digits. */
static void random_serve(struct vsock_serve *s, char path[VSOCK_PATH_MAX + 1])
{
    static const char letters[] = "/:_ 0a\x01\xff";
    size_t len = 1 + rnd(VSOCK_HYBRID_PATH_MAX - 1);

    path[0] = '/';
    for (size_t i = 1; i < len; i++)
        path[i] = letters[rnd(sizeof(letters) - 1)];
    path[len] = '\0';
    *s = (struct vsock_serve){ .kind = (enum vsock_serve_kind) rnd(5),
                               .port = rnd(3) ? rnd(1u << 30) * 4 + 1 : UINT32_MAX - 1,
                               .fd = VSOCK_FD_MIN + (int) rnd(VSOCK_FD_MAX - VSOCK_FD_MIN + 1),
                               .path = path };
}

static void decode_undoes_encode(void **state)
{
    (void) state;
    seed = (uint64_t) getpid() * 2654435761u;
    print_message("# seed %llu\n", (unsigned long long) seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        mvm_autovalue(vsock_ports) ports = { .items = NULL };
        mvm_autovalue(vsock_ports) back = { .items = NULL };
        mvm_autovalue(strv) words = { .n = 0 };
        mvm_autovalue(strv) again = { .n = 0 };

        for (unsigned n = 1 + rnd(6); n > 0; n--) {
            char path[VSOCK_PATH_MAX + 1];
            struct vsock_serve s;

            random_serve(&s, path);
            (void) vsock_ports_add(&ports, &s, NULL); /* some clash */
        }
        assert_int_equal(vsock_ports_encode(&ports, &words, NULL), 0);
        assert_int_equal(vsock_ports_decode(words.items, &back, NULL), 0);
        assert_int_equal(back.n, ports.n);
        for (size_t i = 0; i < back.n; i++) {
            assert_int_equal(back.items[i].kind, ports.items[i].kind);
            assert_int_equal(back.items[i].port, ports.items[i].port);
            assert_int_equal(back.items[i].fd, ports.items[i].fd);
            assert_int_equal(!back.items[i].path, !ports.items[i].path);
            if (back.items[i].path)
                assert_string_equal(back.items[i].path, ports.items[i].path);
        }
        assert_int_equal(vsock_ports_encode(&back, &again, NULL), 0);
        for (size_t i = 0; i < words.n; i++)
            assert_string_equal(words.items[i], again.items[i]);
    }
}

static void assert_refused(const char *first, const char *second, int code, const char *why)
{
    char *const words[] = { (char *) first, (char *) second, NULL };
    mvm_autoerror mvm_error *err = NULL;
    struct vsock_ports ports = { .items = NULL };

    assert_int_equal(vsock_ports_decode(words, &ports, &err), code);
    assert_null(ports.items);
    if (!strstr(mvm_error_message(err), why) ||
        !strstr(mvm_error_message(err), second ? second : first))
        fail_msg("'%s' instead of '%s'", mvm_error_message(err), why);
}

static void words_that_are_wrong_are_named(void **state)
{
    (void) state;
    assert_refused("", NULL, MVM_E_ARG, "starts with none of");
    assert_refused("connect", NULL, MVM_E_ARG, "starts with none of");
    assert_refused("Connect:1:/a", NULL, MVM_E_ARG, "starts with none of");
    assert_refused("connect:/a", NULL, MVM_E_ARG, "lacks a port");
    assert_refused("connect:01:/a", NULL, MVM_E_ARG, "lacks a port");
    assert_refused("connect:4294967296:/a", NULL, MVM_E_ARG, "lacks a port");
    assert_refused("connect:4294967295:/a", NULL, MVM_E_ARG, "is no port");
    assert_refused("connect:1:a", NULL, MVM_E_ARG, "starts with '/'");
    assert_refused("listen:1:", NULL, MVM_E_ARG, "lacks a descriptor");
    assert_refused("listen:1:4:", NULL, MVM_E_ARG, "lacks a descriptor");
    assert_refused("listen:1:3", NULL, MVM_E_ARG, "not within");
    assert_refused("listen:1:1024", NULL, MVM_E_ARG, "not within");
    assert_refused("hybrid:4", NULL, MVM_E_ARG, "lacks a descriptor");
}

static void entries_that_go_against_each_other_are_refused(void **state)
{
    static const char *const fine[][2] = { { "listen:1:4", "listen:1:5" },
                                           { "connect:1:/a", "listen:1:4" },
                                           { "once:1:4", "agent:1:5" },
                                           { "connect:1:/a", "connect:2:/a" },
                                           { "hybrid:4:/a", "agent:0:5" } };

    (void) state;
    assert_refused("connect:1:/a", "connect:1:/b", MVM_E_ARG, "goes against entry 1");
    assert_refused("connect:1:/a", "once:1:4", MVM_E_ARG, "goes against entry 1");
    assert_refused("agent:1:4", "connect:1:/a", MVM_E_ARG, "goes against entry 1");
    assert_refused("agent:1:4", "listen:1:5", MVM_E_ARG, "goes against entry 1");
    assert_refused("agent:1:4", "agent:1:5", MVM_E_ARG, "goes against entry 1");
    assert_refused("once:1:4", "listen:2:4", MVM_E_ARG, "goes against entry 1");
    assert_refused("hybrid:4:/a", "hybrid:5:/b", MVM_E_ARG, "goes against entry 1");
    for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
        char *const words[] = { (char *) fine[i][0], (char *) fine[i][1], NULL };
        mvm_autovalue(vsock_ports) ports = { .items = NULL };

        assert_int_equal(vsock_ports_decode(words, &ports, NULL), 0);
        assert_int_equal(ports.n, 2);
    }
}

static void limits_are_kept_on_both_sides(void **state)
{
    mvm_autovalue(vsock_ports) ports = { .items = NULL };
    char path[VSOCK_PATH_MAX + 2];
    struct vsock_serve s = { .kind = VSOCK_SERVE_CONNECT, .path = path };

    (void) state;
    memset(path, '/', sizeof(path));
    path[VSOCK_PATH_MAX + 1] = '\0';
    assert_int_equal(vsock_ports_add(&ports, &s, NULL), MVM_E_LIMIT);
    path[VSOCK_PATH_MAX] = '\0';
    for (; s.port < VSOCK_SERVES_MAX; s.port++)
        assert_int_equal(vsock_ports_add(&ports, &s, NULL), 0);
    assert_int_equal(vsock_ports_add(&ports, &s, NULL), MVM_E_LIMIT);
    vsock_ports_deinit(&ports);
    s = (struct vsock_serve){ .kind = VSOCK_SERVE_HYBRID, .fd = VSOCK_FD_MAX, .path = path };
    path[VSOCK_HYBRID_PATH_MAX + 1] = '\0';
    assert_int_equal(vsock_ports_add(&ports, &s, NULL), MVM_E_LIMIT);
    path[VSOCK_HYBRID_PATH_MAX] = '\0';
    assert_int_equal(vsock_ports_add(&ports, &s, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_undoes_encode),
        cmocka_unit_test(words_that_are_wrong_are_named),
        cmocka_unit_test(entries_that_go_against_each_other_are_refused),
        cmocka_unit_test(limits_are_kept_on_both_sides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
