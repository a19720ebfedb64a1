/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel that has no memory for what a socket is given, which no event tells the end of. */
#include "virtio/vsock/test-fixture.h"

#include <sys/syscall.h>

static bool starving;
static unsigned tries;

/* In front of the C library's: all that the device writes to the host passes here. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    tries++;
    if (!starving)
        return syscall(SYS_sendmsg, fd, message, flags);
    errno = ENOBUFS;
    return -1;
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    tries++;
    if (!starving)
        return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
    errno = ENOBUFS;
    return -1;
}

static void wait_a_tick(struct fixture *f)
{
    (void) poll(NULL, 0, VSOCK_TICK_MS + 5);
    guest_step(&f->g);
}

static void data_goes_on_when_the_kernel_has_memory_again(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    unsigned before;

    starving = true;
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "hello", 5);
    assert_int_equal(held(f), 5);
    before = tries;
    for (unsigned i = 1; i <= 3; i++) { /* once a tick, and not more */
        wait_a_tick(f);
        assert_in_range(tries - before, i, 3 * i);
    }
    starving = false;
    wait_a_tick(f);
    assert_int_equal(held(f), 0);
    assert_read(fd, "hello");
    assert_int_equal(f->g.device->n_timed, 0);
    assert_int_equal(only_conn(f)->passed, 5);
}

static void what_a_closed_connection_left_goes_on_too(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);

    starving = true;
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "last", 4);
    shut(f, PORT, 1, VSOCK_SHUT_BOTH);
    wait_a_tick(f);
    assert_int_equal(held(f), 4);
    starving = false;
    wait_a_tick(f);
    assert_read(fd, "last");
    assert_end(fd);
    assert_int_equal(connections(f), 0);
}

static void a_full_socket_is_left_alone_until_it_has_room(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);
    int small = 4096;
    unsigned before;

    assert_int_equal(setsockopt(only_conn(f)->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    starving = true;
    pour(f, PORT, 100000);
    shut(f, PORT, 1, VSOCK_SHUT_BOTH);
    starving = false;
    wait_a_tick(f);
    assert_in_range(held(f), 1, 99999);
    before = tries;
    wait_a_tick(f);
    wait_a_tick(f);
    assert_int_equal(tries, before);
    assert_int_equal(drain(f, fd), 100000);
}

static void what_a_closed_connection_left_is_not_kept_for_ever(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);

    starving = true;
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "last", 4);
    shut(f, PORT, 1, VSOCK_SHUT_BOTH);
    let_time_pass(f);
    starving = false;
    assert_int_equal(connections(f), 0);
    assert_logged(f, "4 bytes that nobody on the host reads are dropped");
    assert_end(fd);
}

/* A connection that has nothing more to write is not ended by the time of a try. */
static void a_host_that_goes_deaf_meanwhile_keeps_its_other_half(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);

    starving = true;
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "lost", 4);
    starving = false;
    shutdown(fd, SHUT_RD);
    wait_a_tick(f);
    wait_a_tick(f);
    assert_int_equal(assert_packet(f, VSOCK_OP_SHUTDOWN, PORT, 1).flags, VSOCK_SHUT_RCV);
    assert_silence(f);
    assert_int_equal(connections(f), 1);
    assert_int_equal(held(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(data_goes_on_when_the_kernel_has_memory_again),
        TEST(what_a_closed_connection_left_goes_on_too),
        TEST(a_full_socket_is_left_alone_until_it_has_room),
        TEST(what_a_closed_connection_left_is_not_kept_for_ever),
        TEST(a_host_that_goes_deaf_meanwhile_keeps_its_other_half),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
