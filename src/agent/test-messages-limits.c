/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/messages.h"
#include "agent/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define BUF(name) mvm_autovalue(strbuf) name = STRBUF_INIT(AGENT_FRAME_MAX)
#define BYTES(b) (const uint8_t *) (b)->data, (b)->len

/* Decodes one message and drops it; the buffer is of exactly its size. */
static int decode(char kind, const char *bytes, size_t len)
{
    mvm_autofree uint8_t *at = malloc(len ? len : 1);
    mvm_autovalue(agent_input) input = { .number = 0 };
    mvm_autovalue(agent_item) item = { .own = false };
    mvm_autovalue(agent_path_request) path = { .path = NULL };
    struct agent_output output;
    struct agent_run_response run;
    struct agent_health health;

    assert_non_null(at);
    memcpy(at, bytes, len);
    switch (kind) {
    case 'i':
        return agent_input_decode(at, len, &input, NULL);
    case 'o':
        return agent_output_decode(at, len, &output, NULL);
    case 'r':
        return agent_run_response_decode(at, len, &run, NULL);
    case 't':
        return agent_tree_item_decode(at, len, &item, NULL);
    case 'w':
        return agent_write_input_decode(at, len, &item, NULL);
    case 'h':
        return agent_health_decode(at, len, &health, NULL);
    default:
        return agent_path_request_decode(AGENT_CALL_READ, at, len, &path, NULL);
    }
}

static void decoders_refuse_what_is_malformed(void **state)
{
    (void) state;
    static const struct {
        char kind;
        int result;
        size_t len;
        const char *bytes;
    } cases[] = {
#define CASE(kind, result, bytes) { kind, result, sizeof(bytes) - 1, bytes }
        CASE('i', MVM_E_FORMAT, ""),
        CASE('i', 0, "\x18\x01"),
        CASE('i', MVM_E_FORMAT, "\x18"),             /* cut */
        CASE('i', MVM_E_FORMAT, "\x18\x00"),         /* stdin_end = false */
        CASE('i', MVM_E_FORMAT, "\x18\x01\x20\x09"), /* two members */
        CASE('i', 0, "\x18\x01\x78\x09"),            /* a member of a newer schema beside */
        CASE('i', MVM_E_FORMAT, "\x78\x09"),         /* one alone */
        CASE('i', 0, "\x20\x40"),                    /* signal 64 */
        CASE('i', MVM_E_FORMAT, "\x20\x41"),         /* signal 65 */
        CASE('i', MVM_E_FORMAT, "\x22\x01\x01"),     /* signal as bytes */
        CASE('i', MVM_E_FORMAT, "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* no varint */
        CASE('i', 0, "\x2a\x04\x08\xff\xff\x03"), /* 65535 rows */
        CASE('i', MVM_E_FORMAT, "\x2a\x04\x08\x80\x80\x04"),
        CASE('i', MVM_E_FORMAT, "\x28\x01"),      /* a number for the size */
        CASE('i', 0, "\x32\x04\x08\x02\x10\x01"), /* a window */
        CASE('i', MVM_E_FORMAT, "\x32\x04\x08\x03\x10\x01"),
        CASE('i', MVM_E_FORMAT, "\x32\x02\x10\x01"),     /* of no stream */
        CASE('i', MVM_E_FORMAT, "\x32\x02\x08\x01"),     /* of no byte */
        CASE('i', MVM_E_FORMAT, "\x38\x03"),             /* output_closed 3 */
        CASE('i', 0, "\x0a\x00"),                        /* start of nothing: the main program */
        CASE('i', MVM_E_FORMAT, "\x0a\x03\x0a\x01\xff"), /* a word that is no UTF-8 */
        CASE('i', MVM_E_FORMAT, "\x0a\x03\x0a\x01\0"),   /* a word with NUL */
        CASE('i', MVM_E_FORMAT, "\x0a\x02\x08\x01"),     /* a number for a word */
        CASE('i', MVM_E_FORMAT,
             "\x0a\x03\x12\x01"
             "A"), /* an environment without '=' */
        CASE('i', MVM_E_FORMAT, "\x0a\x04\x12\x02=A"),
        CASE('i', MVM_E_FORMAT, "\x0a\x03\x1a\x01\xff"),     /* a cwd that is no UTF-8 */
        CASE('i', MVM_E_FORMAT, "\x0a\x04\x38\x80\x80\x04"), /* 65536 rows */
        CASE('i', MVM_E_FORMAT,
             "\x0a\x7f\x0a\x01"
             "a"), /* longer than the message */
        CASE('i', MVM_E_FORMAT, "\x12\xff\xff\xff\xff\x07"),
        CASE('o', MVM_E_FORMAT, ""),
        CASE('o', MVM_E_FORMAT, "\x20\x00"), /* a grant of nothing */
        CASE('o', MVM_E_FORMAT,
             "\x12\x01"
             "a"
             "\x1a\x01"
             "b"), /* both streams */
        CASE('o', 0,
             "\x12\x01"
             "a"
             "\x12\x01"
             "b"),                                       /* one twice: the last */
        CASE('o', 0, "\x2a\x03\x08\xff\x01"),            /* status 255 */
        CASE('o', MVM_E_FORMAT, "\x2a\x03\x08\x80\x02"), /* status 256 */
        CASE('o', MVM_E_FORMAT, "\x2a\x02\x10\x41"),     /* signal 65 */
        CASE('o', MVM_E_FORMAT, "\x0a\x03\x08\x01"),     /* cut */
        CASE('r', MVM_E_FORMAT, "\x0a\x03\x08\x80\x02"),
        CASE('t', MVM_E_FORMAT, ""),
        CASE('t', MVM_E_FORMAT, "\x0a\x00"),                           /* a file of no type */
        CASE('t', 0, "\x0a\x04\x10\xa4\x83\x02"),                      /* 0100644 */
        CASE('t', MVM_E_FORMAT, "\x0a\x04\x10\xa4\x83\x06"),           /* a bit above */
        CASE('t', MVM_E_FORMAT, "\x0a\x04\x10\xa4\xe3\x02"),           /* a type that is none */
        CASE('t', MVM_E_FORMAT, "\x0a\x07\x10\xa4\x83\x02\x0a\x01\0"), /* a name with NUL */
        CASE('t', MVM_E_FORMAT,
             "\x0a\x0f\x10\xa4\x83\x02\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        CASE('w', MVM_E_FORMAT, "\x0a\x00"), /* a target without path */
        CASE('w', MVM_E_FORMAT,
             "\x0a\x03\x0a\x01"
             "a"), /* a relative one */
        CASE('w', 0, "\x0a\x03\x0a\x01/"),
        CASE('w', MVM_E_FORMAT, "\x0a\x03\x0a\x01/\x1a\x00"),
        CASE('h', MVM_E_FORMAT, "\x12\x01\xff"),
        CASE('p', MVM_E_FORMAT, ""),
        CASE('p', MVM_E_FORMAT,
             "\x0a\x01"
             "a"),
        CASE('p', MVM_E_FORMAT, "\x0a\x02/\0"),
#undef CASE
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int r = decode(cases[i].kind, cases[i].bytes, cases[i].len);

        if (r != cases[i].result)
            fail_msg("case %zu of kind %c: %d, not %d", i, cases[i].kind, r, cases[i].result);
    }
}

/* What a field of @len bytes gives whose tags are @prefix (inner first). */
static int decode_long(char kind, const char *outer, const char *inner, size_t len)
{
    mvm_autofree char *filler = malloc(len);
    mvm_autovalue(strbuf) field = STRBUF_INIT(AGENT_FRAME_MAX);
    mvm_autovalue(strbuf) whole = STRBUF_INIT(AGENT_FRAME_MAX);
    struct strbuf *last = &field;

    assert_non_null(filler);
    memset(filler, '/', len);
    strbuf_adds(&field, inner);
    for (size_t left = len;; left >>= 7) {
        strbuf_addc(&field, (char) ((left & 0x7f) | (left > 0x7f ? 0x80 : 0)));
        if (left <= 0x7f)
            break;
    }
    strbuf_add(&field, filler, len);
    if (outer) {
        strbuf_adds(&whole, outer);
        for (size_t left = field.len;; left >>= 7) {
            strbuf_addc(&whole, (char) ((left & 0x7f) | (left > 0x7f ? 0x80 : 0)));
            if (left <= 0x7f)
                break;
        }
        strbuf_add(&whole, field.data, field.len);
        last = &whole;
    }
    return decode(kind, last->data, last->len);
}

static void decoders_hold_to_their_maxima(void **state)
{
    (void) state;
    static const struct {
        char kind;
        const char *outer, *inner;
        size_t max;
    } cases[] = {
        { 'i', NULL, "\x12", AGENT_DATA_MAX },
        { 'o', NULL, "\x12", AGENT_DATA_MAX },
        { 'o', NULL, "\x1a", AGENT_DATA_MAX },
        { 't', NULL, "\x12", AGENT_DATA_MAX },
        { 'w', NULL, "\x1a", AGENT_DATA_MAX },
        { 'i', "\x0a", "\x1a", AGENT_PATH_MAX - 1 },
        { 'i', "\x0a", "\x22", AGENT_USER_MAX },
        { 't', "\x0a", "\x10\xa4\x83\x02\x0a", AGENT_PATH_MAX - 1 },
        { 't', "\x0a", "\x10\xa4\x83\x02\x3a", AGENT_PATH_MAX - 1 },
        { 'w', "\x0a", "\x0a", AGENT_PATH_MAX - 1 },
        { 'h', NULL, "\x12", AGENT_VERSION_MAX },
        { 'p', NULL, "\x0a", AGENT_PATH_MAX - 1 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int at = decode_long(cases[i].kind, cases[i].outer, cases[i].inner, cases[i].max);
        int above = decode_long(cases[i].kind, cases[i].outer, cases[i].inner, cases[i].max + 1);

        if (at != 0 || above != MVM_E_LIMIT)
            fail_msg("case %zu: %d at the maximum, %d above", i, at, above);
    }
}

static void words_are_counted(void **state)
{
    (void) state;
    for (size_t n = AGENT_WORDS_MAX; n <= AGENT_WORDS_MAX + 1; n++) {
        mvm_autovalue(agent_input) m = { .kind = AGENT_INPUT_START };
        mvm_autovalue(agent_input) back = { .number = 0 };
        mvm_error *err = NULL;
        int r;
        BUF(buf);

        for (size_t i = 0; i < n; i++)
            assert_int_equal(strv_add(&m.start.argv, "x"), 0);
        agent_input_encode(&m, &buf);
        r = agent_input_decode(BYTES(&buf), &back, &err);
        assert_int_equal(r, n > AGENT_WORDS_MAX ? MVM_E_LIMIT : 0);
        if (r < 0)
            assert_string_equal(mvm_error_message(err), "ExecInput: too many words");
        mvm_error_free(err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoders_refuse_what_is_malformed),
        cmocka_unit_test(decoders_hold_to_their_maxima),
        cmocka_unit_test(words_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
