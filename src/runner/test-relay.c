/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/relay.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#include <cmocka.h>

#define BULK (300 * 1000)

struct seen {
    struct loop *loop;
    struct relay *relay;
    int input_ended, broken, done;
};

static void on_event(void *user, struct relay *r, enum relay_event event)
{
    struct seen *s = user;

    (void) r;
    s->input_ended += event == RELAY_INPUT_ENDED;
    s->broken += event == RELAY_OUTPUT_BROKEN;
    s->done += event == RELAY_DONE;
    if (event == RELAY_DONE)
        loop_stop(s->loop);
}

static void on_time_limit(void *user)
{
    (void) user;
    fail_msg("the relay did not end within 10 s");
}

static struct stream_end end_of(int fd, bool write)
{
    struct stream_end e = STREAM_END_NONE;

    assert_int_equal(stream_end_open(fd, write, &e, NULL), 0);
    return e;
}

static int temp_file(void)
{
    char path[] = "/tmp/test-relay-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);

    assert_true(fd >= 0);
    (void) unlink(path);
    return fd;
}

static uint8_t *random_bytes(size_t len)
{
    uint8_t *data = malloc(len);

    assert_non_null(data);
    srand(7);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t) rand();
    return data;
}

/* From a file, which epoll refuses, through a relay into a file: byte-exact, and the end is told
 * once. */
static void relay_copies_files_to_the_byte(void **state)
{
    struct seen s = { .loop = NULL };
    mvm_autofree uint8_t *data = random_bytes(BULK);
    mvm_autofree uint8_t *back = malloc(BULK + 1);
    struct loop_source *limit;
    int in = temp_file(), out = temp_file(), copy = fcntl(out, F_DUPFD_CLOEXEC, 3);

    (void) state;
    assert_int_equal(write(in, data, BULK), BULK);
    assert_int_equal(lseek(in, 0, SEEK_SET), 0);
    assert_int_equal(loop_new(&s.loop, NULL), 0);
    assert_int_equal(loop_add_timer(s.loop, 10000, on_time_limit, NULL, &limit, NULL), 0);
    assert_int_equal(
        relay_new(s.loop, end_of(in, false), end_of(out, true), on_event, &s, &s.relay, NULL), 0);
    assert_int_equal(loop_run(s.loop, NULL), 0);
    assert_int_equal(s.input_ended, 1);
    assert_int_equal(s.done, 1);
    assert_int_equal(pread(copy, back, BULK + 1, 0), BULK);
    assert_memory_equal(back, data, BULK);
    (void) close(copy);
    relay_free(s.relay);
    loop_free(s.loop);
}

/* A reader that goes away must not stop the stream: the writer is told and its bytes are dropped.
 */
static void relay_drops_for_a_reader_that_left(void **state)
{
    struct seen s = { .loop = NULL };
    mvm_autofree uint8_t *data = random_bytes(BULK);
    struct loop_source *limit;
    int in = temp_file(), copy = fcntl(in, F_DUPFD_CLOEXEC, 3), sockets[2];

    (void) state;
    assert_int_equal(write(in, data, BULK), BULK);
    assert_int_equal(lseek(in, 0, SEEK_SET), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    (void) close(sockets[0]);
    assert_int_equal(loop_new(&s.loop, NULL), 0);
    assert_int_equal(loop_add_timer(s.loop, 10000, on_time_limit, NULL, &limit, NULL), 0);
    assert_int_equal(relay_new(s.loop, end_of(in, false), end_of(sockets[1], true), on_event, &s,
                               &s.relay, NULL),
                     0);
    assert_int_equal(loop_run(s.loop, NULL), 0);
    assert_int_equal(s.broken, 1);
    assert_int_equal(s.done, 1);
    assert_int_equal(lseek(copy, 0, SEEK_CUR), BULK); /* all of it was read */
    (void) close(copy);
    relay_free(s.relay);
    loop_free(s.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relay_copies_files_to_the_byte),
        cmocka_unit_test(relay_drops_for_a_reader_that_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
