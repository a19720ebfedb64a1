/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/port-proto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct port_message round_trip(const struct port_message *m)
{
    uint8_t frame[PORT_FRAME_MAX];
    struct port_message back = { .number = 0 };
    size_t len = port_encode(m, frame);

    for (size_t part = 0; part < len; part++)
        assert_int_equal(port_decode(frame, part, &back, NULL), 0);
    assert_int_equal(port_decode(frame, len, &back, NULL), (int) len);
    assert_int_equal(back.type, m->type);
    return back;
}

static void decode_undoes_encode_for_each_message(void **state)
{
    (void) state;
    static const struct port_message messages[] = {
        { .type = PORT_STDIN_END, .total = UINT64_MAX },
        { .type = PORT_SIGNAL, .number = 64 },
        { .type = PORT_RESIZE, .rows = 65535, .cols = 258 },
        { .type = PORT_OUTPUT_CLOSED, .number = 2 },
        { .type = PORT_FINISHED },
        { .type = PORT_STARTED },
        { .type = PORT_EXITED,
          .number = 255,
          .stdout_total = 0x0123456789abcdefu,
          .stderr_total = UINT64_MAX - 1 },
        { .type = PORT_FAILED, .number = 127, .text = "exec 'x': no" },
    };

    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        const struct port_message *m = &messages[i];
        const struct port_message back = round_trip(m);

        assert_int_equal(back.number, m->number);
        assert_true(back.total == m->total);
        assert_true(back.stdout_total == m->stdout_total);
        assert_true(back.stderr_total == m->stderr_total);
        assert_int_equal(back.rows, m->rows);
        assert_int_equal(back.cols, m->cols);
        assert_string_equal(back.text, m->text);
    }
}

static void encode_cuts_the_text_at_its_room(void **state)
{
    (void) state;
    struct port_message m = { .type = PORT_FAILED, .number = 125 };
    struct port_message back;

    memset(m.text, 'x', sizeof(m.text)); /* without an end */
    back = round_trip(&m);
    assert_int_equal(strlen(back.text), sizeof(m.text) - 1);
}

static void frame_is_little_endian(void **state)
{
    (void) state;
    static const uint8_t want[] = { 17, 0, 0, 0, 20, 0, 0, 0, 7, 0, 0, 0, 1, 2,
                                    0,  0, 0, 0, 0,  0, 3, 0, 0, 0, 0, 0, 0, 0 };
    struct port_message m = {
        .type = PORT_EXITED, .number = 7, .stdout_total = 0x201, .stderr_total = 3
    };
    uint8_t frame[PORT_FRAME_MAX];

    assert_int_equal(port_encode(&m, frame), sizeof(want));
    assert_memory_equal(frame, want, sizeof(want));
}

/* Decodes a frame of @type whose payload is @len bytes of @fill. */
static int decode_filled(uint32_t type, uint32_t len, uint8_t fill)
{
    uint8_t frame[PORT_FRAME_MAX + 8];
    struct port_message back;

    memset(frame, fill, sizeof(frame));
    for (int i = 0; i < 4; i++) {
        frame[i] = (uint8_t) (type >> (8 * i));
        frame[4 + i] = (uint8_t) (len >> (8 * i));
    }
    return port_decode(frame, sizeof(frame), &back, NULL);
}

static void decode_refuses_unknown_types(void **state)
{
    (void) state;
    static const uint32_t unknown[] = { 0, 6, 15, 19, 256, UINT32_MAX };

    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        assert_int_equal(decode_filled(unknown[i], 0, 0), MVM_E_FORMAT);
}

static void decode_refuses_wrong_lengths(void **state)
{
    (void) state;
    static const struct {
        uint32_t type, right;
    } cases[] = { { PORT_STDIN_END, 8 },     { PORT_SIGNAL, 4 },   { PORT_RESIZE, 4 },
                  { PORT_OUTPUT_CLOSED, 4 }, { PORT_FINISHED, 0 }, { PORT_STARTED, 0 },
                  { PORT_EXITED, 20 } };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(decode_filled(cases[i].type, cases[i].right + 1, 0), MVM_E_FORMAT);
        if (cases[i].right > 0)
            assert_int_equal(decode_filled(cases[i].type, cases[i].right - 1, 0), MVM_E_FORMAT);
    }
    assert_int_equal(decode_filled(PORT_FAILED, 3, 0), MVM_E_FORMAT);
}

static void decode_refuses_a_payload_above_its_maximum(void **state)
{
    (void) state;
    uint8_t header[PORT_HEADER_SIZE] = { PORT_SIGNAL };
    struct port_message back;
    mvm_error *err = NULL;

    header[5] = PORT_PAYLOAD_MAX >> 8;
    assert_int_equal(port_decode(header, sizeof(header), &back, NULL), 0); /* wants the rest */
    header[4] = 1;
    assert_int_equal(port_decode(header, sizeof(header), &back, &err), MVM_E_FORMAT);
    assert_string_equal(mvm_error_message(err), "control message 2: 4097 bytes of payload");
    mvm_error_free(err);
}

static int decode_number(enum port_message_type type, uint32_t number)
{
    struct port_message m = { .type = type, .number = number };
    uint8_t frame[PORT_FRAME_MAX];
    struct port_message back;
    size_t len = port_encode(&m, frame);

    return port_decode(frame, len, &back, NULL);
}

static void decode_refuses_impossible_numbers(void **state)
{
    (void) state;
    static const struct {
        enum port_message_type type;
        uint32_t least, most;
    } cases[] = { { PORT_SIGNAL, 1, 64 },
                  { PORT_OUTPUT_CLOSED, 1, 2 },
                  { PORT_FAILED, 125, 127 },
                  { PORT_EXITED, 0, 255 } };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(decode_number(cases[i].type, cases[i].least) > 0);
        assert_true(decode_number(cases[i].type, cases[i].most) > 0);
        assert_int_equal(decode_number(cases[i].type, cases[i].most + 1), MVM_E_FORMAT);
        assert_int_equal(decode_number(cases[i].type, cases[i].least - 1), MVM_E_FORMAT);
    }
}

static void decode_refuses_text_that_is_too_long_or_holds_nul(void **state)
{
    (void) state;
    uint8_t frame[PORT_FRAME_MAX] = { PORT_FAILED, 0, 0, 0, 0xff, 3, 0, 0, 125 };
    struct port_message back;

    memset(frame + 12, 'x', sizeof(frame) - 12);
    /* 4 + 1019, and up to the most that fits: 4 + 1023. */
    assert_true(port_decode(frame, sizeof(frame), &back, NULL) > 0);
    frame[4] = 3;
    frame[5] = 4;
    assert_int_equal(port_decode(frame, sizeof(frame), &back, NULL), 8 + 4 + 1023);
    frame[4] = 4;
    assert_int_equal(port_decode(frame, sizeof(frame), &back, NULL), MVM_E_FORMAT);
    frame[4] = 3;
    frame[100] = 0;
    assert_int_equal(port_decode(frame, sizeof(frame), &back, NULL), MVM_E_FORMAT);
}

static void decode_takes_one_message_of_many(void **state)
{
    (void) state;
    static const uint8_t frames[] = { 16, 0, 0, 0, 0, 0, 0, 0,              /* started */
                                      2,  0, 0, 0, 4, 0, 0, 0, 15, 0, 0, 0, /* signal 15 */
                                      5 };
    struct port_message back;

    assert_int_equal(port_decode(frames, sizeof(frames), &back, NULL), 8);
    assert_int_equal(back.type, PORT_STARTED);
    assert_int_equal(port_decode(frames + 8, sizeof(frames) - 8, &back, NULL), 12);
    assert_int_equal(back.number, 15);
    assert_int_equal(port_decode(frames + 20, sizeof(frames) - 20, &back, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_undoes_encode_for_each_message),
        cmocka_unit_test(encode_cuts_the_text_at_its_room),
        cmocka_unit_test(frame_is_little_endian),
        cmocka_unit_test(decode_refuses_unknown_types),
        cmocka_unit_test(decode_refuses_wrong_lengths),
        cmocka_unit_test(decode_refuses_a_payload_above_its_maximum),
        cmocka_unit_test(decode_refuses_impossible_numbers),
        cmocka_unit_test(decode_refuses_text_that_is_too_long_or_holds_nul),
        cmocka_unit_test(decode_takes_one_message_of_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
