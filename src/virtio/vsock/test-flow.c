/* SPDX-License-Identifier: Apache-2.0 */
/* Credit, back-pressure and limits. */
#include "virtio/vsock/test-fixture.h"

static void a_host_that_does_not_read_is_held_for_up_to_the_window(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    mvm_autoclose int other = join(f, PORT + 1);
    struct vsock_packet p;
    const struct conn *c;
    size_t total = 0;
    int small = 4096;

    c = conn_find(f->g.device, PORT, 1);
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    while (c->received - c->passed + (16u << 10) <= c->window) {
        pour(f, PORT, 16u << 10);
        total += 16u << 10;
    }
    assert_true(held(f) > VSOCK_WINDOW_LARGE - (16u << 10));
    guest_send(&f->g, PORT + 1, 1, VSOCK_OP_RW, "x", 1); /* stalls by itself */
    assert_read(other, "x");
    pour(f, PORT, c->window - (c->received - c->passed)); /* the window, to the byte */
    total = c->received;
    while (guest_take(&f->g, &p, NULL))
        assert_int_equal(p.op, VSOCK_OP_CREDIT_UPDATE);
    assert_int_equal(drain(f, fd), total);
    assert_int_equal(held(f), 0);
    assert_int_equal(c->passed, total);
    assert_null(c->held); /* memory is there while it is needed */
}

static void more_than_the_window_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct conn *c = only_conn(f);
    int small = 4096;

    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    while (c->window - (c->received - c->passed) > 0)
        pour(f, PORT,
             c->window - (c->received - c->passed) < 65536 ? c->window - (c->received - c->passed)
                                                           : 65536);
    pour(f, PORT, 1);
    assert_logged(f, "reason=credit");
    assert_int_equal(connections(f), 0);
    assert_int_equal(held(f), 0);
    assert_true(drain(f, fd) < VSOCK_WINDOW_LARGE * 2); /* and then its end */
    assert_end(fd);
}

static void the_guest_is_told_of_credit_at_half_of_what_it_may_send(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct vsock_packet p = guest_packet(PORT, 1, VSOCK_OP_CREDIT_UPDATE);

    pour(f, PORT, VSOCK_WINDOW_LARGE / 2 - 1);
    (void) drain(f, fd);
    assert_silence(f);
    pour(f, PORT, 1);
    p = assert_packet(f, VSOCK_OP_CREDIT_UPDATE, PORT, 1);
    assert_int_equal(p.fwd_cnt, VSOCK_WINDOW_LARGE / 2);
    /* A guest with a small window of its own may have no more than that under way. */
    p = guest_packet(PORT, 1, VSOCK_OP_RW);
    p.buf_alloc = 8;
    p.len = 4;
    guest_offer(&f->g, &p, "1234", 4);
    guest_step(&f->g);
    p = assert_packet(f, VSOCK_OP_CREDIT_UPDATE, PORT, 1);
    assert_int_equal(p.fwd_cnt, VSOCK_WINDOW_LARGE / 2 + 4);
    guest_send(&f->g, PORT, 1, VSOCK_OP_CREDIT_REQUEST, NULL, 0);
    (void) assert_packet(f, VSOCK_OP_CREDIT_UPDATE, PORT, 1);
    assert_silence(f);
}

static void credit_counts_across_the_wrap_of_its_numbers(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct conn *c = only_conn(f);
    char data[GUEST_RX_DATA];
    struct vsock_packet p;

    c->sent = c->peer_passed = UINT32_MAX - 2;
    c->received = c->passed = c->passed_told = UINT32_MAX - 1;
    p = guest_packet(PORT, 1, VSOCK_OP_RW);
    p.fwd_cnt = UINT32_MAX - 2;
    p.buf_alloc = 8;
    p.len = 3;
    guest_offer(&f->g, &p, "abc", 3);
    guest_step(&f->g);
    assert_read(fd, "abc");
    assert_int_equal(c->passed, 1);
    assert_int_equal(send(fd, "0123456789", 10, 0), 10);
    guest_step(&f->g);
    assert_true(guest_take(&f->g, &p, data));
    assert_int_equal(p.len, 8); /* all that the guest has room for */
    assert_int_equal(p.fwd_cnt, 1);
    (void) assert_packet(f, VSOCK_OP_CREDIT_REQUEST, PORT, 1);
    p = guest_packet(PORT, 1, VSOCK_OP_CREDIT_UPDATE);
    p.fwd_cnt = 5; /* UINT32_MAX - 2 + 8 */
    p.buf_alloc = 8;
    guest_offer(&f->g, &p, NULL, 0);
    guest_step(&f->g);
    assert_true(guest_take(&f->g, &p, data));
    assert_int_equal(p.len, 2);
    assert_memory_equal(data, "89", 2);
}

static void credit_that_cannot_be_ends_the_connection_and_old_news_does_not(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct vsock_packet p = guest_packet(PORT, 1, VSOCK_OP_CREDIT_UPDATE);
    struct vsock_packet got;

    assert_int_equal(send(fd, "0123456789", 10, 0), 10);
    guest_step(&f->g);
    (void) assert_packet(f, VSOCK_OP_RW, PORT, 1);
    for (int i = 0; i < 2; i++) { /* the second overtook the first */
        p.fwd_cnt = i ? 4 : 10;
        guest_offer(&f->g, &p, NULL, 0);
    }
    guest_step(&f->g);
    assert_int_equal(only_conn(f)->peer_passed, 10);
    assert_silence(f);
    p.fwd_cnt = 11;
    guest_offer(&f->g, &p, NULL, 0);
    guest_step(&f->g);
    got = assert_packet(f, VSOCK_OP_RST, PORT, 1);
    assert_int_equal(got.len, 0);
    assert_end(fd);
}

static void a_guest_without_room_stalls_its_own_connection_alone(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    mvm_autoclose int other = join(f, PORT + 1);
    struct vsock_packet p = guest_packet(PORT, 1, VSOCK_OP_CREDIT_UPDATE);

    p.buf_alloc = 0;
    guest_offer(&f->g, &p, NULL, 0);
    guest_step(&f->g);
    assert_int_equal(send(fd, "a", 1, 0), 1);
    guest_step(&f->g);
    (void) assert_packet(f, VSOCK_OP_CREDIT_REQUEST, PORT, 1); /* asked once */
    assert_int_equal(send(fd, "b", 1, 0), 1);
    assert_int_equal(send(other, "c", 1, 0), 1);
    guest_step(&f->g);
    (void) assert_packet(f, VSOCK_OP_RW, PORT + 1, 1);
    assert_silence(f);
    p.buf_alloc = 2;
    guest_offer(&f->g, &p, NULL, 0);
    guest_step(&f->g);
    p = assert_packet(f, VSOCK_OP_RW, PORT, 1);
    assert_int_equal(p.len, 2);
}

static void without_receive_buffers_everything_waits_and_nothing_is_lost(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    char block[4096] = { 0 };
    struct vsock_packet p;
    size_t sent = 0, got = 0;

    f->g.refill = false;
    for (ssize_t n; (n = send(fd, block, sizeof(block), 0)) > 0; guest_step(&f->g))
        sent += (size_t) n;
    assert_true(sent > (size_t) GUEST_RX_BUFFERS * GUEST_RX_DATA / 2);
    guest_send(&f->g, PORT + 9, 1, VSOCK_OP_RST, NULL, 0); /* the other ring goes on */
    f->g.refill = true;
    shutdown(fd, SHUT_WR);
    f->g.rx_given = 0;
    for (int idle = 0; idle < 3; idle++) {
        struct vsock_packet credit = guest_packet(PORT, 1, VSOCK_OP_CREDIT_UPDATE);

        while (guest_take(&f->g, &p, NULL)) {
            if (p.op == VSOCK_OP_RW)
                got += p.len;
            idle = 0;
        }
        credit.fwd_cnt = (uint32_t) got;
        guest_offer(&f->g, &credit, NULL, 0);
        guest_step(&f->g);
    }
    assert_int_equal(got, sent);
    assert_int_equal(p.op, VSOCK_OP_SHUTDOWN);
}

static void as_many_connections_as_the_limit_and_not_one_more(void **state)
{
    struct fixture *f = *state;
    struct vsock_usage usage;
    int fds[VSOCK_CONNECTIONS_MAX];
    int agent;

    agent_comes(f, 1);
    guest_send(&f->g, 1, 2000, VSOCK_OP_RST, NULL, 0);
    for (unsigned i = 0; i < VSOCK_CONNECTIONS_MAX; i++)
        fds[i] = join(f, PORT + i);
    guest_send(&f->g, 1, 1, VSOCK_OP_REQUEST, NULL, 0);
    (void) assert_packet(f, VSOCK_OP_RST, 1, 1);
    assert_logged(f, "reason=limit");
    (void) close(dial(f, "listen"));
    guest_step(&f->g);
    assert_silence(f); /* waits in the backlog */
    agent = dial(f, "agent");
    guest_step(&f->g);
    {
        struct vsock_packet p;

        assert_true(guest_take(&f->g, &p, NULL)); /* has a place of its own */
        assert_int_equal(p.dst_port, 2000);
    }
    vsock_device_usage(f->g.device, &usage);
    assert_int_equal(usage.connections, VSOCK_CONNECTIONS_MAX + 1);
    assert_true(usage.promised < VSOCK_MEMORY_MAX * 3 / 4);
    guest_send(&f->g, PORT, 1, VSOCK_OP_RST, NULL, 0);
    guest_step(&f->g);
    {
        struct vsock_packet p;

        assert_true(guest_take(&f->g, &p, NULL)); /* the freed place goes to who waited */
        assert_int_equal(p.dst_port, 1000);
        assert_int_equal(p.op, VSOCK_OP_REQUEST);
    }
    for (unsigned i = 0; i < VSOCK_CONNECTIONS_MAX; i++)
        (void) close(fds[i]);
    (void) close(agent);
}

static void a_lower_limit_leaves_the_agents_their_places(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int first = -EBADF;
    mvm_autoclose int client = -EBADF;
    mvm_autoclose int agent = -EBADF;
    struct vsock_packet p;

    vsock_device_limit(f->g.device, 2);
    agent_comes(f, PORT);
    first = join(f, PORT + 1);
    guest_send(&f->g, PORT + 2, 1, VSOCK_OP_REQUEST, NULL, 0);
    (void) assert_packet(f, VSOCK_OP_RST, PORT + 2, 1);
    assert_logged(f, "2 connections at once are the most");
    client = dial(f, "listen");
    agent = dial(f, "agent");
    guest_step(&f->g);
    guest_step(&f->g);
    assert_true(guest_take(&f->g, &p, NULL));
    assert_int_equal(p.dst_port, 2000);
    assert_silence(f); /* the other one waits */
    vsock_device_limit(f->g.device, VSOCK_CONNECTIONS_MAX + 1);
    assert_int_equal(f->g.device->conns_max, VSOCK_CONNECTIONS_MAX);
}

static void a_flood_without_receive_buffers_is_answered_once_there_are_some(void **state)
{
    struct fixture *f = *state;
    unsigned offered = 0, answered = 0;
    struct vsock_packet p;

    for (; offered < 3000 && (uint16_t) (f->g.tx.avail_idx - f->g.tx_vq.used_idx) < 32; offered++)
        guest_send(&f->g, offered, 99999, VSOCK_OP_RW, NULL, 0);
    assert_int_equal(f->g.device->n_resets, VSOCK_RESETS_PAUSE);
    assert_true(offered > VSOCK_RESETS_PAUSE);
    guest_give_all(&f->g);
    for (int idle = 0; idle < 3; idle++) {
        while (guest_take(&f->g, &p, NULL)) {
            assert_int_equal(p.op, VSOCK_OP_RST);
            assert_int_equal(p.dst_port, answered++);
            idle = 0;
        }
        guest_step(&f->g);
    }
    assert_int_equal(answered, offered);
}

/* Data that was gathered for one system call goes with its connection. */
static void a_lie_right_behind_data_ends_the_connection_once(void **state)
{
    static const struct {
        uint32_t fwd_cnt, len;
        int op;
    } lies[] = { { 1, 1, VSOCK_OP_RW }, { 1, 0, VSOCK_OP_CREDIT_UPDATE }, { 0, 0, 9 } };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        mvm_autoclose int fd = join(f, PORT);
        struct vsock_packet p = guest_packet(PORT, 1, VSOCK_OP_RW);

        p.len = 4;
        guest_offer(&f->g, &p, "data", 4);
        p.op = (uint16_t) lies[i].op;
        p.fwd_cnt = lies[i].fwd_cnt;
        p.len = lies[i].len;
        guest_offer(&f->g, &p, "x", lies[i].len);
        guest_step(&f->g);
        (void) assert_packet(f, VSOCK_OP_RST, PORT, 1);
        assert_silence(f);
        assert_int_equal(connections(f), 0);
        (void) drain(f, fd);
        assert_end(fd);
    }
}

static void what_is_held_keeps_its_order_while_it_comes_and_goes(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct conn *c = only_conn(f);
    uint32_t sent = 0, got = 0;
    int small = 4096;
    uint8_t data[4096];

    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    for (unsigned round = 0; got < 600000; round++) {
        const uint32_t len = 1 + (round * 997) % sizeof(data);
        ssize_t n = 1;

        if (sent < 600000 && c->window - (c->received - c->passed) >= len) {
            for (uint32_t i = 0; i < len; i++)
                data[i] = (uint8_t) ((sent + i) % 251);
            guest_send(&f->g, PORT, 1, VSOCK_OP_RW, data, len);
            sent += len;
        }
        /* Less is read than comes, as long as more comes. */
        for (unsigned reads = 0; reads < (sent < 600000 ? 1u : 64u) && n > 0; reads++) {
            n = recv(fd, data, 1 + (round * 331) % 2000, 0);
            for (ssize_t i = 0; i < n; i++, got++)
                if (data[i] != got % 251)
                    fail_msg("byte %u is %u", got, data[i]);
        }
        guest_step(&f->g);
        while (guest_take(&f->g, &(struct vsock_packet){ 0 }, NULL))
            ;
        assert_true(round < 100000);
        if (sent >= 600000 && got == sent)
            break;
    }
    assert_int_equal(got, sent);
    assert_int_equal(held(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_host_that_does_not_read_is_held_for_up_to_the_window),
        TEST(more_than_the_window_ends_the_connection),
        TEST(the_guest_is_told_of_credit_at_half_of_what_it_may_send),
        TEST(credit_counts_across_the_wrap_of_its_numbers),
        TEST(credit_that_cannot_be_ends_the_connection_and_old_news_does_not),
        TEST(a_guest_without_room_stalls_its_own_connection_alone),
        TEST(without_receive_buffers_everything_waits_and_nothing_is_lost),
        TEST(as_many_connections_as_the_limit_and_not_one_more),
        TEST(a_lower_limit_leaves_the_agents_their_places),
        TEST(a_flood_without_receive_buffers_is_answered_once_there_are_some),
        TEST(a_lie_right_behind_data_ends_the_connection_once),
        TEST(what_is_held_keeps_its_order_while_it_comes_and_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
