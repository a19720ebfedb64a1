/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ttrpc.h"
#include "agent/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX 100u

static struct bytes_view text_view(const char *text)
{
    return bytes_view_of_text(text);
}

static void assert_view(struct bytes_view v, const char *text)
{
    assert_int_equal(v.len, strlen(text));
    assert_memory_equal(v.data, text, v.len);
}

/* Takes the only frame of @buf. */
static struct bytes_view only_frame(const struct strbuf *buf, struct ttrpc_header *h)
{
    assert_int_equal(buf->failed, 0);
    assert_true(buf->len >= TTRPC_HEADER_SIZE);
    *h = ttrpc_header_get((const uint8_t *) buf->data);
    assert_int_equal(h->len, buf->len - TTRPC_HEADER_SIZE);
    return bytes_view_of(buf->data + TTRPC_HEADER_SIZE, h->len);
}

static void header_is_big_endian(void **state)
{
    (void) state;
    static const uint8_t bytes[] = { 0, 1, 2, 3, 0x80, 5, 6, 7, 3, 4 };
    struct ttrpc_header h = ttrpc_header_get(bytes);
    uint8_t back[TTRPC_HEADER_SIZE];

    assert_int_equal(h.len, 0x010203);
    assert_int_equal(h.stream, 0x80050607);
    assert_int_equal(h.type, TTRPC_DATA);
    assert_int_equal(h.flags, TTRPC_NO_DATA);
    ttrpc_header_put(&h, back);
    assert_memory_equal(back, bytes, sizeof(back));
}

static void request_decode_undoes_frame(void **state)
{
    (void) state;
    mvm_autovalue(strbuf) buf = STRBUF_INIT(65536);
    struct ttrpc_request m = { .service = text_view("svc"),
                               .method = text_view("Méthode"),
                               .payload = bytes_view_of("a\0b", 3),
                               .timeout_ns = INT64_MAX,
                               .metadata = { { text_view("k"), text_view("v") },
                                             { text_view("k"), text_view("") } },
                               .n_metadata = 2 },
                         back;
    struct ttrpc_header h;
    struct bytes_view payload;

    ttrpc_request_frame(&m, 7, TTRPC_REMOTE_OPEN, &buf);
    payload = only_frame(&buf, &h);
    assert_int_equal(h.stream, 7);
    assert_int_equal(h.type, TTRPC_REQUEST);
    assert_int_equal(h.flags, TTRPC_REMOTE_OPEN);
    assert_int_equal(ttrpc_request_decode(payload.data, payload.len, &back, NULL), 0);
    assert_view(back.service, "svc");
    assert_view(back.method, "Méthode");
    assert_int_equal(back.payload.len, 3);
    assert_memory_equal(back.payload.data, "a\0b", 3);
    assert_true(back.payload.data > payload.data &&
                back.payload.data < payload.data + payload.len); /* borrowed */
    assert_int_equal(back.timeout_ns, INT64_MAX);
    assert_int_equal(back.n_metadata, 2);
    assert_view(back.metadata[1].key, "k");
    assert_view(back.metadata[1].value, "");
}

static void response_decode_undoes_frame(void **state)
{
    (void) state;
    static const struct ttrpc_response cases[] = {
        { .code = TTRPC_OK, .payload = { (const uint8_t *) "xy", 2 } },
        { .code = TTRPC_NOT_FOUND, .message = { (const uint8_t *) "no such file", 12 } },
        { .code = -5, .message = { (const uint8_t *) "\xff\0\n", 3 } },
    };
    struct ttrpc_response back;
    struct ttrpc_header h;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(strbuf) buf = STRBUF_INIT(1024);
        struct bytes_view payload;

        ttrpc_response_frame(&cases[i], 9, &buf);
        payload = only_frame(&buf, &h);
        assert_int_equal(h.type, TTRPC_RESPONSE);
        assert_int_equal(ttrpc_response_decode(payload.data, payload.len, &back, NULL), 0);
        assert_int_equal(back.code, cases[i].code);
        assert_int_equal(back.message.len, cases[i].message.len);
        assert_int_equal(back.payload.len, cases[i].payload.len);
    }
}

/* The bytes that containerd/ttrpc 1.1 in Go sends for a request of "a"/"B", and for a response. */
static void envelopes_are_those_of_ttrpc(void **state)
{
    (void) state;
    static const uint8_t request[] = { 0x0a, 1,    'a',  0x12, 1,    'B', 0x1a, 2,    0xff, 0x00,
                                       0x20, 0x64, 0x2a, 6,    0x0a, 1,   'k',  0x12, 1,    'v' };
    static const uint8_t response[] = { 0x0a, 6, 0x08, 0x05, 0x12, 2, 'n', 'o', 0x12, 1, 'p' };
    mvm_autovalue(strbuf) buf = STRBUF_INIT(1024);
    struct ttrpc_request m;
    struct ttrpc_response r;

    assert_int_equal(ttrpc_request_decode(request, sizeof(request), &m, NULL), 0);
    assert_int_equal(m.timeout_ns, 100);
    assert_view(m.metadata[0].value, "v");
    ttrpc_request_frame(&m, 1, 0, &buf);
    assert_int_equal(buf.len, TTRPC_HEADER_SIZE + sizeof(request));
    assert_memory_equal(buf.data + TTRPC_HEADER_SIZE, request, sizeof(request));
    assert_int_equal(ttrpc_response_decode(response, sizeof(response), &r, NULL), 0);
    assert_int_equal(r.code, TTRPC_NOT_FOUND);
    assert_view(r.message, "no");
    assert_view(r.payload, "p");
}

static int decode_request(const char *bytes, size_t len)
{
    /* A buffer of its own, so that a read beyond it is seen. */
    mvm_autofree uint8_t *copy = malloc(len ? len : 1);
    struct ttrpc_request m = { .timeout_ns = 42 };
    int r;

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    r = ttrpc_request_decode(copy, len, &m, NULL);
    if (r < 0)
        assert_int_equal(m.timeout_ns, 42); /* untouched */
    return r;
}
#define DECODE_REQUEST(bytes) decode_request((bytes), sizeof(bytes) - 1)
#define NAMES "\x0a\x01s\x12\x01m"

static void request_refuses_what_is_malformed(void **state)
{
    (void) state;
    static const char whole[] = NAMES "\x1a\x02xy\x2a\x06\x0a\x01k\x12\x01v";

    assert_int_equal(DECODE_REQUEST(whole), 0);
    /* Cut anywhere within its last two fields; the names alone would be a request. */
    for (size_t i = 0; i < sizeof(whole) - 1; i++)
        if (i != 6 && i != 10)
            assert_int_equal(decode_request(whole, i), MVM_E_FORMAT);
    assert_int_equal(DECODE_REQUEST(""), MVM_E_FORMAT); /* no names */
    assert_int_equal(DECODE_REQUEST("\x0a\x01s\x12\x00"), MVM_E_FORMAT);
    assert_int_equal(DECODE_REQUEST("\x0a\x01\xff\x12\x01m"), MVM_E_FORMAT); /* no UTF-8 */
    assert_int_equal(DECODE_REQUEST("\x0a\x01\0\x12\x01m"), MVM_E_FORMAT);   /* NUL */
    assert_int_equal(DECODE_REQUEST("\x08\x01" NAMES), MVM_E_FORMAT);     /* a varint for a name */
    assert_int_equal(DECODE_REQUEST("\x0d\1\2\3\4" NAMES), MVM_E_FORMAT); /* 32 bits for one */
    assert_int_equal(DECODE_REQUEST(NAMES "\x22\x01\x01"), MVM_E_FORMAT); /* bytes for a number */
    assert_int_equal(DECODE_REQUEST(NAMES "\x28\x01"), MVM_E_FORMAT); /* a varint for metadata */
    assert_int_equal(DECODE_REQUEST(NAMES "\x2a\x02\x0a\x05"),
                     MVM_E_FORMAT); /* beyond its parent */
    assert_int_equal(DECODE_REQUEST(NAMES "\x2a\x03\x0a\x01\xff"), MVM_E_FORMAT);
    assert_int_equal(DECODE_REQUEST(NAMES "\x1a\xff\xff\xff\xff\x0f"), MVM_E_FORMAT); /* 4 GiB */
    assert_int_equal(DECODE_REQUEST(NAMES "\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                     MVM_E_FORMAT);
    assert_int_equal(DECODE_REQUEST(NAMES "\x33"), MVM_E_FORMAT); /* a group */
    /* -1 ns */
    assert_int_equal(DECODE_REQUEST(NAMES "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                     MVM_E_FORMAT);
}

static void request_ignores_unknown_fields_and_takes_the_last_of_several(void **state)
{
    (void) state;
    static const uint8_t bytes[] = NAMES "\x82\x01\x03xyz\x88\x01\x07\x0a\x01t\x95\x01\1\2\3\4"
                                         "\x99\x01\1\2\3\4\5\6\7\x08";
    struct ttrpc_request m;

    assert_int_equal(ttrpc_request_decode(bytes, sizeof(bytes) - 1, &m, NULL), 0);
    assert_view(m.service, "t");
}

static void request_bounds_names_and_metadata(void **state)
{
    (void) state;
    static char name[TTRPC_NAME_MAX + 2];

    for (size_t len = TTRPC_NAME_MAX; len <= TTRPC_NAME_MAX + 1; len++) {
        mvm_autovalue(strbuf) buf = STRBUF_INIT(65536);
        struct ttrpc_request m = { .service = text_view("s"), .method = text_view(name) }, back;

        memset(name, 'x', len);
        m.method.len = len;
        ttrpc_request_frame(&m, 1, 0, &buf);
        assert_int_equal(ttrpc_request_decode((uint8_t *) buf.data + TTRPC_HEADER_SIZE,
                                              buf.len - TTRPC_HEADER_SIZE, &back, NULL),
                         len > TTRPC_NAME_MAX ? MVM_E_FORMAT : 0);
    }
    for (size_t n = TTRPC_METADATA_MAX; n <= TTRPC_METADATA_MAX + 1; n++) {
        mvm_autovalue(strbuf) buf = STRBUF_INIT(65536);

        strbuf_add(&buf, NAMES, 6);
        for (size_t i = 0; i < n; i++)
            strbuf_add(&buf, "\x2a\x03\x0a\x01k", 5);
        assert_int_equal(decode_request(buf.data, buf.len),
                         n > TTRPC_METADATA_MAX ? MVM_E_LIMIT : 0);
    }
}

static void frame_longer_than_ttrpc_allows_is_not_made(void **state)
{
    (void) state;
    mvm_autofree uint8_t *big = calloc(1, TTRPC_FRAME_MAX + 1);
    mvm_autovalue(strbuf) buf = STRBUF_INIT(2 * TTRPC_FRAME_MAX + 100);

    assert_non_null(big);
    ttrpc_data_frame(bytes_view_of("x", 1), 1, 0, &buf);
    ttrpc_data_frame(bytes_view_of(big, TTRPC_FRAME_MAX), 1, 0, &buf);
    assert_int_equal(buf.failed, 0);
    strbuf_reset(&buf);
    ttrpc_data_frame(bytes_view_of("x", 1), 1, 0, &buf);
    ttrpc_data_frame(bytes_view_of(big, TTRPC_FRAME_MAX + 1), 1, 0, &buf);
    assert_int_equal(buf.failed, MVM_E_LIMIT);
    assert_int_equal(buf.len, TTRPC_HEADER_SIZE + 1); /* the frame before is whole */
}

static void feed(struct ttrpc_parser *p, const void *data, size_t len)
{
    size_t room = 0;
    uint8_t *at = ttrpc_parser_room(p, &room);

    assert_non_null(at);
    assert_true(room >= len);
    if (len > 0)
        memcpy(at, data, len);
    ttrpc_parser_filled(p, len);
}

static void parser_takes_frames_from_pieces_of_any_size(void **state)
{
    (void) state;
    mvm_autovalue(strbuf) stream = STRBUF_INIT(65536);
    char payload[MAX];

    memset(payload, 'p', sizeof(payload));
    for (unsigned i = 0; i < 8; i++)
        ttrpc_data_frame(bytes_view_of(payload, i * 14), i, (uint8_t) i, &stream);
    for (size_t piece = 1; piece < 40; piece++) {
        struct ttrpc_parser p;
        struct ttrpc_header h;
        struct bytes_view v;
        unsigned seen = 0;

        ttrpc_parser_init(&p, MAX);
        for (size_t at = 0; at < stream.len; at += piece) {
            feed(&p, stream.data + at, piece < stream.len - at ? piece : stream.len - at);
            for (; ttrpc_parser_next(&p, &h, &v, NULL) == 1; seen++) {
                assert_int_equal(h.stream, seen);
                assert_int_equal(v.len, seen * 14);
                assert_memory_equal(v.data, payload, v.len);
            }
        }
        assert_int_equal(seen, 8);
        ttrpc_parser_deinit(&p);
        ttrpc_parser_deinit(&p);
    }
}

static void parser_skips_a_frame_above_its_maximum_and_goes_on(void **state)
{
    (void) state;
    mvm_autovalue(strbuf) stream = STRBUF_INIT(65536);
    char big[MAX + 1] = "";
    mvm_error *err = NULL;
    struct ttrpc_parser p;
    struct ttrpc_header h;
    struct bytes_view v;
    int limits = 0, frames = 0, r;

    ttrpc_data_frame(bytes_view_of(big, MAX), 1, 0, &stream);
    ttrpc_data_frame(bytes_view_of(big, MAX + 1), 3, 0, &stream);
    ttrpc_data_frame(bytes_view_of(big, 1), 5, 0, &stream);
    ttrpc_parser_init(&p, MAX);
    for (size_t i = 0; i < stream.len; i++) {
        feed(&p, stream.data + i, 1);
        while ((r = ttrpc_parser_next(&p, &h, &v, &err)) != 0) {
            limits += r == MVM_E_LIMIT;
            frames += r == 1;
            assert_int_equal(h.stream, r == MVM_E_LIMIT ? 3 : frames == 1 ? 1 : 5);
        }
    }
    assert_int_equal(limits, 1);
    assert_int_equal(frames, 2);
    assert_string_equal(mvm_error_message(err), "ttrpc frame of 101 bytes, at most 100");
    mvm_error_free(err);
    ttrpc_parser_deinit(&p);
}

static void parser_holds_little_of_a_huge_frame(void **state)
{
    (void) state;
    static const uint8_t huge[TTRPC_HEADER_SIZE] = { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 3, 0 };
    static const uint8_t zeros[16384];
    struct ttrpc_parser p;
    struct ttrpc_header h;
    struct bytes_view v;

    ttrpc_parser_init(&p, MAX);
    feed(&p, huge, sizeof(huge));
    assert_int_equal(ttrpc_parser_next(&p, &h, &v, NULL), MVM_E_LIMIT);
    for (int i = 0; i < 100; i++) {
        feed(&p, zeros, sizeof(zeros));
        assert_int_equal(ttrpc_parser_next(&p, &h, &v, NULL), 0);
    }
    assert_true(p.in.cap < 65536);
    ttrpc_parser_deinit(&p);
}

static void parser_refuses_an_unknown_type(void **state)
{
    (void) state;
    static const uint8_t types[] = { 0, 4, 255 };

    for (size_t i = 0; i < sizeof(types); i++) {
        uint8_t frame[TTRPC_HEADER_SIZE] = { [8] = types[i] };
        mvm_error *err = NULL;
        struct ttrpc_parser p;
        struct ttrpc_header h;
        struct bytes_view v;

        ttrpc_parser_init(&p, MAX);
        feed(&p, frame, sizeof(frame));
        assert_int_equal(ttrpc_parser_next(&p, &h, &v, &err), MVM_E_FORMAT);
        assert_non_null(strstr(mvm_error_message(err), "no ttrpc: frame of type"));
        mvm_error_free(err);
        ttrpc_parser_deinit(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_is_big_endian),
        cmocka_unit_test(request_decode_undoes_frame),
        cmocka_unit_test(response_decode_undoes_frame),
        cmocka_unit_test(envelopes_are_those_of_ttrpc),
        cmocka_unit_test(request_refuses_what_is_malformed),
        cmocka_unit_test(request_ignores_unknown_fields_and_takes_the_last_of_several),
        cmocka_unit_test(request_bounds_names_and_metadata),
        cmocka_unit_test(frame_longer_than_ttrpc_allows_is_not_made),
        cmocka_unit_test(parser_takes_frames_from_pieces_of_any_size),
        cmocka_unit_test(parser_skips_a_frame_above_its_maximum_and_goes_on),
        cmocka_unit_test(parser_holds_little_of_a_huge_frame),
        cmocka_unit_test(parser_refuses_an_unknown_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
