/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/conn.h"
#include "guest/agent/test-world.h"

#include "agent/messages.h"

static const struct bytes_view nothing;

static void health_tells_what_it_is(void **state)
{
    mvm_autovalue(strbuf) payload = STRBUF_INIT(1024);
    struct agent_health m;
    struct world w;
    struct client c;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    assert_int_equal(client_call(&c, "Health", nothing, &payload), TTRPC_OK);
    assert_int_equal(agent_health_decode((uint8_t *) payload.data, payload.len, &m, NULL), 0);
    assert_int_equal(m.protocol, AGENT_PROTOCOL);
    assert_string_equal(m.version, MICROVM_VERSION);
    assert_false(m.ssh);
    assert_false(m.main_running);
    client_close(&c);
    world_close(&w);
}

static void what_is_not_there_is_unimplemented(void **state)
{
    struct world w;
    struct client c;
    uint32_t id;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    assert_int_equal(client_call(&c, "Healt", nothing, NULL), TTRPC_UNIMPLEMENTED);
    assert_int_equal(client_call(&c, "Healthy", nothing, NULL), TTRPC_UNIMPLEMENTED);
    id = client_request(&c, (struct request){ .service = "grpc.Other", .method = "Health" });
    assert_int_equal(client_response(&c, id, NULL, NULL), TTRPC_UNIMPLEMENTED);
    assert_int_equal(client_health(&c), TTRPC_OK);
    client_close(&c);
    world_close(&w);
}

static int code_of_stream(struct client *c, uint32_t stream)
{
    (void) client_request(c, (struct request){ .method = "Health", .stream = stream });
    return client_response(c, stream, NULL, NULL);
}

static void numbers_of_streams_are_odd_and_grow(void **state)
{
    struct world w;
    struct client c;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    assert_int_equal(code_of_stream(&c, 5), TTRPC_OK);
    assert_int_equal(code_of_stream(&c, 5), TTRPC_INVALID_ARGUMENT);
    assert_int_equal(code_of_stream(&c, 3), TTRPC_INVALID_ARGUMENT);
    assert_int_equal(code_of_stream(&c, 8), TTRPC_INVALID_ARGUMENT);
    assert_int_equal(code_of_stream(&c, 4294967295u), TTRPC_OK);
    client_close(&c);
    world_close(&w);
}

static void stream_that_is_none_is_told(void **state)
{
    struct world w;
    struct client c;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    client_data(&c, 7, text_view("x"), 0);
    assert_int_equal(client_response(&c, 7, NULL, NULL), TTRPC_INVALID_ARGUMENT);
    assert_int_equal(code_of_stream(&c, 9), TTRPC_OK);
    /* Data that crossed our response is nobody's fault. */
    client_data(&c, 9, text_view("x"), 0);
    client_data(&c, 9, nothing, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    assert_int_equal(code_of_stream(&c, 11), TTRPC_OK);
    assert_null(client_take(&c, 9, 0));
    client_close(&c);
    world_close(&w);
}

static void stream_flags_have_to_fit_the_call(void **state)
{
    struct world w;
    struct client c;
    uint32_t id;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    id = client_request(&c, (struct request){ .method = "Health", .flags = TTRPC_REMOTE_OPEN });
    assert_int_equal(client_response(&c, id, NULL, NULL), TTRPC_INVALID_ARGUMENT);
    id = client_request(&c, (struct request){ .method = "Exec" });
    assert_int_equal(client_response(&c, id, NULL, NULL), TTRPC_INVALID_ARGUMENT);
    id = client_request(&c, (struct request){ .method = "Exec",
                                              .flags = TTRPC_REMOTE_OPEN,
                                              .payload = text_view("x") });
    assert_int_equal(client_response(&c, id, NULL, NULL), TTRPC_INVALID_ARGUMENT);
    assert_int_equal(client_health(&c), TTRPC_OK);
    client_close(&c);
    world_close(&w);
}

static void half_open_calls_end_with_a_status(void **state)
{
    static const char *const methods[] = { "Exec", "Write" };
    struct world w;
    struct client c;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        const struct request q = { .method = methods[i], .flags = TTRPC_REMOTE_OPEN };
        uint32_t id = client_request(&c, q);

        client_data(&c, id, nothing, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
        assert_int_equal(client_response(&c, id, NULL, NULL), TTRPC_INVALID_ARGUMENT);
        id = client_request(&c, q);
        client_data(&c, id, text_view("\xff\xff\xff"), 0);
        assert_int_equal(client_response(&c, id, NULL, NULL), TTRPC_INVALID_ARGUMENT);
        id = client_request(&c, q);
        client_data(&c, id, text_view("x"), TTRPC_NO_DATA);
        assert_int_equal(client_response(&c, id, NULL, NULL), TTRPC_INVALID_ARGUMENT);
    }
    assert_int_equal(client_health(&c), TTRPC_OK);
    client_close(&c);
    world_close(&w);
}

static void garbage_closes_the_connection_alone(void **state)
{
    static const uint8_t unknown_type[TTRPC_HEADER_SIZE] = { 0, 0, 0, 0, 0, 0, 0, 1, 9, 0 };
    static const uint8_t response[TTRPC_HEADER_SIZE] = { 0, 0, 0, 0, 0, 0, 0, 1, TTRPC_RESPONSE };
    struct world w;
    struct client bad, worse, good;

    (void) state;
    world_open(&w, NULL);
    client_open(&bad, &w);
    client_open(&worse, &w);
    client_open(&good, &w);
    client_write(&bad, unknown_type, sizeof(unknown_type));
    client_write(&worse, response, sizeof(response));
    assert_true(client_is_closed(&bad));
    assert_true(client_is_closed(&worse));
    assert_int_equal(client_health(&good), TTRPC_OK);
    assert_int_equal(w.server.n_conns, 1);
    client_close(&bad);
    client_close(&worse);
    client_close(&good);
    world_close(&w);
}

static void request_that_does_not_decode_is_refused(void **state)
{
    static const uint8_t frame[] = { 0, 0, 0, 2, 0, 0, 0, 1, TTRPC_REQUEST, 0, 0xff, 0xff };
    struct world w;
    struct client c;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    client_write(&c, frame, sizeof(frame));
    assert_int_equal(client_response(&c, 1, NULL, NULL), TTRPC_INVALID_ARGUMENT);
    assert_int_equal(code_of_stream(&c, 3), TTRPC_OK);
    client_close(&c);
    world_close(&w);
}

/* A call of Health whose payload makes a frame of @len bytes; Health ignores what it does not know.
 */
static void send_frame_of(struct client *c, uint32_t stream, uint32_t len)
{
    mvm_autovalue(strbuf) out = STRBUF_INIT(4 * AGENT_FRAME_MAX);
    const struct ttrpc_request m = { .service = text_view(AGENT_SERVICE),
                                     .method = text_view("Health") };
    struct ttrpc_header h;
    size_t empty;

    ttrpc_request_frame(&m, stream, 0, &out);
    empty = out.len - TTRPC_HEADER_SIZE;
    strbuf_adds(&out, "\x7a"); /* field 15, bytes: of a later protocol */
    len -= (uint32_t) empty + 4;
    strbuf_addc(&out, (char) ((len & 0x7f) | 0x80));
    strbuf_addc(&out, (char) ((len >> 7 & 0x7f) | 0x80));
    strbuf_addc(&out, (char) (len >> 14));
    while (len-- > 0)
        strbuf_addc(&out, 'x');
    h = (struct ttrpc_header){ .len = (uint32_t) (out.len - TTRPC_HEADER_SIZE),
                               .stream = stream,
                               .type = TTRPC_REQUEST };
    ttrpc_header_put(&h, (uint8_t *) out.data);
    client_write(c, out.data, out.len);
}

static void frames_have_a_limit(void **state)
{
    struct world w;
    struct client c;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    send_frame_of(&c, 1, AGENT_FRAME_MAX);
    assert_int_equal(client_response(&c, 1, NULL, NULL), TTRPC_OK);
    send_frame_of(&c, 3, AGENT_FRAME_MAX + 1);
    assert_int_equal(client_response(&c, 3, NULL, NULL), TTRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(code_of_stream(&c, 5), TTRPC_OK);
    client_close(&c);
    world_close(&w);
}

static void calls_of_a_connection_have_a_limit(void **state)
{
    struct world w;
    struct client c;
    uint32_t id = 0;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    for (int i = 0; i < CONN_CALLS_MAX; i++)
        id = client_request(&c, (struct request){ .method = "Exec", .flags = TTRPC_REMOTE_OPEN });
    assert_int_equal(client_health(&c), TTRPC_RESOURCE_EXHAUSTED);
    client_data(&c, id, nothing, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    assert_int_equal(client_response(&c, id, NULL, NULL), TTRPC_INVALID_ARGUMENT);
    assert_int_equal(client_health(&c), TTRPC_OK);
    client_close(&c);
    world_close(&w);
}

static void answered_calls_are_not_open_any_more(void **state)
{
    enum {
        BURST = 3 * CONN_CALLS_MAX
    };
    mvm_autovalue(strbuf) out = STRBUF_INIT(1u << 20);
    const struct ttrpc_request m = { .service = text_view(AGENT_SERVICE),
                                     .method = text_view("Health") };
    struct world w;
    struct client c;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    for (uint32_t i = 0; i < BURST; i++)
        ttrpc_request_frame(&m, 2 * i + 1, 0, &out);
    client_write(&c, out.data, out.len);
    for (uint32_t i = 0; i < BURST; i++)
        assert_int_equal(client_response(&c, 2 * i + 1, NULL, NULL), TTRPC_OK);
    client_close(&c);
    world_close(&w);
}

static void connections_have_a_limit(void **state)
{
    struct client *all = calloc(SERVER_CONNS_MAX, sizeof(*all));
    struct world w;
    int ends[2];

    (void) state;
    assert_non_null(all);
    world_open(&w, NULL);
    for (int i = 0; i < SERVER_CONNS_MAX; i++)
        client_open(&all[i], &w);
    assert_int_equal(client_health(&all[SERVER_CONNS_MAX - 1]), TTRPC_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(server_add(&w.server, ends[1], false, NULL), MVM_E_LIMIT);
    assert_int_equal(recv(ends[0], &(char){ 0 }, 1, 0), 0); /* closed */
    (void) close(ends[0]);
    client_close(&all[0]);
    world_turn(&w, 100);
    client_open(&all[0], &w);
    assert_int_equal(client_health(&all[0]), TTRPC_OK);
    for (int i = 0; i < SERVER_CONNS_MAX; i++)
        client_close(&all[i]);
    free(all);
    world_close(&w);
}

static void deadline_ends_a_call(void **state)
{
    struct world w;
    struct client c;
    uint32_t id;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    id = client_request(&c, (struct request){ .method = "Write",
                                              .flags = TTRPC_REMOTE_OPEN,
                                              .timeout_ns = 20 * 1000000 });
    assert_int_equal(client_response(&c, id, NULL, NULL), TTRPC_DEADLINE_EXCEEDED);
    id = client_request(&c, (struct request){ .method = "Health", .timeout_ns = INT64_MAX });
    assert_int_equal(client_response(&c, id, NULL, NULL), TTRPC_OK);
    client_close(&c);
    world_close(&w);
}

/* Sends requests, and reads no answer, until no more of them fit. */
static void fill_connection(struct client *deaf)
{
    const struct ttrpc_request m = { .service = text_view("none"), .method = text_view("x") };
    mvm_autovalue(strbuf) out = STRBUF_INIT(1024);
    size_t sent = 0;

    for (int idle = 0; idle < 20;) {
        strbuf_reset(&out);
        ttrpc_request_frame(&m, deaf->next_id, 0, &out);
        if (send(deaf->fd, out.data, out.len, MSG_NOSIGNAL) == (ssize_t) out.len) {
            deaf->next_id += 2;
            sent += out.len;
            idle = 0;
            assert_true(sent < 64 * CONN_QUEUE_MAX);
            continue;
        }
        idle++;
        world_turn(deaf->w, 5);
    }
}

static void client_that_does_not_read_stalls_itself_alone(void **state)
{
    struct world w;
    struct client deaf, good;

    (void) state;
    world_open(&w, NULL);
    client_open(&deaf, &w);
    client_open(&good, &w);
    fill_connection(&deaf);
    assert_true(w.server.conns->next->out.len <= CONN_QUEUE_MAX);
    assert_true(w.server.conns->next->out.len >= CONN_QUEUE_STOP);
    assert_int_equal(client_health(&good), TTRPC_OK);
    client_close(&deaf);
    client_close(&good);
    world_close(&w);
}

/* Its connection ends though what it sent was not read so far, and it reads no answer. */
static void stalled_client_that_leaves_is_let_go(void **state)
{
    struct world w;
    struct client deaf;

    (void) state;
    world_open(&w, NULL);
    client_open(&deaf, &w);
    fill_connection(&deaf);
    assert_true(w.server.conns->paused);
    assert_int_equal(shutdown(deaf.fd, SHUT_WR), 0);
    world_turn(&w, 0); /* without a look at what it sent */
    assert_int_equal(w.server.n_conns, 0);
    client_close(&deaf);
    world_close(&w);
}

static void failed_boot_is_the_answer_to_all(void **state)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(1024);
    struct world w;
    struct client c;
    uint32_t id;

    (void) state;
    world_open(&w, "mount root /dev/vda (erofs): no such device");
    client_open(&c, &w);
    id = client_request(&c, (struct request){ .method = "Health" });
    assert_int_equal(client_response(&c, id, NULL, &text), TTRPC_FAILED_PRECONDITION);
    assert_string_equal(strbuf_str(&text), "mount root /dev/vda (erofs): no such device");
    id = client_request(&c, (struct request){ .method = "Exec", .flags = TTRPC_REMOTE_OPEN });
    assert_int_equal(client_response(&c, id, NULL, NULL), TTRPC_FAILED_PRECONDITION);
    assert_int_equal(w.ends, 0);
    client_close(&c);
    world_turn(&w, 1000);
    world_turn(&w, 0);
    assert_int_equal(w.ends, 1);
    world_close(&w);
}

static void failed_boot_ends_without_a_client(void **state)
{
    uint64_t start = clock_now_ms();
    struct world w;

    (void) state;
    world_open(&w, "why");
    while (w.ends == 0 && clock_now_ms() < start + WORLD_PATIENCE_MS)
        world_turn(&w, 1000);
    assert_int_equal(w.ends, 1);
    assert_true(clock_now_ms() - start >= SERVER_FAREWELL_MS - 1);
    world_close(&w);
}

static void clock_is_told_and_set(void **state)
{
    mvm_autovalue(strbuf) ask = STRBUF_INIT(64), answer = STRBUF_INIT(64);
    struct timespec now;
    struct world w;
    struct client c;
    int64_t ns = 0;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    assert_int_equal(client_call(&c, "Clock", nothing, &answer), TTRPC_OK);
    assert_int_equal(agent_number_decode((uint8_t *) answer.data, answer.len, &ns, NULL), 0);
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    assert_true(ns / 1000000000 <= now.tv_sec && ns / 1000000000 > now.tv_sec - 60);
    assert_int_equal(w.clock_ns, 0);
    agent_number_encode(1700000000123456789, &ask);
    assert_int_equal(client_call(&c, "Clock", buf_view(&ask), NULL), TTRPC_OK);
    assert_int_equal(w.clock_ns, 1700000000123456789);
    client_close(&c);
    world_close(&w);
}

static void stats_are_those_of_the_machine(void **state)
{
    mvm_autovalue(strbuf) answer = STRBUF_INIT(1024);
    struct agent_stats m;
    struct world w;
    struct client c;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    assert_int_equal(client_call(&c, "Stats", nothing, &answer), TTRPC_OK);
    assert_int_equal(agent_stats_decode((uint8_t *) answer.data, answer.len, &m, NULL), 0);
    assert_true(m.memory_total > 1 << 20);
    assert_true(m.memory_available > 0 && m.memory_available < m.memory_total);
    assert_true(m.cpus >= 1);
    assert_true(m.processes >= 1);
    assert_true(m.uptime_ns > 1000000);
    assert_true(m.cpu_user_ns > 0 && m.cpu_system_ns > 0 && m.cpu_idle_ns > 0);
    assert_true(m.root_total >= m.root_available && m.root_total > 0);
    assert_int_equal(m.execs, 0);
    client_close(&c);
    world_close(&w);
}

static void shutdown_without_a_program_ends_with_its_client(void **state)
{
    mvm_autovalue(strbuf) ask = STRBUF_INIT(64), bad = STRBUF_INIT(64);
    struct world w;
    struct client c;

    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    agent_number_encode(-1, &bad);
    assert_int_equal(client_call(&c, "Shutdown", buf_view(&bad), NULL), TTRPC_INVALID_ARGUMENT);
    agent_number_encode(100, &ask);
    assert_int_equal(client_call(&c, "Shutdown", buf_view(&ask), NULL), TTRPC_OK);
    assert_int_equal(w.kill_alls, 1);
    assert_int_equal(w.syncs, 1);
    assert_int_equal(w.ends, 0);
    client_close(&c);
    world_turn(&w, 1000);
    world_turn(&w, 0);
    assert_int_equal(w.ends, 1);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(health_tells_what_it_is),
        cmocka_unit_test(what_is_not_there_is_unimplemented),
        cmocka_unit_test(numbers_of_streams_are_odd_and_grow),
        cmocka_unit_test(stream_that_is_none_is_told),
        cmocka_unit_test(stream_flags_have_to_fit_the_call),
        cmocka_unit_test(half_open_calls_end_with_a_status),
        cmocka_unit_test(garbage_closes_the_connection_alone),
        cmocka_unit_test(request_that_does_not_decode_is_refused),
        cmocka_unit_test(frames_have_a_limit),
        cmocka_unit_test(calls_of_a_connection_have_a_limit),
        cmocka_unit_test(answered_calls_are_not_open_any_more),
        cmocka_unit_test(connections_have_a_limit),
        cmocka_unit_test(deadline_ends_a_call),
        cmocka_unit_test(client_that_does_not_read_stalls_itself_alone),
        cmocka_unit_test(stalled_client_that_leaves_is_let_go),
        cmocka_unit_test(failed_boot_is_the_answer_to_all),
        cmocka_unit_test(failed_boot_ends_without_a_client),
        cmocka_unit_test(clock_is_told_and_set),
        cmocka_unit_test(stats_are_those_of_the_machine),
        cmocka_unit_test(shutdown_without_a_program_ends_with_its_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
