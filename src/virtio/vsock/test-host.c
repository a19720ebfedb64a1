/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that begin on the host, and ports that are special. */
#include "virtio/vsock/test-fixture.h"

/* The guest is asked for a connection to @port; gives the host's port. */
static uint32_t assert_asked(struct fixture *f, uint32_t port)
{
    struct vsock_packet p = { .op = 0 };

    if (!guest_take(&f->g, &p, NULL))
        fail_msg("no request for port %u", port);
    assert_int_equal(p.op, VSOCK_OP_REQUEST);
    assert_int_equal(p.dst_port, port);
    assert_int_equal(p.buf_alloc, VSOCK_WINDOW_LARGE);
    return p.src_port;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

static void clients_wait_for_the_driver(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = dial(f, "listen");
    uint32_t host_port;
    char data[GUEST_RX_DATA];
    struct vsock_packet p;

    guest_step(&f->g);
    assert_int_equal(connections(f), 0); /* not even accepted */
    guest_give_all(&f->g);
    guest_step(&f->g);
    guest_step(&f->g);
    host_port = assert_asked(f, 1000);
    say(fd, "early");
    guest_step(&f->g);
    assert_silence(f); /* no data before the answer */
    guest_send(&f->g, 1000, host_port, VSOCK_OP_RESPONSE, NULL, 0);
    assert_true(guest_take(&f->g, &p, data));
    assert_memory_equal(data, "early", 5);
    guest_send(&f->g, 1000, host_port, VSOCK_OP_RW, "back", 4);
    assert_read(fd, "back");
}

static void clients_that_the_guest_refuses_are_closed(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = dial(f, "listen");
    mvm_autoclose int silent = dial(f, "listen");
    uint32_t first;

    guest_give_all(&f->g);
    guest_step(&f->g);
    guest_step(&f->g);
    first = assert_asked(f, 1000);
    (void) assert_asked(f, 1000);
    guest_send(&f->g, 1000, first, VSOCK_OP_RST, NULL, 0);
    assert_logged(f, "reason=guest-refused");
    assert_end(fd);
    let_time_pass(f); /* the other one is never answered */
    assert_logged(f, "reason=timeout");
    assert_end(silent);
    (void) assert_packet(f, VSOCK_OP_RST, 1000, first + 1);
    assert_int_equal(connections(f), 0);
}

static void requests_wait_for_receive_buffers_and_are_not_reset_before(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = -1;

    guest_give_all(&f->g);
    guest_step(&f->g);
    f->g.rx_vq.avail_idx = f->g.rx_vq.next_avail = f->g.rx.avail_idx; /* all are used up */
    fd = dial(f, "listen");
    guest_step(&f->g);
    assert_int_equal(connections(f), 1);
    let_time_pass(f);
    assert_int_equal(connections(f), 0);
    assert_int_equal(f->g.device->n_resets, 0); /* the guest never heard of it */
    assert_end(fd);
}

static void running_out_of_descriptors_makes_clients_wait(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = dial(f, "listen");
    struct rlimit files, few;

    guest_give_all(&f->g);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    few = files;
    few.rlim_cur = (rlim_t) fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int i = 0; i < 3; i++)
        guest_step(&f->g);
    guest_send(&f->g, PORT, 1, VSOCK_OP_REQUEST, NULL, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 1); /* the guest's are refused */
    assert_logged(f, "reason=descriptors");
    assert_int_equal(connections(f), 0);
    (void) poll(NULL, 0, VSOCK_TICK_MS + 5);
    guest_step(&f->g);
    guest_step(&f->g);
    (void) assert_asked(f, 1000);
}

static void the_first_connection_is_joined_and_later_ones_are_reset(void **state)
{
    struct fixture *f = *state;

    guest_give_all(&f->g);
    guest_send(&f->g, PORT, 2000, VSOCK_OP_REQUEST, NULL, 0);
    (void) assert_packet(f, VSOCK_OP_RESPONSE, PORT, 2000);
    guest_send(&f->g, PORT, 2000, VSOCK_OP_RW, "agent", 5);
    assert_read(f->once_far, "agent");
    guest_send(&f->g, PORT + 1, 2000, VSOCK_OP_REQUEST, NULL, 0);
    (void) assert_packet(f, VSOCK_OP_RST, PORT + 1, 2000);
    assert_logged(f, "reason=port-used");
    guest_send(&f->g, PORT, 2000, VSOCK_OP_RST, NULL, 0);
    assert_end(f->once_far);
    guest_send(&f->g, PORT, 2000, VSOCK_OP_REQUEST, NULL, 0); /* also after its end */
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 2000);
}

static void agent_clients_wait_for_the_agents_own_connection(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = dial(f, "agent");

    guest_give_all(&f->g);
    guest_step(&f->g);
    guest_step(&f->g);
    assert_silence(f);
    assert_int_equal(connections(f), 0);                      /* in the backlog */
    guest_send(&f->g, PORT, 1000, VSOCK_OP_REQUEST, NULL, 0); /* another one is not the agent's */
    (void) assert_packet(f, VSOCK_OP_RST, PORT, 1000);
    assert_silence(f);
    say(fd, "still there");
    agent_comes(f, PORT);
    guest_step(&f->g);
    (void) assert_asked(f, 2000);
}

static void agent_clients_wait_over_a_reset_before_the_agent_came(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = dial(f, "agent");

    guest_give_all(&f->g);
    guest_step(&f->g);
    reset_device(f);
    guest_give_all(&f->g);
    guest_step(&f->g);
    guest_step(&f->g);
    assert_silence(f);
    say(fd, "still there");
    agent_comes(f, PORT);
    guest_step(&f->g);
    (void) assert_asked(f, 2000);
}

/* The agent's own connection comes once: nothing would end the wait of a client after a reset. */
static void agent_clients_ask_the_guest_after_a_reset(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = -EBADF;
    uint32_t host_port;

    agent_comes(f, PORT);
    reset_device(f);
    assert_end(f->once_far);
    fd = dial(f, "agent");
    guest_step(&f->g);
    assert_int_equal(connections(f), 0); /* the driver is not there */
    guest_give_all(&f->g);
    guest_step(&f->g);
    guest_step(&f->g);
    host_port = assert_asked(f, 2000);
    guest_send(&f->g, 2000, host_port, VSOCK_OP_RST, NULL, 0);
    assert_end(fd);
    assert_logged(f, "reason=guest-refused");
}

static void hybrid_clients_name_their_port_in_a_line(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = dial(f, "hybrid");
    char wanted[32], data[GUEST_RX_DATA];
    struct vsock_packet p;
    uint32_t host_port;

    guest_give_all(&f->g);
    guest_step(&f->g);
    say(fd, "CONN");
    guest_step(&f->g);
    guest_step(&f->g);
    assert_silence(f);
    say(fd, "ECT 52\nstream");
    guest_step(&f->g);
    host_port = assert_asked(f, 52);
    guest_send(&f->g, 52, host_port, VSOCK_OP_RESPONSE, NULL, 0);
    (void) snprintf(wanted, sizeof(wanted), "OK %u\n", host_port);
    assert_read(fd, wanted);
    assert_true(guest_take(&f->g, &p, data)); /* what came right behind the line */
    assert_int_equal(p.len, 6);
    assert_memory_equal(data, "stream", 6);
}

static void assert_line_refused(struct fixture *f, const char *line, const char *reason)
{
    mvm_autoclose int fd = dial(f, "hybrid");
    char c;
    ssize_t n;

    f->g.device->refusals.told = 0; /* as if they came one a second */
    say(fd, line);
    guest_step(&f->g);
    guest_step(&f->g);
    n = recv(fd, &c, 1, 0);
    if (n > 0 || (n < 0 && errno != ECONNRESET))
        fail_msg("'%s' was not refused", line);
    assert_logged(f, reason);
    assert_silence(f);
    assert_int_equal(connections(f), 0);
}

static void hybrid_lines_that_are_wrong_are_refused(void **state)
{
    static const char *const bad[] = { "\n",
                                       "CONNECT\n",
                                       "CONNECT \n",
                                       "connect 5\n",
                                       "CONNECT 5 \n",
                                       "CONNECT -5\n",
                                       "CONNECT 0\n",
                                       "CONNECT 00\n",
                                       "CONNECT 4294967295\n",
                                       "CONNECT 4294967296\n",
                                       "12345678901234567890123456789012" };
    struct fixture *f = *state;

    guest_give_all(&f->g);
    guest_step(&f->g);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_line_refused(f, bad[i], "reason=bad-line");
    assert_line_refused(f, "CONNECT 2000\n", "reason=port-reserved");
}

static void the_longest_hybrid_line_is_taken(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = dial(f, "hybrid");

    guest_give_all(&f->g);
    guest_step(&f->g);
    say(fd, "CONNECT 000000000000000000000052\n");
    guest_step(&f->g);
    assert_int_equal(connections(f), 0); /* 33 bytes */
    (void) close(fd);
    fd = dial(f, "hybrid");
    say(fd, "CONNECT 00000000000000000000052\n"); /* 32 */
    guest_step(&f->g);
    guest_step(&f->g);
    (void) assert_asked(f, 52);
}

static void hybrid_clients_that_say_nothing_are_bounded_in_number_and_time(void **state)
{
    struct fixture *f = *state;
    int fds[VSOCK_LINES_MAX + 1];

    guest_give_all(&f->g);
    guest_step(&f->g);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = dial(f, "hybrid");
    for (int i = 0; i < 4; i++)
        guest_step(&f->g);
    assert_int_equal(connections(f), VSOCK_LINES_MAX);
    let_time_pass(f);
    guest_step(&f->g);
    assert_logged(f, "reason=timeout");
    assert_int_equal(connections(f), 1); /* the last one's turn */
    assert_end(fds[0]);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        (void) close(fds[i]);
    guest_step(&f->g);
    assert_int_equal(connections(f), 0);
}

static void hybrid_clients_that_end_amid_their_line_hold_no_place(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int half = -EBADF;
    mvm_autoclose int whole = -EBADF;

    guest_give_all(&f->g);
    guest_step(&f->g);
    for (size_t i = 0; i < VSOCK_LINES_MAX; i++) {
        mvm_autoclose int fd = dial(f, "hybrid");

        say(fd, "CONNECT 5");
    }
    half = dial(f, "hybrid");
    say(half, "CONNECT 5");
    guest_step(&f->g);
    guest_step(&f->g);
    assert_int_equal(connections(f), 1); /* it may go on */
    assert_logged(f, "without its end");
    shutdown(half, SHUT_WR);
    guest_step(&f->g);
    assert_end(half);
    assert_int_equal(connections(f), 0);
    whole = dial(f, "hybrid");
    say(whole, "CONNECT 52\nall of it");
    shutdown(whole, SHUT_WR); /* ends what it sends, and not its line */
    guest_step(&f->g);
    guest_step(&f->g);
    (void) assert_asked(f, 52);
}

static void the_guest_reaches_sockets_beside_the_hybrid_one(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int server = make_listener(f, "h_4000", 4);
    mvm_autoclose int fd = -1;

    guest_give_all(&f->g);
    guest_send(&f->g, PORT, 4000, VSOCK_OP_REQUEST, NULL, 0);
    (void) assert_packet(f, VSOCK_OP_RESPONSE, PORT, 4000);
    fd = take_client(server);
    guest_send(&f->g, PORT, 4000, VSOCK_OP_RW, "x", 1);
    assert_read(fd, "x");
}

static void refusals_fill_no_log(void **state)
{
    struct fixture *f = *state;

    guest_give_all(&f->g);
    for (uint32_t i = 0; i < 30; i++) {
        struct vsock_packet p;

        f->g.last_line[0] = '\0';
        guest_send(&f->g, PORT + i, 2, VSOCK_OP_REQUEST, NULL, 0);
        assert_true(guest_take(&f->g, &p, NULL));
    }
    assert_true(f->g.device->refusals.untold > 0);
    f->g.device->refusals.since_ms = 0; /* the next second */
    guest_send(&f->g, PORT, 2, VSOCK_OP_REQUEST, NULL, 0);
    assert_int_equal(f->g.device->refusals.untold, 0);
    assert_int_equal(f->g.device->refusals.told, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(clients_wait_for_the_driver),
        TEST(clients_that_the_guest_refuses_are_closed),
        TEST(requests_wait_for_receive_buffers_and_are_not_reset_before),
        TEST(running_out_of_descriptors_makes_clients_wait),
        TEST(the_first_connection_is_joined_and_later_ones_are_reset),
        TEST(agent_clients_wait_for_the_agents_own_connection),
        TEST(agent_clients_wait_over_a_reset_before_the_agent_came),
        TEST(agent_clients_ask_the_guest_after_a_reset),
        TEST(hybrid_clients_name_their_port_in_a_line),
        TEST(hybrid_lines_that_are_wrong_are_refused),
        TEST(the_longest_hybrid_line_is_taken),
        TEST(hybrid_clients_that_say_nothing_are_bounded_in_number_and_time),
        TEST(hybrid_clients_that_end_amid_their_line_hold_no_place),
        TEST(the_guest_reaches_sockets_beside_the_hybrid_one),
        TEST(refusals_fill_no_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
