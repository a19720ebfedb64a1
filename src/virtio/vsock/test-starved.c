/* SPDX-License-Identifier: Apache-2.0 */
/* While the guest gives no receive buffers. */
#include "virtio/vsock/test-fixture.h"

#include "base/clock.h"

/* All receive buffers that were given are used up. */
static void use_up(struct fixture *f)
{
    f->g.rx_vq.avail_idx = f->g.rx_vq.next_avail = f->g.rx.avail_idx;
}

/* As many resets wait as may before no more of the guest's packets are taken. */
static void fill_resets(struct fixture *f)
{
    for (uint32_t i = 0; f->g.device->n_resets < VSOCK_RESETS_PAUSE; i++)
        guest_send(&f->g, i, 99999, VSOCK_OP_RW, NULL, 0);
}

/* Every reset comes, once there are buffers. */
static unsigned take_resets(struct fixture *f)
{
    struct vsock_packet p;
    unsigned n = 0;

    f->g.rx_given = 0;
    guest_give_all(&f->g);
    for (int idle = 0; idle < 3; idle++) {
        for (; guest_take(&f->g, &p, NULL) && p.op == VSOCK_OP_RST; n++)
            idle = 0;
        guest_step(&f->g);
    }
    return n;
}

static void an_answer_to_the_guests_question_waits_for_a_buffer(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = join(f, PORT);

    use_up(f);
    guest_send(&f->g, PORT, 1, VSOCK_OP_CREDIT_REQUEST, NULL, 0);
    guest_step(&f->g);
    assert_silence(f);
    guest_give(&f->g, 0);
    guest_step(&f->g);
    (void) assert_packet(f, VSOCK_OP_CREDIT_UPDATE, PORT, 1);
    assert_silence(f);
    guest_send(&f->g, PORT, 1, VSOCK_OP_RW, "x", 1);
    assert_read(fd, "x");
}

static void clients_wait_while_too_many_resets_do(void **state)
{
    struct fixture *f = *state;
    mvm_autoclose int fd = -EBADF;

    guest_give_all(&f->g);
    guest_step(&f->g);
    use_up(f);
    fill_resets(f);
    fd = dial(f, "listen");
    guest_step(&f->g);
    guest_step(&f->g);
    assert_int_equal(connections(f), 0);
    assert_int_equal(take_resets(f), VSOCK_RESETS_PAUSE);
    assert_int_equal(connections(f), 1);
}

/* The packet that is not taken is no reason to look again before there is a buffer. */
static void too_many_resets_are_waited_with_and_not_looked_at_again_and_again(void **state)
{
    enum {
        WAIT_MS = 200
    };
    struct fixture *f = *state;
    struct vsock_packet p = guest_packet(PORT, 99999, VSOCK_OP_RW);
    uint64_t start;

    fill_resets(f);
    for (int i = 0; i < 2; i++) {
        guest_offer(&f->g, &p, NULL, 0);
        guest_step(&f->g);
        start = clock_now_ms();
        assert_int_equal(loop_run_once(f->g.loop, WAIT_MS, NULL), 0);
        assert_in_range(clock_now_ms() - start, WAIT_MS, UINT64_MAX);
    }
    assert_int_equal(f->g.device->n_resets, VSOCK_RESETS_PAUSE);
    assert_int_equal(take_resets(f), VSOCK_RESETS_PAUSE + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_to_the_guests_question_waits_for_a_buffer),
        TEST(clients_wait_while_too_many_resets_do),
        TEST(too_many_resets_are_waited_with_and_not_looked_at_again_and_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
