/* SPDX-License-Identifier: Apache-2.0 */
/* Many packets, or many pieces, in one go. */
#include "virtio/vsock/test-fixture.h"

#include <sys/epoll.h>

/* One more than what one system call sends. */
#define MANY 65u

/* Offers @n packets of @len bytes of a pattern that goes on from packet to packet. */
static void offer_many(struct fixture *f, unsigned n, uint32_t len)
{
    struct vsock_packet p = guest_packet(PORT, 1, VSOCK_OP_RW);
    uint8_t data[4096];

    assert_true(len <= sizeof(data));
    p.len = len;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < len; k++)
            data[k] = (uint8_t) ((i * len + k) % 251);
        guest_offer(&f->g, &p, data, len);
    }
}

/* What the host's socket does not take cannot be held any more. */
static void fail_to_hold(struct fixture *f, const struct conn *c)
{
    int small = 4096, epoll_fd;

    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    assert_int_equal(loop_get_fd(f->g.loop, &epoll_fd, NULL), 0);
    assert_int_equal(epoll_ctl(epoll_fd, EPOLL_CTL_DEL, c->fd, NULL), 0);
}

static void more_packets_than_one_call_sends_arrive_in_order(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    uint8_t got[128];

    for (unsigned n = MANY - 1; n <= MANY; n++) {
        offer_many(f, n, 1);
        guest_step(&f->g);
        assert_int_equal(recv(fd, got, sizeof(got), 0), n);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(got[i], i);
    }
}

static void a_connection_that_ends_amid_a_batch_takes_no_more_of_it(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);

    fail_to_hold(f, only_conn(f));
    offer_many(f, MANY + 15, 1024);
    guest_step(&f->g);
    assert_int_equal(connections(f), 0);
    assert_int_equal(held(f), 0);
    for (unsigned i = 0; i < 1 + 16; i++) /* for its end, and for each packet behind that */
        (void) assert_packet(f, VSOCK_OP_RST, PORT, 1);
    assert_silence(f);
    assert_true(drain(f, fd) < 64 * 1024);
    assert_end(fd);
}

static void a_connection_that_its_data_ends_is_not_found_for_the_next_packet(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct vsock_packet p = guest_packet(PORT, 1, VSOCK_OP_CREDIT_REQUEST);

    fail_to_hold(f, only_conn(f));
    offer_many(f, 40, 1024);
    guest_offer(&f->g, &p, NULL, 0);
    guest_step(&f->g);
    assert_int_equal(connections(f), 0);
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 1);
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 1);
    assert_silence(f);
    (void) drain(f, fd);
    assert_end(fd);
}

static void data_for_a_host_that_is_gone_counts_once(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct conn *c = only_conn(f);

    shutdown(fd, SHUT_RD);
    offer_many(f, MANY + 15, 1024);
    guest_step(&f->g);
    assert_int_equal(c->received, (MANY + 15) * 1024);
    assert_int_equal(c->passed, c->received);
    assert_int_equal(assert_packet(f, VSOCK_OP_SHUTDOWN, PORT, 1).flags, VSOCK_SHUT_RCV);
}

/* A receive buffer of @n pieces behind a header, each of @len bytes. */
static void give_in_pieces(struct fixture *f, unsigned i, unsigned n, uint32_t len)
{
    const uint64_t at = TEST_BASE + GUEST_RX_AT + i * 8192ull;
    const unsigned first = i * (n + 1);

    test_ring_desc(&f->g.rx, first, at, VSOCK_HEADER_SIZE, TEST_F_WRITE | TEST_F_NEXT, first + 1);
    for (unsigned k = 1; k <= n; k++)
        test_ring_desc(&f->g.rx, first + k, at + 64 + (k - 1) * len, len,
                       TEST_F_WRITE | (k < n ? TEST_F_NEXT : 0), first + k + 1);
    test_ring_offer(&f->g.rx, (uint16_t) first);
}

static void receive_buffers_of_many_pieces_take_a_stream_in_order(void **state)
{
    enum {
        PIECES = 11,
        PIECE = 100,
        BUFFERS = 10
    }; /* 110 pieces: more than one call fills */
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    static uint8_t data[PIECES * PIECE * BUFFERS];
    uint32_t head, len, got = 0;

    f->g.rx_vq.avail_idx = f->g.rx_vq.next_avail = f->g.rx.avail_idx; /* the others are used up */
    for (unsigned i = 0; i < BUFFERS; i++)
        give_in_pieces(f, i, PIECES, PIECE);
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t) (i % 251);
    assert_int_equal(send(fd, data, sizeof(data), 0), sizeof(data));
    guest_step(&f->g);
    while (test_ring_take(&f->g.rx, &head, &len)) {
        const uint8_t *buffer = f->g.memory.mem + GUEST_RX_AT + head / (PIECES + 1) * 8192ul;
        struct vsock_packet p;

        vsock_packet_decode(buffer, &p);
        assert_int_equal(p.op, VSOCK_OP_RW);
        assert_int_equal(len, VSOCK_HEADER_SIZE + p.len);
        assert_true(got + p.len <= sizeof(data));
        assert_memory_equal(buffer + 64, data + got, p.len);
        got += p.len;
    }
    assert_int_equal(got, sizeof(data));
    assert_int_equal(f->g.broke, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(more_packets_than_one_call_sends_arrive_in_order),
        TEST(a_connection_that_ends_amid_a_batch_takes_no_more_of_it),
        TEST(a_connection_that_its_data_ends_is_not_found_for_the_next_packet),
        TEST(data_for_a_host_that_is_gone_counts_once),
        TEST(receive_buffers_of_many_pieces_take_a_stream_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
