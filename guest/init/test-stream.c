/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include "base/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>

#include <cmocka.h>

/* Two pipes with a stream between them: the test writes into one and reads from the other. */
struct fixture {
    int source;           /* owned: the test's end */
    int sink;             /* owned */
    int epoll_fd;         /* owned */
    struct endpoint from; /* the stream's ends */
    struct endpoint to;
    struct stream stream;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int in[2], out[2];

    if (!f || pipe2(in, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    (void) signal(SIGPIPE, SIG_IGN);
    f->source = in[1];
    f->sink = out[0];
    f->from.fd = in[0];
    f->to.fd = out[1];
    f->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (endpoint_watch(&f->from, f->epoll_fd, NULL) < 0 ||
        endpoint_watch(&f->to, f->epoll_fd, NULL) < 0)
        return -1;
    stream_init(&f->stream, &f->from, &f->to);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    if (f->source >= 0)
        (void) close(f->source);
    if (f->sink >= 0)
        (void) close(f->sink);
    endpoint_close(&f->from);
    endpoint_close(&f->to);
    (void) close(f->epoll_fd);
    free(f);
    return 0;
}

/* One turn of the loop that the stream lives in. */
static void turn(struct fixture *f)
{
    assert_int_equal(endpoint_wait(f->epoll_fd, 0, NULL), 0);
    while (stream_pump(&f->stream))
        continue;
}

static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t) ((offset * 2654435761u) >> 13);
}

static void stream_is_exact_when_writer_and_reader_stall(void **state)
{
    struct fixture *f = *state;
    const uint64_t total = 3 * 1024 * 1024 + 17;
    uint64_t sent = 0, got = 0, seed = 1;
    uint8_t data[4096];

    while (got < total) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t want = seed >> 52; /* up to 4095 */

        if (want > total - sent)
            want = (size_t) (total - sent);
        for (size_t i = 0; i < want; i++)
            data[i] = byte_at(sent + i);
        ssize_t n = want ? write(f->source, data, want) : 0;
        sent += n > 0 ? (uint64_t) n : 0;
        turn(f);
        /* The reader is slower at first: the stream's buffer and both pipes fill up. */
        n = sent < total / 2 && seed >> 62 ? 0 : read(f->sink, data, sizeof(data));
        for (ssize_t i = 0; i < n; i++, got++)
            if (data[i] != byte_at(got))
                fail_msg("byte %llu differs", (unsigned long long) got);
    }
    assert_true(f->stream.received == total);
    assert_true(f->stream.delivered == total);
    assert_false(stream_is_done(&f->stream));
    (void) close(steal_fd(&f->source));
    turn(f);
    assert_true(stream_is_done(&f->stream));
}

static void stream_buffers_no_more_than_its_size(void **state)
{
    struct fixture *f = *state;
    uint8_t data[4096] = { 0 };
    uint64_t sent = 0;
    ssize_t n;

    do {
        n = write(f->source, data, sizeof(data));
        sent += n > 0 ? (uint64_t) n : 0;
        turn(f);
    } while (n > 0);
    assert_true(f->stream.received - f->stream.delivered <= STREAM_BUFFER_SIZE);
    assert_true(sent <= 3 * 65536); /* two pipes and the buffer */
}

static void stream_reads_nothing_above_its_limit(void **state)
{
    struct fixture *f = *state;
    char data[16];

    f->stream.limit = 5;
    assert_int_equal(write(f->source, "hello world", 11), 11);
    turn(f);
    assert_true(stream_is_done(&f->stream));
    assert_int_equal(f->stream.received, 5);
    assert_int_equal(read(f->sink, data, sizeof(data)), 5);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(f->stream.last, 'o');
}

static void limit_of_nothing_is_an_end_at_once(void **state)
{
    struct fixture *f = *state;

    f->stream.limit = 0;
    turn(f);
    assert_true(stream_is_done(&f->stream));
}

static void stream_drops_what_comes_when_the_reader_is_gone(void **state)
{
    struct fixture *f = *state;
    uint8_t data[4096] = { 0 };

    (void) close(steal_fd(&f->sink));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(write(f->source, data, sizeof(data)), sizeof(data));
        turn(f);
    }
    assert_true(f->stream.dropping);
    assert_int_equal(f->stream.received, 100 * sizeof(data));
    assert_int_equal(f->stream.delivered, 0);
    (void) close(steal_fd(&f->source));
    turn(f);
    assert_true(stream_is_done(&f->stream));
}

static void appended_bytes_come_last(void **state)
{
    struct fixture *f = *state;
    char data[16];

    assert_int_equal(write(f->source, "ab", 2), 2);
    (void) close(steal_fd(&f->source));
    turn(f);
    assert_true(stream_append(&f->stream, 4));
    turn(f);
    assert_int_equal(read(f->sink, data, sizeof(data)), 3);
    assert_memory_equal(data, "ab\x04", 3);
}

static void append_refuses_when_the_buffer_is_full(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < STREAM_BUFFER_SIZE; i++)
        assert_true(stream_append(&f->stream, 'x'));
    assert_false(stream_append(&f->stream, 'x'));
}

static void absent_ends_are_ended_or_dropping(void **state)
{
    struct fixture *f = *state;
    struct endpoint none = ENDPOINT_NONE;
    mvm_autofree struct stream *s = malloc(sizeof(*s));

    assert_non_null(s);
    stream_init(s, &none, &f->to);
    assert_true(stream_is_done(s));
    stream_init(s, &f->from, &none);
    assert_true(s->dropping);
}

#define STREAM_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STREAM_TEST(stream_is_exact_when_writer_and_reader_stall),
        STREAM_TEST(stream_buffers_no_more_than_its_size),
        STREAM_TEST(stream_reads_nothing_above_its_limit),
        STREAM_TEST(limit_of_nothing_is_an_end_at_once),
        STREAM_TEST(stream_drops_what_comes_when_the_reader_is_gone),
        STREAM_TEST(appended_bytes_come_last),
        STREAM_TEST(append_refuses_when_the_buffer_is_full),
        STREAM_TEST(absent_ends_are_ended_or_dropping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
