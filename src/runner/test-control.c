/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/control.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

static int pair[2];

static int setup(void **state)
{
    (void) state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int teardown(void **state)
{
    (void) state;
    (void) close(pair[0]);
    return pair[1] < 0 ? 0 : close(pair[1]);
}

static void control_round_trip_keeps_every_field(void **state)
{
    struct control_message m = { .type = CONTROL_ENDED, .number = -17, .rows = 65535, .cols = 80 };
    struct control_message back;

    (void) state;
    (void) snprintf(m.text, sizeof(m.text), "exec 'a\"b\\c': caf\xc3\xa9");
    assert_int_equal(control_send(pair[0], &m, NULL), 0);
    assert_int_equal(control_receive(pair[1], &back, NULL), 1);
    assert_int_equal(back.type, CONTROL_ENDED);
    assert_int_equal(back.number, -17);
    assert_int_equal(back.rows, 65535);
    assert_int_equal(back.cols, 80);
    assert_string_equal(back.text, m.text);
    assert_int_equal(control_receive(pair[1], &back, NULL), 0);
}

static void control_carries_the_longest_text(void **state)
{
    struct control_message m = { .type = CONTROL_FAILED, .number = -1 };
    struct control_message back;

    (void) state;
    memset(m.text, '"', sizeof(m.text) - 1);
    assert_int_equal(control_send(pair[0], &m, NULL), 0);
    assert_int_equal(control_receive(pair[1], &back, NULL), 1);
    assert_int_equal(strlen(back.text), CONTROL_TEXT_MAX - 1);
}

static void control_sends_the_number_with_text_that_is_not_utf8(void **state)
{
    struct control_message m = { .type = CONTROL_ENDED, .number = 127, .text = "\xff\xfe" };
    struct control_message back;

    (void) state;
    assert_int_equal(control_send(pair[0], &m, NULL), 0);
    assert_int_equal(control_receive(pair[1], &back, NULL), 1);
    assert_int_equal(back.number, 127);
    assert_string_equal(back.text, "(text that is not UTF-8)");
}

static void control_tells_a_peer_that_is_gone(void **state)
{
    struct control_message m = { .type = CONTROL_STARTED };

    (void) state;
    (void) close(pair[1]);
    pair[1] = -1;
    assert_int_equal(control_receive(pair[0], &m, NULL), MVM_E_NET);
    assert_int_equal(control_send(pair[0], &m, NULL), MVM_E_NET);
}

static void control_refuses_what_is_no_message(void **state)
{
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        { "", MVM_E_FORMAT },
        { "{}", MVM_E_FORMAT },
        { "{\"type\":\"reboot\"}", MVM_E_FORMAT },
        { "{\"type\":1}", MVM_E_FORMAT },
        { "{\"type\":\"signal\",\"number\":\"15\"}", MVM_E_FORMAT },
        { "{\"type\":\"signal\",\"number\":2147483648}", MVM_E_FORMAT },
        { "{\"type\":\"resize\",\"rows\":65536}", MVM_E_FORMAT },
        { "{\"type\":\"resize\",\"cols\":-1}", MVM_E_FORMAT },
        { "{\"type\":\"notice\",\"text\":5}", MVM_E_FORMAT },
        { "{\"type\":\"notice\"} trailing", MVM_E_FORMAT },
    };
    struct control_message m;

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (control_decode(cases[i].text, strlen(cases[i].text), &m, NULL) != cases[i].code)
            fail_msg("accepted: %s", cases[i].text);
    assert_int_equal(control_decode("{\"type\":\"signal\",\"number\":2147483647}", 37, &m, NULL),
                     0);
    assert_int_equal(m.number, INT32_MAX);
}

static void control_refuses_text_above_the_limit(void **state)
{
    char packet[CONTROL_TEXT_MAX + 64];
    struct control_message m;
    int n = snprintf(packet, sizeof(packet), "{\"type\":\"notice\",\"text\":\"");

    (void) state;
    memset(packet + n, 'a', CONTROL_TEXT_MAX);
    memcpy(packet + n + CONTROL_TEXT_MAX, "\"}", 3);
    assert_int_equal(control_decode(packet, strlen(packet), &m, NULL), MVM_E_LIMIT);
    memcpy(packet + n + CONTROL_TEXT_MAX - 1, "\"}", 3);
    assert_int_equal(control_decode(packet, strlen(packet), &m, NULL), 0);
}

/* What was sent before a close arrives, though the sender had not read all that was sent to it. */
static void last_words_arrive_from_a_peer_that_left_mail_unread(void **state)
{
    const struct control_message started = { .type = CONTROL_STARTED };
    const struct control_message detach = { .type = CONTROL_DETACH };
    struct control_message got;
    int ends[2];

    (void) state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(control_send(ends[0], &started, NULL), 0);
    assert_int_equal(control_send(ends[1], &detach, NULL), 0);
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(control_receive(ends[0], &got, NULL), 1);
    assert_int_equal(got.type, CONTROL_DETACH);
    assert_int_equal(control_receive(ends[0], &got, NULL), MVM_E_NET);
    (void) close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(control_round_trip_keeps_every_field, setup, teardown),
        cmocka_unit_test_setup_teardown(control_carries_the_longest_text, setup, teardown),
        cmocka_unit_test_setup_teardown(control_sends_the_number_with_text_that_is_not_utf8, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(control_tells_a_peer_that_is_gone, setup, teardown),
        cmocka_unit_test(control_refuses_what_is_no_message),
        cmocka_unit_test(control_refuses_text_above_the_limit),
        cmocka_unit_test(last_words_arrive_from_a_peer_that_left_mail_unread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
