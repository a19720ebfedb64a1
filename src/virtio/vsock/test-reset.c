/* SPDX-License-Identifier: Apache-2.0 */
/* Resets and the end of the device, and what becomes of the guest's last words. */
#include "virtio/vsock/test-fixture.h"

#include "base/clock.h"

static void a_stopped_device_drops_its_connections_and_starts_anew(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    mvm_autoclose int again = -1;

    pour(f, PORT, 10);
    vsock_device_stopped(f->g.device, VSOCK_QUEUE_RX);
    vsock_device_stopped(f->g.device, VSOCK_QUEUE_TX);
    guest_step(&f->g);
    assert_int_equal(drain(f, fd), 10);
    assert_end(fd);
    assert_int_equal(connections(f), 0);
    assert_int_equal(guest_start(&f->g), 0);
    again = join(f, PORT);
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "x", 1);
    assert_read(again, "x");
}

/* A connection whose data the host does not take; gives the host's end. */
static int join_slow(struct fixture *f, uint32_t port, size_t len)
{
    int small = 4096, fd = join(f, port);
    struct conn *c = conn_find(f->g.device, port, 1);

    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    pour(f, port, len);
    assert_true(c->held_len > 0);
    return fd;
}

static void what_a_guest_sent_before_a_reset_still_arrives(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int open = join_slow(f, PORT, 100000);
    mvm_autoclose int shut_down = join_slow(f, PORT + 1, 100000);

    shut(f, PORT + 1, 1, VSOCK_SHUT_BOTH);
    for (int i = 0; i < 2; i++) { /* the second reset finds what the first left */
        reset_device(f);
        assert_int_equal(connections(f), 2);
    }
    (void) close(join(f, PORT)); /* its number is free */
    assert_int_equal(drain(f, open), 100000);
    assert_end(open);
    assert_int_equal(drain(f, shut_down), 100000);
    assert_end(shut_down);
    assert_int_equal(held(f), 0);
}

static void what_is_in_the_ring_at_its_stop_still_arrives(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    struct vsock_packet p = guest_packet(PORT, 1, VSOCK_OP_RW);

    p.len = 4;
    guest_offer(&f->g, &p, "last", 4);
    reset_device(f);
    assert_read(fd, "last");
    assert_end(fd);
}

static void a_broken_ring_is_not_read_at_its_stop(void **state)
{
    struct fixture *f = *state;

    test_ring_desc(&f->g.tx, 0, TEST_BASE + GUEST_MEMORY, 44, 0, 0);
    test_ring_offer(&f->g.tx, 0);
    reset_device(f);
    assert_int_equal(f->g.broke, 0); /* it stops anyway */
    (void) close(join(f, PORT));
}

static void the_end_waits_for_what_the_guest_sent(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join_slow(f, PORT, 100000);
    mvm_autoclose int other = join(f, PORT + 1);

    vsock_device_stopped(f->g.device, VSOCK_QUEUE_RX);
    vsock_device_stopped(f->g.device, VSOCK_QUEUE_TX);
    vsock_device_finish(f->g.device);
    guest_step(&f->g);
    assert_end(other);
    assert_int_equal(connections(f), 1);
    assert_logged(f, "bytes still go to the host");
    assert_int_equal(drain(f, fd), 100000);
    assert_end(fd);
    assert_int_equal(loop_run(f->g.loop, NULL), 0); /* nobody else stops it */
}

static void the_end_waits_for_nobody_when_nothing_is_left(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);

    vsock_device_finish(f->g.device);
    assert_int_equal(loop_run(f->g.loop, NULL), 0);
    assert_end(fd);
}

static void the_end_waits_for_a_while_and_tells_what_is_lost(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join_slow(f, PORT, 100000);

    vsock_device_finish(f->g.device);
    assert_in_range(f->g.device->finish_ms, clock_now_ms() + VSOCK_FLUSH_MS - 10000,
                    clock_now_ms() + VSOCK_FLUSH_MS);
    f->g.device->finish_ms = clock_now_ms();
    assert_int_equal(loop_run(f->g.loop, NULL), 0);
    assert_int_equal(connections(f), 1);
    vsock_device_free(steal_ptr(&f->g.device));
    assert_logged(f, "bytes of 1 connections that nobody on the host reads are dropped");
    assert_true(drain(f, fd) < 100000);
    assert_end(fd);
}

static void rings_beyond_trust_stop_the_device_until_its_reset(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    mvm_autoclose int again = -1;

    test_ring_desc(&f->g.tx, 0, TEST_BASE + GUEST_MEMORY, 44, 0, 0);
    test_ring_offer(&f->g.tx, 0);
    guest_step(&f->g);
    assert_int_equal(f->g.broke, 1);
    assert_logged(f, "transmit ring is broken");
    assert_end(fd);
    assert_int_equal(guest_start(&f->g), 0);
    test_ring_desc(&f->g.rx, 0, TEST_BASE, VSOCK_HEADER_SIZE, TEST_F_WRITE, 0); /* no room */
    test_ring_offer(&f->g.rx, 0);
    guest_send(&f->g, PORT, 1, VSOCK_OP_REQUEST, NULL, 0);
    assert_int_equal(f->g.broke, 2);
    assert_logged(f, "receive ring is broken");
    (void) close(take_client(f->server));
    assert_int_equal(guest_start(&f->g), 0);
    again = join(f, PORT);
    assert_int_equal(f->g.broke, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stopped_device_drops_its_connections_and_starts_anew),
        TEST(what_a_guest_sent_before_a_reset_still_arrives),
        TEST(what_is_in_the_ring_at_its_stop_still_arrives),
        TEST(a_broken_ring_is_not_read_at_its_stop),
        TEST(the_end_waits_for_what_the_guest_sent),
        TEST(the_end_waits_for_nobody_when_nothing_is_left),
        TEST(the_end_waits_for_a_while_and_tells_what_is_lost),
        TEST(rings_beyond_trust_stop_the_device_until_its_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
