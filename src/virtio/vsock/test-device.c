/* SPDX-License-Identifier: Apache-2.0 */
/* Connections from the guest, and packets that are wrong. */
#include "virtio/vsock/test-fixture.h"

static void data_goes_both_ways(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    char data[GUEST_RX_DATA];
    struct vsock_packet p;

    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "hello", 5);
    assert_read(fd, "hello");
    assert_int_equal(send(fd, "world", 5, 0), 5);
    guest_step(&f->g);
    assert_true(guest_take(&f->g, &p, data));
    assert_int_equal(p.op, VSOCK_OP_RW);
    assert_int_equal(p.len, 5);
    assert_int_equal(p.fwd_cnt, 5);
    assert_int_equal(p.buf_alloc, VSOCK_WINDOW_LARGE);
    assert_memory_equal(data, "world", 5);
    assert_silence(f);
}

/* Small packets in one go are sent as one, and arrive in order. */
static void packets_of_a_batch_keep_their_order(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int a = join(f, PORT);
    mvm_autoclose int b = join(f, PORT + 1);

    for (uint32_t i = 0; i < 10; i++) {
        struct vsock_packet p = guest_packet(PORT + (i >= 8), 1, VSOCK_OP_RW);
        const char c = (char) ('0' + i);

        p.len = 1;
        guest_offer(&f->g, &p, &c, 1);
    }
    guest_step(&f->g);
    assert_read(a, "01234567");
    assert_read(b, "89");
}

static void absent_and_unnamed_targets_are_reset_with_a_reason(void **state)
{
    struct fixture *f = *state;

    guest_give_all(&f->g);
    guest_send(&f->g, PORT, 2, VSOCK_OP_REQUEST, NULL, 0);
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 2);
    assert_logged(f, "refused reason=host-absent guest=5000 host=2: '");
    guest_send(&f->g, PORT, 77, VSOCK_OP_REQUEST, NULL, 0); /* by the hybrid's path */
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 77);
    assert_logged(f, "/h_77");
    (void) close(make_listener(f, "h_78", 1)); /* left over by a server that is gone */
    guest_send(&f->g, PORT, 78, VSOCK_OP_REQUEST, NULL, 0);
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 78);
    assert_logged(f, "reason=host-refused");
    assert_int_equal(connections(f), 0);
}

static void a_server_that_comes_back_is_found_again(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    char path[108];

    path_in(f, "server", path);
    (void) close(f->server);
    assert_int_equal(unlink(path), 0);
    guest_send(&f->g, PORT + 1, 1, VSOCK_OP_REQUEST, NULL, 0);
    (void) assert_packet(f, VSOCK_OP_RST, PORT + 1, 1);
    f->server = make_listener(f, "server", 16);
    (void) close(join(f, PORT + 2));
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "x", 1);
    assert_read(fd, "x"); /* the old one lives on */
}

static void a_full_host_socket_is_tried_again_for_a_while(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int first = dial(f, "full"); /* fills the backlog */
    mvm_autoclose int fd = -1;

    guest_give_all(&f->g);
    guest_send(&f->g, PORT, 3, VSOCK_OP_REQUEST, NULL, 0);
    guest_send(&f->g, PORT + 1, 3, VSOCK_OP_REQUEST, NULL, 0);
    assert_silence(f);
    assert_int_equal(connections(f), 2);
    (void) close(take_client(f->full));
    assert_end(first);
    (void) poll(NULL, 0, VSOCK_TICK_MS + 5);
    guest_step(&f->g);
    assert_int_equal(connections(f), 2);
    {
        struct vsock_packet p;

        assert_true(guest_take(&f->g, &p, NULL)); /* one of the two */
        assert_int_equal(p.op, VSOCK_OP_RESPONSE);
        fd = take_client(f->full);
        (void) close(dial(f, "full")); /* and full again */
        let_time_pass(f);
        (void) assert_packet(f, VSOCK_OP_RST, p.dst_port == PORT ? PORT + 1 : PORT, 3);
    }
    assert_logged(f, "reason=host-full");
    assert_int_equal(connections(f), 1);
}

static void packets_with_wrong_addresses_reach_no_connection(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct vsock_packet p = guest_packet(PORT, 1, VSOCK_OP_RST);

    p.src_cid = 4;
    guest_offer(&f->g, &p, NULL, 0);
    guest_step(&f->g);
    assert_silence(f);
    assert_logged(f, "reason=bad-cid");
    p = guest_packet(PORT, 1, VSOCK_OP_REQUEST);
    p.dst_cid = 0x100000002ull; /* the host's in its low half */
    guest_offer(&f->g, &p, NULL, 0);
    guest_step(&f->g);
    p = assert_packet(f, VSOCK_OP_RST, PORT, 1);
    assert_true(p.src_cid == 0x100000002ull);
    p = guest_packet(PORT, 1, VSOCK_OP_REQUEST);
    p.type = 2; /* SOCK_SEQPACKET */
    guest_offer(&f->g, &p, NULL, 0);
    guest_step(&f->g);
    p = assert_packet(f, VSOCK_OP_RST, PORT, 1);
    assert_int_equal(p.type, 2);
    assert_int_equal(connections(f), 1);
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "x", 1);
    assert_read(fd, "x");
}

static void packets_of_no_connection_are_answered_by_a_reset(void **state)
{
    struct fixture *f = *state;

    guest_give_all(&f->g);
    for (int op = VSOCK_OP_RESPONSE; op <= VSOCK_OP_CREDIT_REQUEST + 1; op++) {
        guest_send(&f->g, PORT, 1, (enum vsock_op) op, NULL, 0);
        if (op != VSOCK_OP_RST) /* which is never answered */
            (void) assert_packet(f, VSOCK_OP_RST, PORT, 1);
        assert_silence(f);
    }
}

static void operations_out_of_their_place_end_the_connection(void **state)
{
    static const int ops[] = { VSOCK_OP_REQUEST, VSOCK_OP_RESPONSE, 0, 8, 0xffff };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
        mvm_autoclose int fd = join(f, PORT);

        guest_send(&f->g, PORT, 1, (enum vsock_op) ops[i], NULL, 0);
        (void) assert_packet(f, VSOCK_OP_RST, PORT, 1);
        assert_end(fd);
        assert_int_equal(connections(f), 0);
    }
}

static void headers_that_lie_about_their_length_end_the_connection(void **state)
{
    struct fixture *f = *state;
    struct vsock_packet p = guest_packet(PORT, 1, VSOCK_OP_RW);
    mvm_autoclose int fd = join(f, PORT);
    mvm_autoclose int other = join(f, PORT + 1);

    p.len = 6;
    guest_offer(&f->g, &p, "12345", 5);
    guest_step(&f->g);
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 1);
    assert_end(fd);
    p = guest_packet(PORT + 1, 1, VSOCK_OP_RW);
    p.len = (64u << 10) + 1; /* one above what a packet may have */
    guest_offer(&f->g, &p, f->g.memory.mem, p.len);
    guest_step(&f->g);
    (void) assert_packet(f, VSOCK_OP_RST, PORT + 1, 1);
    assert_end(other);
    /* Less than a header. */
    test_ring_desc(&f->g.tx, 0, TEST_BASE, VSOCK_HEADER_SIZE - 1, 0, 0);
    test_ring_offer(&f->g.tx, 0);
    guest_step(&f->g);
    assert_silence(f);
    assert_logged(f, "a packet of 43 bytes");
    (void) close(join(f, PORT + 2)); /* the ring goes on */
}

static void the_largest_packet_in_many_pieces_arrives(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct vsock_packet p = guest_packet(PORT, 1, VSOCK_OP_RW);
    char got[4096];
    size_t total = 0;
    ssize_t n;

    p.len = 64u << 10;
    vsock_packet_encode(&p, f->g.memory.mem + GUEST_TX_AT);
    for (unsigned i = 0; i < 32; i++) /* the header amid the first piece */
        test_ring_desc(&f->g.tx, i, TEST_BASE + GUEST_TX_AT + i * 2050u,
                       i < 31 ? 2050 : 2050 - 64 + VSOCK_HEADER_SIZE, i < 31 ? TEST_F_NEXT : 0,
                       i + 1);
    test_ring_offer(&f->g.tx, 0);
    guest_step(&f->g);
    while ((n = recv(fd, got, sizeof(got), 0)) > 0) {
        total += (size_t) n;
        guest_step(&f->g);
    }
    assert_int_equal(total, 64u << 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(data_goes_both_ways),
        TEST(packets_of_a_batch_keep_their_order),
        TEST(absent_and_unnamed_targets_are_reset_with_a_reason),
        TEST(a_server_that_comes_back_is_found_again),
        TEST(a_full_host_socket_is_tried_again_for_a_while),
        TEST(packets_with_wrong_addresses_reach_no_connection),
        TEST(packets_of_no_connection_are_answered_by_a_reset),
        TEST(operations_out_of_their_place_end_the_connection),
        TEST(headers_that_lie_about_their_length_end_the_connection),
        TEST(the_largest_packet_in_many_pieces_arrives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
