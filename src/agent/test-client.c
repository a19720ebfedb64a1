/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/test-server.h"

struct fixture {
    struct loop *loop;
    struct test_server server;
    struct agent_client *client;
    bool closed;
    int closed_code;
    /* What the server saw. */
    unsigned requests;
    uint32_t stream;
    uint8_t flags;
    int64_t timeout_ns;
    char method[32];
    size_t data_frames, data_bytes;
    uint8_t data_flags;
};

/* What one call saw. */
struct seen {
    struct fixture *f;
    bool ended;
    int r;
    char text[1200], payload[64];
    size_t messages, room;
    char last[64];
    int refuse; /* what "message" gives */
    bool free_client;
};

static void on_closed(void *user, const mvm_error *err)
{
    struct fixture *f = user;

    assert_false(f->closed);
    f->closed = true;
    f->closed_code = mvm_error_code(err);
}

static void note_request(struct test_server *s, const struct ttrpc_header *h,
                         const struct ttrpc_request *m)
{
    struct fixture *f = s->user;

    f->requests++;
    f->stream = h->stream;
    f->flags = h->flags;
    f->timeout_ns = m->timeout_ns;
    (void) snprintf(f->method, sizeof(f->method), "%.*s", (int) m->method.len,
                    (const char *) m->method.data);
}

static void note_data(struct test_server *s, const struct ttrpc_header *h,
                      struct bytes_view payload)
{
    struct fixture *f = s->user;

    assert_int_equal(h->stream, f->stream);
    f->data_frames++;
    f->data_bytes += payload.len;
    f->data_flags = h->flags;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int fd;

    assert_non_null(f);
    assert_int_equal(loop_new(&f->loop, NULL), 0);
    fd = test_server_start(&f->server, f->loop);
    f->server.request = note_request;
    f->server.data = note_data;
    f->server.user = f;
    assert_int_equal(agent_client_new(f->loop, fd, on_closed, f, &f->client, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    agent_client_free(f->client);
    test_server_stop(&f->server);
    loop_free(f->loop);
    free(f);
    return 0;
}

static int on_message(void *user, struct bytes_view message, mvm_error **err)
{
    struct seen *s = user;

    s->messages++;
    (void) snprintf(s->last, sizeof(s->last), "%.*s", (int) message.len,
                    (const char *) message.data);
    if (s->free_client) {
        agent_client_free(s->f->client);
        s->f->client = NULL;
    }
    return s->refuse ? mvm_fail(err, s->refuse, 0, "no use for '%s'", s->last) : 0;
}

static void on_room(void *user)
{
    struct seen *s = user;

    s->room++;
}

static void on_ended(void *user, int r, struct bytes_view payload, const mvm_error *err)
{
    struct seen *s = user;

    assert_false(s->ended);
    assert_int_equal(r, mvm_error_code(err));
    s->ended = true;
    s->r = r;
    (void) snprintf(s->text, sizeof(s->text), "%s", mvm_error_message(err));
    (void) snprintf(s->payload, sizeof(s->payload), "%.*s", (int) payload.len,
                    payload.data ? (const char *) payload.data : "");
    if (s->free_client) {
        agent_client_free(s->f->client);
        s->f->client = NULL;
    }
}

static const struct agent_call_handler handler = { .message = on_message,
                                                   .room = on_room,
                                                   .ended = on_ended };

static struct agent_call *start(struct fixture *f, struct seen *s, enum agent_streams streams,
                                int timeout_ms)
{
    const struct agent_call_spec spec = { .method = "Method",
                                          .payload = bytes_view_of("req", 3),
                                          .streams = streams,
                                          .timeout_ms = timeout_ms,
                                          .handler = &handler,
                                          .user = s };
    struct agent_call *call = NULL;

    s->f = f;
    assert_int_equal(agent_call_start(f->client, &spec, &call, NULL), 0);
    test_run_ready(f->loop);
    return call;
}

static void unary_call_gives_its_response(void **state)
{
    struct fixture *f = *state;
    struct seen s = { .r = 1 };

    (void) start(f, &s, AGENT_STREAMS_NONE, 1500);
    assert_int_equal(f->requests, 1);
    assert_int_equal(f->stream, 1);
    assert_int_equal(f->flags, 0);
    assert_string_equal(f->method, "Method");
    assert_true(f->timeout_ns == INT64_C(1500000000));
    test_server_respond(&f->server, f->stream, 0, bytes_view_of("answer", 6));
    test_run_until(f->loop, &s.ended);
    assert_int_equal(s.r, 0);
    assert_string_equal(s.payload, "answer");
}

static void calls_are_answered_in_any_order(void **state)
{
    struct fixture *f = *state;
    struct seen s[3] = { { .r = 1 } };
    uint32_t streams[3];

    for (int i = 0; i < 3; i++) {
        (void) start(f, &s[i], AGENT_STREAMS_NONE, 0);
        streams[i] = f->stream;
        assert_int_equal(f->stream, 1 + 2 * i);
    }
    for (int i = 2; i >= 0; i--) {
        test_server_respond(&f->server, streams[i], 0, bytes_view_of(&"012"[i], 1));
        test_run_until(f->loop, &s[i].ended);
        assert_int_equal(s[i].payload[0], '0' + i);
    }
    assert_false(f->closed);
}

static void statuses_become_codes_and_their_text_is_escaped(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int32_t status;
        int code;
    } cases[] = { { TTRPC_NOT_FOUND, MVM_E_NOT_FOUND },
                  { TTRPC_PERMISSION_DENIED, MVM_E_CHILD },
                  { TTRPC_DEADLINE_EXCEEDED, MVM_E_TIMEOUT },
                  { TTRPC_UNIMPLEMENTED, MVM_E_UNSUPPORTED },
                  { TTRPC_INVALID_ARGUMENT, MVM_E_ARG },
                  { TTRPC_ALREADY_EXISTS, MVM_E_EXISTS },
                  { TTRPC_RESOURCE_EXHAUSTED, MVM_E_LIMIT },
                  { TTRPC_FAILED_PRECONDITION, MVM_E_STATE },
                  { TTRPC_UNAVAILABLE, MVM_E_NET },
                  { TTRPC_INTERNAL, MVM_E_GUEST },
                  { -1, MVM_E_GUEST },
                  { INT32_MAX, MVM_E_GUEST } };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct seen s = { .r = 1 };

        (void) start(f, &s, AGENT_STREAMS_NONE, 0);
        test_server_respond(&f->server, f->stream, cases[i].status,
                            bytes_view_of("n\x1b[2J\xff", 6));
        test_run_until(f->loop, &s.ended);
        assert_int_equal(s.r, cases[i].code);
        assert_string_equal(s.text, "n\\x1b[2J\\xff");
    }
}

static void status_without_text_names_its_number(void **state)
{
    struct fixture *f = *state;
    struct seen s = { .r = 1 };

    (void) start(f, &s, AGENT_STREAMS_NONE, 0);
    test_server_respond(&f->server, f->stream, 13, (struct bytes_view){ .len = 0 });
    test_run_until(f->loop, &s.ended);
    assert_string_equal(s.text, "the guest's agent answered with status 13");
}

static void streaming_call_passes_messages_both_ways(void **state)
{
    struct fixture *f = *state;
    struct seen s = { .r = 1 };
    struct agent_call *call = start(f, &s, AGENT_STREAMS_BOTH, 0);

    assert_int_equal(f->flags, TTRPC_REMOTE_OPEN);
    assert_int_equal(agent_call_send(call, bytes_view_of("one", 3), NULL), 0);
    assert_int_equal(agent_call_send(call, bytes_view_of("", 0), NULL), 0);
    test_run_ready(f->loop);
    assert_int_equal(f->data_frames, 2);
    assert_int_equal(f->data_bytes, 3);
    test_server_send(&f->server, f->stream, 0, bytes_view_of("first", 5));
    test_server_send(&f->server, f->stream, TTRPC_NO_DATA, bytes_view_of("", 0));
    test_server_send(&f->server, f->stream, 0, bytes_view_of("", 0)); /* an empty message is one */
    test_server_send(&f->server, f->stream, TTRPC_REMOTE_CLOSED, bytes_view_of("last", 4));
    test_run_ready(f->loop);
    assert_int_equal(s.messages, 3);
    assert_string_equal(s.last, "last");
    assert_int_equal(agent_call_close(call, NULL), 0);
    assert_int_equal(agent_call_close(call, NULL), 0);
    assert_int_equal(agent_call_send(call, bytes_view_of("x", 1), NULL), MVM_E_STATE);
    test_run_ready(f->loop);
    assert_int_equal(f->data_flags, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    assert_int_equal(f->data_frames, 3);
    test_server_respond(&f->server, f->stream, 0, bytes_view_of("end", 3));
    test_run_until(f->loop, &s.ended);
    assert_int_equal(s.r, 0);
    assert_string_equal(s.payload, "end");
}

static void server_stream_says_that_nothing_follows(void **state)
{
    struct fixture *f = *state;
    struct seen s = { .r = 1 };
    struct agent_call *call = start(f, &s, AGENT_STREAMS_SERVER, 0);

    assert_int_equal(f->flags, TTRPC_REMOTE_CLOSED);
    assert_int_equal(agent_call_send(call, bytes_view_of("x", 1), NULL), MVM_E_STATE);
    test_server_send(&f->server, f->stream, 0, bytes_view_of("m", 1));
    test_server_respond(&f->server, f->stream, 0, bytes_view_of("", 0));
    test_run_until(f->loop, &s.ended);
    assert_int_equal(s.messages, 1);
}

static void back_pressure_is_told_and_bounded(void **state)
{
    struct fixture *f = *state;
    static const uint8_t chunk[65536];
    struct seen s = { .r = 1 };
    struct agent_call *call = start(f, &s, AGENT_STREAMS_BOTH, 0);
    size_t sent = 0;
    int r = 0;

    f->server.deaf = true;
    test_server_watch(&f->server);
    while (agent_call_has_room(call)) {
        assert_int_equal(agent_call_send(call, bytes_view_of(chunk, sizeof(chunk)), NULL), 0);
        sent += sizeof(chunk);
    }
    assert_in_range(sent, AGENT_SEND_HIGH, 4 * AGENT_SEND_HIGH);
    /* What does not ask is taken up to the hard limit, frame by frame. */
    for (int i = 0; i < 100 && r == 0; i++) {
        r = agent_call_send(call, bytes_view_of(chunk, sizeof(chunk)), NULL);
        sent += r == 0 ? sizeof(chunk) : 0;
    }
    assert_int_equal(r, MVM_E_BUSY);
    assert_in_range(sent, AGENT_SEND_MAX - sizeof(chunk), AGENT_SEND_MAX + (1u << 20));
    assert_int_equal(s.room, 0);
    f->server.deaf = false;
    test_server_watch(&f->server);
    for (int i = 0; i < 10000 && (f->data_bytes < sent || s.room == 0); i++)
        assert_int_equal(loop_run_once(f->loop, 1, NULL), 0);
    assert_int_equal(f->data_bytes, sent); /* whole frames, none lost */
    assert_int_equal(s.room, 1);
    assert_true(agent_call_has_room(call));
}

static void over_long_messages_are_refused_before_they_are_sent(void **state)
{
    struct fixture *f = *state;
    static uint8_t big[AGENT_FRAME_MAX + 1];
    struct agent_call_spec spec = { .method = "M",
                                    .payload = bytes_view_of(big, sizeof(big)),
                                    .handler = &handler };
    struct seen s = { .r = 1 };
    struct agent_call *call = NULL;

    assert_int_equal(agent_call_start(f->client, &spec, &call, NULL), MVM_E_LIMIT);
    assert_null(call);
    call = start(f, &s, AGENT_STREAMS_BOTH, 0);
    assert_int_equal(agent_call_send(call, bytes_view_of(big, AGENT_FRAME_MAX), NULL), 0);
    assert_int_equal(agent_call_send(call, bytes_view_of(big, sizeof(big)), NULL), MVM_E_LIMIT);
}

static void calls_are_counted(void **state)
{
    struct fixture *f = *state;
    const struct agent_call_spec spec = { .method = "M", .handler = &handler };
    struct agent_call *call = NULL;

    for (int i = 0; i < AGENT_CALLS_MAX; i++)
        assert_int_equal(agent_call_start(f->client, &spec, &call, NULL), 0);
    assert_int_equal(agent_call_start(f->client, &spec, &call, NULL), MVM_E_LIMIT);
    agent_call_cancel(call);
    assert_int_equal(agent_call_start(f->client, &spec, &call, NULL), 0);
}

static void silent_guest_is_given_up_and_its_late_answer_dropped(void **state)
{
    struct fixture *f = *state;
    struct seen late = { .r = 1 }, next = { .r = 1 };
    uint64_t began = clock_now_ms();

    (void) start(f, &late, AGENT_STREAMS_NONE, 10);
    test_run_until(f->loop, &late.ended);
    assert_int_equal(late.r, MVM_E_TIMEOUT);
    assert_in_range(clock_now_ms() - began, 10 + AGENT_DEADLINE_GRACE_MS, 9000);
    test_server_respond(&f->server, 1, 0, bytes_view_of("late", 4));
    (void) start(f, &next, AGENT_STREAMS_NONE, 0);
    test_server_respond(&f->server, f->stream, 0, bytes_view_of("next", 4));
    test_run_until(f->loop, &next.ended);
    assert_string_equal(next.payload, "next");
    assert_false(f->closed);
}

static void cancelled_call_hears_nothing_more(void **state)
{
    struct fixture *f = *state;
    struct seen s = { .r = 1 }, next = { .r = 1 };
    struct agent_call *call = start(f, &s, AGENT_STREAMS_SERVER, 0);
    uint32_t stream = f->stream;

    agent_call_cancel(call);
    test_server_send(&f->server, stream, 0, bytes_view_of("m", 1));
    test_server_respond(&f->server, stream, 0, bytes_view_of("", 0));
    (void) start(f, &next, AGENT_STREAMS_NONE, 0);
    test_server_respond(&f->server, f->stream, 0, bytes_view_of("next", 4));
    test_run_until(f->loop, &next.ended);
    assert_false(s.ended);
    assert_int_equal(s.messages, 0);
    assert_int_equal(next.r, 0);
}

static void refused_message_ends_its_call_alone(void **state)
{
    struct fixture *f = *state;
    struct seen s = { .r = 1, .refuse = MVM_E_FORMAT }, other = { .r = 1 };
    uint32_t other_stream;

    (void) start(f, &other, AGENT_STREAMS_NONE, 0);
    other_stream = f->stream;
    (void) start(f, &s, AGENT_STREAMS_SERVER, 0);
    test_server_send(&f->server, f->stream, 0, bytes_view_of("m", 1));
    test_server_send(&f->server, f->stream, 0, bytes_view_of("m", 1)); /* late by then */
    test_run_until(f->loop, &s.ended);
    assert_int_equal(s.r, MVM_E_FORMAT);
    assert_string_equal(s.text, "no use for 'm'");
    test_server_respond(&f->server, other_stream, 0, bytes_view_of("ok", 2));
    test_run_until(f->loop, &other.ended);
    assert_int_equal(other.r, 0);
    assert_int_equal(s.messages, 1);
}

static void malformed_and_over_long_answers_end_their_call_alone(void **state)
{
    struct fixture *f = *state;
    static uint8_t big[AGENT_FRAME_MAX + 1];
    struct seen bad = { .r = 1 }, longer = { .r = 1 }, good = { .r = 1 };
    uint8_t frame[TTRPC_HEADER_SIZE + 1] = { [10] = 0xff };

    (void) start(f, &bad, AGENT_STREAMS_NONE, 0);
    ttrpc_header_put(&(struct ttrpc_header){ 1, f->stream, TTRPC_RESPONSE, 0 }, frame);
    test_server_send_raw(&f->server, frame, sizeof(frame));
    test_run_until(f->loop, &bad.ended);
    assert_int_equal(bad.r, MVM_E_FORMAT);
    (void) start(f, &longer, AGENT_STREAMS_NONE, 0);
    test_server_respond(&f->server, f->stream, 0, bytes_view_of(big, sizeof(big)));
    test_run_until(f->loop, &longer.ended);
    assert_int_equal(longer.r, MVM_E_LIMIT);
    (void) start(f, &good, AGENT_STREAMS_NONE, 0);
    test_server_respond(&f->server, f->stream, 0, bytes_view_of("ok", 2));
    test_run_until(f->loop, &good.ended);
    assert_int_equal(good.r, 0);
}

/* Each ends the connection: the call gets MVM_E_NET, "closed" the reason. */
static void broken_peer_ends_the_connection(void **state)
{
    static const struct {
        struct ttrpc_header h;
        int code;
        const char *text;
        bool streams; /* the call does, and the frame comes twice */
    } cases[] = {
        { { 0, 1, 9, 0 }, MVM_E_FORMAT, "no ttrpc: frame of type 9", false },
        { { 0, 1, TTRPC_REQUEST, 0 }, MVM_E_FORMAT, "a request on stream 1 from the guest", false },
        { { 0, 3, TTRPC_RESPONSE, 0 },
          MVM_E_FORMAT,
          "a frame for stream 3, which has no call",
          false },
        { { 0, 0, TTRPC_DATA, 0 }, MVM_E_FORMAT, "a frame for stream 0, which has no call", false },
        { { 0, 1, TTRPC_DATA, 0 }, MVM_E_FORMAT, "data on stream 1, where none may come", false },
        { { 0, 1, TTRPC_DATA, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA },
          MVM_E_FORMAT,
          "data on stream 1, where none may come",
          true }, /* the guest's side had ended */
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        void *fresh = NULL;
        struct fixture *f;
        uint8_t frame[TTRPC_HEADER_SIZE];
        struct seen s = { .r = 1 };
        struct agent_call *call = NULL;
        const struct agent_call_spec spec = { .method = "M", .handler = &handler };
        mvm_error *err = NULL;

        (void) setup(&fresh);
        f = fresh;
        (void) start(f, &s, cases[i].streams ? AGENT_STREAMS_SERVER : AGENT_STREAMS_NONE, 0);
        ttrpc_header_put(&cases[i].h, frame);
        for (int n = 0; n <= cases[i].streams; n++)
            test_server_send_raw(&f->server, frame, sizeof(frame));
        test_run_until(f->loop, &f->closed);
        assert_true(s.ended);
        assert_int_equal(s.r, MVM_E_NET);
        assert_int_equal(f->closed_code, cases[i].code);
        assert_non_null(strstr(s.text, cases[i].text));
        assert_int_equal(agent_call_start(f->client, &spec, &call, &err), MVM_E_NET);
        assert_string_equal(mvm_error_message(err),
                            "the connection to the guest's agent has ended");
        mvm_error_free(err);
        (void) teardown(&fresh);
    }
}

/* As may be the answer to what we sent before we knew that the call had ended. */
static void second_response_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct seen s = { .r = 1 }, other = { .r = 1 };

    (void) start(f, &s, AGENT_STREAMS_NONE, 0);
    (void) start(f, &other, AGENT_STREAMS_NONE, 0);
    test_server_respond(&f->server, 1, 0, bytes_view_of("a", 1));
    test_server_respond(&f->server, 1, TTRPC_INVALID_ARGUMENT, bytes_view_of("b", 1));
    test_server_respond(&f->server, 3, 0, bytes_view_of("c", 1));
    test_run_until(f->loop, &other.ended);
    assert_string_equal(s.payload, "a");
    assert_string_equal(other.payload, "c");
    assert_false(f->closed);
}

static void answers_to_any_number_of_given_up_calls_are_dropped(void **state)
{
    struct fixture *f = *state;
    struct seen given_up = { .r = 1 }, next = { .r = 1 };

    for (unsigned i = 0; i < 2 * AGENT_CALLS_MAX; i++)
        agent_call_cancel(start(f, &given_up, AGENT_STREAMS_NONE, 0));
    test_server_respond(&f->server, 1, 0, bytes_view_of("late", 4));
    (void) start(f, &next, AGENT_STREAMS_NONE, 0);
    test_server_respond(&f->server, f->stream, 0, bytes_view_of("ok", 2));
    test_run_until(f->loop, &next.ended);
    assert_int_equal(next.r, 0);
    assert_false(given_up.ended);
}

static void closed_connection_ends_all_calls(void **state)
{
    struct fixture *f = *state;
    struct seen s[2] = { { .r = 1 } };

    (void) start(f, &s[0], AGENT_STREAMS_NONE, 0);
    (void) start(f, &s[1], AGENT_STREAMS_BOTH, 0);
    test_server_close(&f->server);
    test_run_until(f->loop, &f->closed);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(s[i].r, MVM_E_NET);
        assert_string_equal(s[i].text, "the connection to the guest's agent ended: the guest's "
                                       "agent closed it");
    }
    assert_int_equal(f->closed_code, MVM_E_NET);
}

static void client_may_be_freed_in_its_callbacks(void **state)
{
    struct fixture *f = *state;
    struct seen s = { .r = 1, .free_client = true }, other = { .r = 1 };

    (void) start(f, &other, AGENT_STREAMS_NONE, 0);
    (void) start(f, &s, AGENT_STREAMS_SERVER, 0);
    test_server_send(&f->server, f->stream, 0, bytes_view_of("m", 1));
    test_server_send(&f->server, f->stream, 0, bytes_view_of("m", 1));
    test_run_ready(f->loop);
    assert_null(f->client);
    assert_int_equal(s.messages, 1);
    assert_false(s.ended);
    assert_false(other.ended);
    assert_false(f->closed);
}

static void client_may_be_freed_when_the_connection_ends(void **state)
{
    struct fixture *f = *state;
    struct seen s = { .r = 1, .free_client = true }, other = { .r = 1 };

    (void) start(f, &other, AGENT_STREAMS_NONE, 0);
    (void) start(f, &s, AGENT_STREAMS_NONE, 0);
    test_server_close(&f->server);
    test_run_until(f->loop, &s.ended);
    assert_null(f->client);
    assert_false(other.ended);
    assert_false(f->closed);
}

static void answer_request(struct test_server *s, const struct ttrpc_header *h,
                           const struct ttrpc_request *m)
{
    bool fails = m->method.data[0] == 'F';

    test_server_respond(s, h->stream, fails ? TTRPC_NOT_FOUND : 0,
                        fails ? bytes_view_of("nothing", 7) : m->payload);
}

static void waiting_call_runs_the_loop(void **state)
{
    struct fixture *f = *state;
    mvm_autovalue(strbuf) response = STRBUF_INIT(AGENT_FRAME_MAX);
    mvm_error *err = NULL;

    f->server.request = answer_request;
    assert_int_equal(
        agent_client_call(f->client, "Echo", bytes_view_of("ping", 4), 1000, &response, NULL), 0);
    assert_string_equal(strbuf_str(&response), "ping");
    assert_int_equal(
        agent_client_call(f->client, "Fail", bytes_view_of("", 0), 1000, &response, &err),
        MVM_E_NOT_FOUND);
    assert_string_equal(mvm_error_message(err), "nothing");
    mvm_error_free(err);
}

int main(void)
{
#define CLIENT_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        CLIENT_TEST(unary_call_gives_its_response),
        CLIENT_TEST(calls_are_answered_in_any_order),
        CLIENT_TEST(statuses_become_codes_and_their_text_is_escaped),
        CLIENT_TEST(status_without_text_names_its_number),
        CLIENT_TEST(streaming_call_passes_messages_both_ways),
        CLIENT_TEST(server_stream_says_that_nothing_follows),
        CLIENT_TEST(back_pressure_is_told_and_bounded),
        CLIENT_TEST(over_long_messages_are_refused_before_they_are_sent),
        CLIENT_TEST(calls_are_counted),
        CLIENT_TEST(silent_guest_is_given_up_and_its_late_answer_dropped),
        CLIENT_TEST(cancelled_call_hears_nothing_more),
        CLIENT_TEST(refused_message_ends_its_call_alone),
        CLIENT_TEST(malformed_and_over_long_answers_end_their_call_alone),
        CLIENT_TEST(broken_peer_ends_the_connection),
        CLIENT_TEST(second_response_is_dropped),
        CLIENT_TEST(answers_to_any_number_of_given_up_calls_are_dropped),
        CLIENT_TEST(closed_connection_ends_all_calls),
        CLIENT_TEST(client_may_be_freed_in_its_callbacks),
        CLIENT_TEST(client_may_be_freed_when_the_connection_ends),
        CLIENT_TEST(waiting_call_runs_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
