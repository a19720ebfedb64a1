/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vhost-user.h"

#include "virtio/vhost-user-wire.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "virtio/test-ring.h"

#define MEMORY (1u << 20)
#define FEATURES                                                            \
    (VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) | \
     VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES))
#define PROTOCOL \
    (VIRTIO_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) | VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG))

/* A server in a loop, and the machine's end of its socket. */
struct fixture {
    struct loop *loop;
    struct vhost_user *vu;
    struct vhost_user_device device;
    struct test_memory memory;
    struct test_ring rings[2];
    int fd, server_fd, kick[2], call[2], err;
    unsigned started[2], stopped[2], kicked[2], ended;
    char reason[256];
};

static const uint8_t config[8] = { 3, 0, 0, 0, 0, 0, 0, 7 };

static void started(void *user, unsigned queue)
{
    ((struct fixture *) user)->started[queue]++;
}

static void stopped(void *user, unsigned queue)
{
    struct fixture *f = user;
    struct vqueue *other = vhost_user_queue(f->vu, 1 - queue);
    struct vchain chain = { .iov = (struct iovec[4]){ { 0 } }, .max = 4 };

    f->stopped[queue]++;
    if (other) /* the device may still take what is in it */
        assert_int_equal(vqueue_peek(other, 0, &chain), 0);
}

static void kicked(void *user, unsigned queue)
{
    ((struct fixture *) user)->kicked[queue]++;
}

static void ended(void *user, const char *reason)
{
    struct fixture *f = user;

    f->ended++;
    (void) snprintf(f->reason, sizeof(f->reason), "%s", reason ? reason : "");
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int pair[2];

    assert_non_null(f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    f->fd = pair[0];
    f->server_fd = pair[1];
    assert_int_equal(test_memory_init(&f->memory, MEMORY), 0);
    for (size_t i = 0; i < 2; i++) {
        f->rings[i] = (struct test_ring){ .memory = &f->memory, .at = 65536 * i, .size = 16 };
        f->kick[i] = eventfd(0, EFD_CLOEXEC);
        f->call[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    f->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->device = (struct vhost_user_device){ .features = FEATURES &
                                                        ~VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES),
                                            .protocol_features = PROTOCOL,
                                            .n_queues = 2,
                                            .config = config,
                                            .config_len = sizeof(config),
                                            .started = started,
                                            .stopped = stopped,
                                            .kicked = kicked,
                                            .ended = ended,
                                            .user = f };
    assert_int_equal(loop_new(&f->loop, NULL), 0);
    assert_int_equal(vhost_user_new(f->loop, f->server_fd, &f->device, &f->vu, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    vhost_user_free(f->vu);
    loop_free(f->loop);
    test_memory_deinit(&f->memory);
    for (size_t i = 0; i < 2; i++) {
        (void) close(f->kick[i]);
        (void) close(f->call[i]);
    }
    (void) close(f->err);
    (void) close(f->server_fd);
    if (f->fd >= 0)
        (void) close(f->fd);
    free(f);
    return 0;
}

static void stop(void *user)
{
    loop_stop(user);
}

static void step(struct fixture *f)
{
    struct loop_source *timer = NULL;

    assert_int_equal(loop_add_timer(f->loop, 2, stop, f->loop, &timer, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    loop_remove(timer);
}

static void send_raw(struct fixture *f, const void *data, size_t len, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(16 * sizeof(int))];
    } control = { .space = { 0 } };
    struct iovec iov = { (void *) data, len };
    struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (n_fds > 0) {
        struct cmsghdr *c;

        mh.msg_control = &control;
        mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    assert_int_equal(sendmsg(f->fd, &mh, MSG_NOSIGNAL), len);
}

static void send_flags(struct fixture *f, uint32_t request, uint32_t flags, const void *payload,
                       uint32_t len, const int *fds, size_t n_fds)
{
    uint8_t raw[VHOST_USER_HEADER + 1024] = { 0 };

    le32_put(raw, request);
    le32_put(raw + 4, flags | VHOST_USER_VERSION);
    le32_put(raw + 8, len);
    if (len > 0)
        memcpy(raw + VHOST_USER_HEADER, payload, len);
    send_raw(f, raw, VHOST_USER_HEADER + len, fds, n_fds);
    step(f);
}

static void send_message(struct fixture *f, uint32_t request, const void *payload, uint32_t len,
                         int fd)
{
    send_flags(f, request, 0, payload, len, &fd, fd >= 0);
}

static void send_u64(struct fixture *f, uint32_t request, uint64_t value)
{
    send_message(f, request, &value, sizeof(value), -1);
}

/* The answer to @request; gives its length. */
static size_t answer(struct fixture *f, uint32_t request, void *data, size_t size)
{
    uint8_t raw[VHOST_USER_HEADER + 512];
    ssize_t n = recv(f->fd, raw, sizeof(raw), MSG_DONTWAIT);

    assert_true(n >= VHOST_USER_HEADER);
    assert_int_equal(le32_get(raw), request);
    assert_int_equal(le32_get(raw + 4), VHOST_USER_VERSION | VHOST_USER_REPLY);
    assert_int_equal(le32_get(raw + 8), n - VHOST_USER_HEADER);
    assert_true((size_t) n - VHOST_USER_HEADER <= size);
    memcpy(data, raw + VHOST_USER_HEADER, (size_t) n - VHOST_USER_HEADER);
    return (size_t) n - VHOST_USER_HEADER;
}

static uint64_t answer_u64(struct fixture *f, uint32_t request)
{
    uint64_t value = 0;

    assert_int_equal(answer(f, request, &value, sizeof(value)), 8);
    return value;
}

static void send_vring(struct fixture *f, uint32_t request, uint32_t ring, uint32_t value)
{
    const uint32_t words[2] = { ring, value };

    send_message(f, request, words, sizeof(words), -1);
}

static void send_fd(struct fixture *f, uint32_t request, uint64_t ring, int fd)
{
    send_message(f, request, &ring, sizeof(ring), fd);
}

static void send_memory(struct fixture *f)
{
    const uint64_t table[] = { 1, TEST_BASE, MEMORY, TEST_USER, 0 };

    send_message(f, VHOST_USER_SET_MEM_TABLE, table, sizeof(table), f->memory.fd);
}

static void send_addr(struct fixture *f, uint32_t ring, uint64_t shift)
{
    const struct vqueue_place p = test_ring_place(&f->rings[ring]);
    const uint64_t words[] = { ring, p.desc + shift, p.used, p.avail, 0 };

    send_message(f, VHOST_USER_SET_VRING_ADDR, words, sizeof(words), -1);
}

/* As QEMU does it. */
static void set_up(struct fixture *f)
{
    send_u64(f, VHOST_USER_SET_FEATURES, FEATURES);
    send_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, PROTOCOL);
    send_memory(f);
    for (uint32_t i = 0; i < 2; i++) {
        send_vring(f, VHOST_USER_SET_VRING_NUM, i, 16);
        send_vring(f, VHOST_USER_SET_VRING_BASE, i, 0);
        send_addr(f, i, 0);
        send_fd(f, VHOST_USER_SET_VRING_KICK, i, f->kick[i]);
        send_fd(f, VHOST_USER_SET_VRING_CALL, i, f->call[i]);
        send_fd(f, VHOST_USER_SET_VRING_ERR, i, f->err);
        assert_int_equal(f->started[i], 0);
        send_vring(f, VHOST_USER_SET_VRING_ENABLE, i, 1);
        assert_int_equal(f->started[i], 1);
    }
    assert_string_equal(f->reason, "");
}

static void features_are_told_and_agreed_on(void **state)
{
    struct fixture *f = *state;

    send_message(f, VHOST_USER_GET_FEATURES, NULL, 0, -1);
    assert_true(answer_u64(f, VHOST_USER_GET_FEATURES) == FEATURES);
    send_message(f, VHOST_USER_GET_PROTOCOL_FEATURES, NULL, 0, -1);
    assert_true(answer_u64(f, VHOST_USER_GET_PROTOCOL_FEATURES) == PROTOCOL);
    send_message(f, VHOST_USER_SET_OWNER, NULL, 0, -1);
    send_u64(f, VHOST_USER_SET_FEATURES, VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC));
    assert_int_equal(f->ended, 1);
    assert_non_null(strstr(f->reason, "was not offered"));
}

static void config_is_read_within_its_bounds(void **state)
{
    struct fixture *f = *state;
    uint8_t ask[12 + 8] = { 0 }, got[20];

    le32_put(ask + 4, 8);
    send_message(f, VHOST_USER_GET_CONFIG, ask, sizeof(ask), -1);
    assert_int_equal(answer(f, VHOST_USER_GET_CONFIG, got, sizeof(got)), 20);
    assert_memory_equal(got + 12, config, 8);
    le32_put(ask, 4); /* the last four, and four that are not there */
    send_message(f, VHOST_USER_GET_CONFIG, ask, sizeof(ask), -1);
    assert_int_equal(answer(f, VHOST_USER_GET_CONFIG, got, sizeof(got)), 20);
    assert_memory_equal(got + 12, "\0\0\0\7\0\0\0\0", 8);
    le32_put(ask, 9);
    send_message(f, VHOST_USER_GET_CONFIG, ask, sizeof(ask), -1);
    assert_int_equal(answer(f, VHOST_USER_GET_CONFIG, got, sizeof(got)), 0);
    le32_put(ask, 0);
    le32_put(ask + 4, 9); /* more than the message has room for */
    send_message(f, VHOST_USER_GET_CONFIG, ask, sizeof(ask), -1);
    assert_int_equal(answer(f, VHOST_USER_GET_CONFIG, got, sizeof(got)), 0);
    send_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, PROTOCOL);
    send_flags(f, VHOST_USER_SET_CONFIG, VHOST_USER_NEED_REPLY, ask, sizeof(ask), NULL, 0);
    assert_int_equal(answer_u64(f, VHOST_USER_SET_CONFIG), 1);
    assert_int_equal(f->ended, 0);
}

static void rings_carry_chains_kicks_and_calls(void **state)
{
    struct fixture *f = *state;
    struct iovec iov[4];
    struct vchain chain = { .iov = iov, .max = 4 };
    const uint64_t one = 1;
    uint64_t count = 0;
    struct vqueue *vq;

    set_up(f);
    vq = vhost_user_queue(f->vu, 1);
    assert_non_null(vq);
    assert_true(vq->event_idx);
    test_ring_desc(&f->rings[1], 0, TEST_BASE + 100, 5, 0, 0);
    test_ring_offer(&f->rings[1], 0);
    assert_int_equal(write(f->kick[1], &one, 8), 8);
    step(f);
    assert_int_equal(f->kicked[1], 1);
    assert_int_equal(vqueue_peek(vq, 0, &chain), 1);
    vqueue_take(vq);
    vhost_user_notify(f->vu, 1);
    assert_int_equal(read(f->call[1], &count, 8), 8);
    send_memory(f); /* again while they run, as for more memory */
    assert_int_equal(f->ended, 0);
    test_ring_desc(&f->rings[1], 0, TEST_BASE + MEMORY - 5, 5, 0, 0);
    test_ring_offer(&f->rings[1], 0);
    assert_int_equal(vqueue_peek(vq, 0, &chain), 1);
}

static void a_reset_gives_the_index_back_and_the_ring_starts_anew(void **state)
{
    struct fixture *f = *state;
    struct iovec iov[4];
    struct vchain chain = { .iov = iov, .max = 4 };
    uint32_t got[2];

    set_up(f);
    test_ring_offer(&f->rings[0], 0);
    test_ring_desc(&f->rings[0], 0, TEST_BASE, 5, 0, 0);
    assert_int_equal(vqueue_peek(vhost_user_queue(f->vu, 0), 0, &chain), 1);
    vqueue_take(vhost_user_queue(f->vu, 0));
    send_vring(f, VHOST_USER_SET_VRING_ENABLE, 0, 0);
    assert_int_equal(f->stopped[0], 1);
    assert_null(vhost_user_queue(f->vu, 0));
    send_vring(f, VHOST_USER_GET_VRING_BASE, 0, 0);
    assert_int_equal(answer(f, VHOST_USER_GET_VRING_BASE, got, sizeof(got)), 8);
    assert_int_equal(got[0], 0);
    assert_int_equal(got[1], 1);
    send_vring(f, VHOST_USER_SET_VRING_BASE, 0, got[1]);
    send_fd(f, VHOST_USER_SET_VRING_KICK, 0, f->kick[0]);
    send_vring(f, VHOST_USER_SET_VRING_ENABLE, 0, 1);
    assert_int_equal(f->started[0], 2);
    assert_int_equal(vqueue_peek(vhost_user_queue(f->vu, 0), 0, &chain), 0);
}

static void a_broken_device_waits_for_its_reset(void **state)
{
    struct fixture *f = *state;
    uint64_t count = 0;
    uint32_t got[2];

    set_up(f);
    vhost_user_break(f->vu, 1);
    assert_int_equal(f->stopped[0], 1);
    assert_int_equal(f->stopped[1], 1);
    assert_int_equal(read(f->err, &count, 8), 8);
    send_vring(f, VHOST_USER_SET_VRING_ENABLE, 0, 1);
    assert_int_equal(f->started[0], 1);
    for (uint32_t i = 0; i < 2; i++) {
        send_vring(f, VHOST_USER_GET_VRING_BASE, i, 0);
        assert_int_equal(answer(f, VHOST_USER_GET_VRING_BASE, got, sizeof(got)), 8);
        send_fd(f, VHOST_USER_SET_VRING_KICK, i, f->kick[i]);
        assert_int_equal(f->started[i], 2);
    }
    assert_int_equal(f->ended, 0);
}

/* What the peer sends, and why that is the end. */
static void assert_ends(struct fixture *f, const char *reason)
{
    if (f->ended != 1 || !strstr(f->reason, reason))
        fail_msg("'%s' instead of '%s'", f->reason, reason);
}

static void memory_that_cannot_be_ends_the_session(void **state)
{
    struct fixture *f = *state;
    const uint64_t table[] = { 1, TEST_BASE, MEMORY + 4096, TEST_USER, 0 };

    set_up(f);
    send_message(f, VHOST_USER_SET_MEM_TABLE, table, sizeof(table), f->memory.fd);
    assert_ends(f, "memory region 0: its file is too short");
    assert_int_equal(f->stopped[0], 1); /* before the memory went */
    assert_null(vhost_user_queue(f->vu, 0));
}

static void refused_memory_stops_the_rings_of_a_session_that_goes_on(void **state)
{
    struct fixture *f = *state;
    const uint64_t table[] = { 0 };

    set_up(f);
    send_flags(f, VHOST_USER_SET_MEM_TABLE, VHOST_USER_NEED_REPLY, table, 8, NULL, 0);
    assert_int_equal(answer_u64(f, VHOST_USER_SET_MEM_TABLE), 1); /* the rings lie nowhere */
    assert_null(vhost_user_queue(f->vu, 0));
    assert_int_equal(f->ended, 0);
}

static void memory_without_its_descriptors_is_refused(void **state)
{
    struct fixture *f = *state;
    const uint64_t table[] = { 2,    TEST_BASE,        4096, TEST_USER, 0, TEST_BASE + 4096,
                               4096, TEST_USER + 4096, 4096 };

    send_message(f, VHOST_USER_SET_MEM_TABLE, table, sizeof(table), f->memory.fd);
    assert_ends(f, "2 memory regions in 72 bytes with 1 descriptors");
}

static void tables_of_more_regions_than_they_have_are_refused(void **state)
{
    struct fixture *f = *state;
    const uint64_t table[] = { 2, TEST_BASE, 4096, TEST_USER, 0 };
    const int fds[] = { f->memory.fd, f->memory.fd };

    send_flags(f, VHOST_USER_SET_MEM_TABLE, 0, table, sizeof(table), fds, 2);
    assert_ends(f, "2 memory regions in 40 bytes");
}

static void more_descriptors_than_a_message_may_have_end_the_session(void **state)
{
    struct fixture *f = *state;
    const uint64_t table[] = { 9 };
    int fds[VHOST_USER_FDS_MAX + 1];

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = f->memory.fd;
    send_flags(f, VHOST_USER_SET_MEM_TABLE, 0, table, sizeof(table), fds, ARRAY_SIZE(fds));
    assert_ends(f, "more than 8 descriptors");
}

static void rings_outside_of_memory_end_the_session(void **state)
{
    struct fixture *f = *state;

    set_up(f);
    send_vring(f, VHOST_USER_SET_VRING_ENABLE, 0, 0);
    send_addr(f, 0, MEMORY);
    send_vring(f, VHOST_USER_SET_VRING_ENABLE, 0, 1);
    assert_ends(f, "ring 0: the ring lies outside the guest's memory");
}

static void rings_do_not_change_while_they_run(void **state)
{
    struct fixture *f = *state;

    set_up(f);
    send_addr(f, 0, 0); /* the same again is no change */
    assert_int_equal(f->ended, 0);
    send_vring(f, VHOST_USER_SET_VRING_NUM, 0, 8);
    assert_ends(f, "SET_VRING_NUM of ring 0 while it runs");
}

static void rings_that_are_not_there_are_refused(void **state)
{
    struct fixture *f = *state;

    send_vring(f, VHOST_USER_SET_VRING_NUM, 2, 8);
    assert_ends(f, "ring 2: there are 2");
}

static void a_ring_without_a_kick_descriptor_is_refused(void **state)
{
    struct fixture *f = *state;

    send_fd(f, VHOST_USER_SET_VRING_CALL, 0x100, -1); /* a driver that looks by itself */
    assert_int_equal(f->ended, 0);
    send_fd(f, VHOST_USER_SET_VRING_KICK, 0x100, -1);
    assert_ends(f, "without a kick descriptor");
}

static void a_kick_descriptor_that_gives_nothing_does_not_spin(void **state)
{
    struct fixture *f = *state;
    int fds[2];

    set_up(f);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    (void) close(fds[1]); /* readable for ever, without a byte */
    send_fd(f, VHOST_USER_SET_VRING_KICK, 0, fds[0]);
    step(f);
    step(f);
    assert_true(f->kicked[0] <= 1);
    assert_int_equal(f->ended, 0);
    (void) close(fds[0]);
}

static void requests_that_were_not_offered_are_refused(void **state)
{
    static const uint32_t requests[] = {
        0, 6, 7, 17, 21, 28, 31, 32, 34, 36, 37, 39, 41, 0xffffffff
    };
    struct fixture *f = *state;

    send_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, PROTOCOL);
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        send_flags(f, requests[i], VHOST_USER_NEED_REPLY, NULL, 0, NULL, 0);
        assert_int_equal(answer_u64(f, requests[i]), 1);
    }
    assert_int_equal(f->ended, 0);
    send_message(f, 31, NULL, 0, -1);
    assert_ends(f, "request 31 (GET_INFLIGHT_FD) was not offered");
}

static void messages_of_a_wrong_length_are_refused(void **state)
{
    struct fixture *f = *state;

    send_message(f, VHOST_USER_SET_FEATURES, "1234567", 7, -1);
    assert_ends(f, "SET_FEATURES with 7 bytes");
}

static void messages_that_are_too_long_are_refused(void **state)
{
    uint8_t raw[VHOST_USER_HEADER] = { VHOST_USER_SET_FEATURES, 0, 0, 0, VHOST_USER_VERSION };
    struct fixture *f = *state;

    le32_put(raw + 8, VHOST_USER_PAYLOAD_MAX + 1);
    send_raw(f, raw, sizeof(raw), NULL, 0);
    step(f);
    assert_ends(f, "SET_FEATURES with 513 bytes, at most 512");
}

static void messages_of_another_version_are_refused(void **state)
{
    uint8_t raw[VHOST_USER_HEADER] = { VHOST_USER_GET_FEATURES, 0, 0, 0, 2 };
    struct fixture *f = *state;

    send_raw(f, raw, sizeof(raw), NULL, 0);
    step(f);
    assert_ends(f, "a message of version 2");
}

static void messages_may_come_byte_by_byte(void **state)
{
    uint8_t raw[VHOST_USER_HEADER + 8] = {
        VHOST_USER_SET_FEATURES, 0, 0, 0, VHOST_USER_VERSION, 0, 0, 0, 8
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(raw); i++) {
        send_raw(f, raw + i, 1, NULL, 0);
        step(f);
    }
    assert_int_equal(f->ended, 0);
    send_message(f, VHOST_USER_GET_FEATURES, NULL, 0, -1);
    (void) answer_u64(f, VHOST_USER_GET_FEATURES);
}

static void the_end_of_the_peer_is_the_end(void **state)
{
    struct fixture *f = *state;

    set_up(f);
    (void) close(steal_fd(&f->fd));
    step(f);
    assert_int_equal(f->ended, 1);
    assert_string_equal(f->reason, "");
    assert_int_equal(f->stopped[0], 1);
}

static void an_end_amid_a_message_is_told(void **state)
{
    struct fixture *f = *state;

    send_raw(f, "\1\0\0\0", 4, NULL, 0);
    (void) close(steal_fd(&f->fd));
    step(f);
    assert_ends(f, "amid a message");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(features_are_told_and_agreed_on),
        TEST(config_is_read_within_its_bounds),
        TEST(rings_carry_chains_kicks_and_calls),
        TEST(a_reset_gives_the_index_back_and_the_ring_starts_anew),
        TEST(a_broken_device_waits_for_its_reset),
        TEST(memory_that_cannot_be_ends_the_session),
        TEST(refused_memory_stops_the_rings_of_a_session_that_goes_on),
        TEST(memory_without_its_descriptors_is_refused),
        TEST(tables_of_more_regions_than_they_have_are_refused),
        TEST(more_descriptors_than_a_message_may_have_end_the_session),
        TEST(rings_outside_of_memory_end_the_session),
        TEST(rings_do_not_change_while_they_run),
        TEST(rings_that_are_not_there_are_refused),
        TEST(a_ring_without_a_kick_descriptor_is_refused),
        TEST(a_kick_descriptor_that_gives_nothing_does_not_spin),
        TEST(requests_that_were_not_offered_are_refused),
        TEST(messages_of_a_wrong_length_are_refused),
        TEST(messages_that_are_too_long_are_refused),
        TEST(messages_of_another_version_are_refused),
        TEST(messages_may_come_byte_by_byte),
        TEST(the_end_of_the_peer_is_the_end),
        TEST(an_end_amid_a_message_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
