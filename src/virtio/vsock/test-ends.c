/* SPDX-License-Identifier: Apache-2.0 */
/* Ends of connections. */
#include "virtio/vsock/test-fixture.h"

static void halves_are_shut_one_by_one(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct vsock_packet p;

    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "last", 4);
    shut(f, PORT, 1, VSOCK_SHUT_SEND);
    assert_read(fd, "last");
    assert_end(fd);
    assert_int_equal(send(fd, "reply", 5, 0), 5); /* the other half lives */
    shutdown(fd, SHUT_WR);
    guest_step(&f->g);
    p = assert_packet(f, VSOCK_OP_RW, PORT, 1);
    assert_int_equal(p.len, 5);
    p = assert_packet(f, VSOCK_OP_SHUTDOWN, PORT, 1);
    assert_true(p.flags & VSOCK_SHUT_SEND);
    guest_send(&f->g, PORT, 1, VSOCK_OP_RST, NULL, 0);
    assert_int_equal(connections(f), 0);
}

static void the_hosts_half_close_keeps_the_guests_half(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct vsock_packet p;

    assert_int_equal(send(fd, "x", 1, 0), 1);
    shutdown(fd, SHUT_WR);
    guest_step(&f->g);
    (void) assert_packet(f, VSOCK_OP_RW, PORT, 1);
    p = assert_packet(f, VSOCK_OP_SHUTDOWN, PORT, 1);
    assert_int_equal(p.flags, VSOCK_SHUT_SEND);
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "answer", 6);
    assert_read(fd, "answer");
    shut(f, PORT, 1, VSOCK_SHUT_SEND);
    assert_end(fd);
    guest_step(&f->g);
    p = assert_packet(f, VSOCK_OP_SHUTDOWN, PORT, 1); /* nothing is left of it */
    assert_int_equal(p.flags, VSOCK_SHUT_BOTH);
    guest_send(&f->g, PORT, 1, VSOCK_OP_RST, NULL, 0);
    assert_int_equal(connections(f), 0);
}

static void assert_both_halves_shut(struct fixture *f)
{
    assert_int_equal(assert_packet(f, VSOCK_OP_SHUTDOWN, PORT, 1).flags, VSOCK_SHUT_BOTH);
    assert_silence(f);
    guest_send(&f->g, PORT, 1, VSOCK_OP_RST, NULL, 0);
    assert_int_equal(connections(f), 0);
}

static void a_guest_that_reads_no_more_hears_that_the_host_is_gone(void **state)
{
    struct fixture *f = *state;
    int fd = join(f, PORT);

    shut(f, PORT, 1, VSOCK_SHUT_RCV);
    assert_silence(f);
    (void) close(fd);
    guest_step(&f->g);
    assert_both_halves_shut(f);
    fd = join(f, PORT); /* told before that the host takes nothing */
    shutdown(fd, SHUT_RD);
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "lost", 4);
    assert_int_equal(assert_packet(f, VSOCK_OP_SHUTDOWN, PORT, 1).flags, VSOCK_SHUT_RCV);
    shut(f, PORT, 1, VSOCK_SHUT_RCV);
    (void) close(fd);
    guest_step(&f->g);
    assert_both_halves_shut(f);
}

static void a_guest_that_reads_no_more_hears_that_the_host_was_gone_before(void **state)
{
    struct fixture *f = *state;
    struct vsock_packet p = guest_packet(PORT, 1, VSOCK_OP_CREDIT_UPDATE);
    int fd = join(f, PORT);

    p.buf_alloc = 0; /* the end lies behind data that the guest has no room for */
    guest_offer(&f->g, &p, NULL, 0);
    guest_step(&f->g);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    (void) close(fd);
    guest_step(&f->g);
    (void) assert_packet(f, VSOCK_OP_CREDIT_REQUEST, PORT, 1);
    assert_silence(f);
    shut(f, PORT, 1, VSOCK_SHUT_RCV);
    assert_both_halves_shut(f);
}

static void a_guest_that_reads_no_more_fails_the_hosts_writes(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);

    shut(f, PORT, 1, VSOCK_SHUT_RCV);
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "still", 5);
    assert_read(fd, "still");
    assert_silence(f);
}

static void what_a_guest_sent_before_its_close_still_arrives(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct conn *c = only_conn(f);
    int small = 4096;

    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    pour(f, PORT, 100000);
    assert_true(held(f) > 0);
    shut(f, PORT, 1, VSOCK_SHUT_BOTH);
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 1);
    (void) close(join(f, PORT)); /* the guest may use its port again at once */
    assert_int_equal(drain(f, fd), 100000);
    assert_end(fd);
}

/* The guest may have given the number to another connection. */
static void what_goes_on_after_the_guests_close_earns_no_credit(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    int small = 4096;

    assert_int_equal(setsockopt(only_conn(f)->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    pour(f, PORT, VSOCK_WINDOW_LARGE - 1);
    assert_true(held(f) > VSOCK_WINDOW_LARGE / 2 + (64u << 10)); /* worth a word otherwise */
    shut(f, PORT, 1, VSOCK_SHUT_BOTH);
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 1);
    assert_int_equal(drain(f, fd), VSOCK_WINDOW_LARGE - 1);
    assert_silence(f);
    assert_end(fd);
}

static void what_nobody_reads_is_dropped_after_a_while(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    int small = 4096;

    assert_int_equal(setsockopt(only_conn(f)->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    pour(f, PORT, 100000);
    shut(f, PORT, 1, VSOCK_SHUT_BOTH);
    assert_int_equal(connections(f), 1);
    let_time_pass(f);
    assert_int_equal(connections(f), 0);
    assert_logged(f, "reason=timeout");
    assert_int_equal(held(f), 0);
    assert_true(drain(f, fd) < 100000);
    assert_end(fd);
}

static void a_host_peer_that_closes_ends_both_halves_after_its_data(void **state)
{
    struct fixture *f = *state;
    int fd = join(f, PORT);
    struct vsock_packet p;
    bool data = false;

    assert_int_equal(send(fd, "x", 1, 0), 1);
    (void) close(fd);
    guest_step(&f->g);
    do {
        assert_true(guest_take(&f->g, &p, NULL));
        data |= p.op == VSOCK_OP_RW;
    } while (p.op != VSOCK_OP_SHUTDOWN || p.flags != VSOCK_SHUT_BOTH);
    assert_true(data);
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "late", 4); /* it did not know yet */
    assert_silence(f);
    assert_int_equal(connections(f), 1);
    let_time_pass(f); /* and never confirms */
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 1);
    assert_int_equal(connections(f), 0);
}

static void a_host_peer_that_dies_with_data_unread_resets(void **state)
{
    struct fixture *f = *state;
    int fd = join(f, PORT);
    struct vsock_packet p = { .op = 0 };

    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "x", 1);
    (void) close(fd);
    guest_step(&f->g);
    while (guest_take(&f->g, &p, NULL))
        assert_true(p.op == VSOCK_OP_SHUTDOWN || p.op == VSOCK_OP_RST);
    assert_int_equal(p.op, VSOCK_OP_RST);
    assert_int_equal(connections(f), 0);
}

/* Its counters say nothing, wherever ours are. */
static void a_reset_of_the_guest_ends_the_hosts_socket(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);

    only_conn(f)->sent = only_conn(f)->peer_passed = 3000000000u;
    guest_send(&f->g, PORT, 1, VSOCK_OP_RST, NULL, 0);
    assert_end(fd);
    assert_silence(f);
    assert_int_equal(connections(f), 0);
}

static void a_host_that_reads_no_more_fails_the_guests_writes(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct vsock_packet p;

    shutdown(fd, SHUT_RD);
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "lost", 4);
    p = assert_packet(f, VSOCK_OP_SHUTDOWN, PORT, 1);
    assert_int_equal(p.flags, VSOCK_SHUT_RCV);
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "under way", 9); /* it did not know yet */
    assert_int_equal(only_conn(f)->passed, 13);
    assert_int_equal(send(fd, "x", 1, 0), 1); /* the other half lives */
    guest_step(&f->g);
    (void) assert_packet(f, VSOCK_OP_RW, PORT, 1);
    (void) close(steal_fd(&fd));
    guest_step(&f->g);
    p = assert_packet(f, VSOCK_OP_SHUTDOWN, PORT, 1);
    assert_int_equal(p.flags, VSOCK_SHUT_BOTH);
    shut(f, PORT, 1, VSOCK_SHUT_BOTH); /* both at once: confirmed too */
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 1);
    assert_int_equal(connections(f), 0);
}

static void a_shutdown_before_the_connection_is_a_reset(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int first = dial(f, "full"); /* fills the backlog */

    guest_give_all(&f->g);
    guest_send(&f->g, PORT, 3, VSOCK_OP_REQUEST, NULL, 0);
    shut(f, PORT, 3, VSOCK_SHUT_SEND);
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 3);
    assert_int_equal(connections(f), 0);
    (void) close(take_client(f->full));
    assert_end(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(halves_are_shut_one_by_one),
        TEST(the_hosts_half_close_keeps_the_guests_half),
        TEST(a_guest_that_reads_no_more_hears_that_the_host_is_gone),
        TEST(a_guest_that_reads_no_more_hears_that_the_host_was_gone_before),
        TEST(a_guest_that_reads_no_more_fails_the_hosts_writes),
        TEST(what_a_guest_sent_before_its_close_still_arrives),
        TEST(what_goes_on_after_the_guests_close_earns_no_credit),
        TEST(what_nobody_reads_is_dropped_after_a_while),
        TEST(a_host_peer_that_closes_ends_both_halves_after_its_data),
        TEST(a_host_peer_that_dies_with_data_unread_resets),
        TEST(a_reset_of_the_guest_ends_the_hosts_socket),
        TEST(a_host_that_reads_no_more_fails_the_guests_writes),
        TEST(a_shutdown_before_the_connection_is_a_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
