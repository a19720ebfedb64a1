/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stream-end.h"

#include "base/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct stream_end end_of(int fd, bool write)
{
    struct stream_end e = STREAM_END_NONE;

    assert_int_equal(stream_end_open(fd, write, &e, NULL), 0);
    return e;
}

/* The caller's descriptor keeps its flags: it may be a shell's terminal. */
static void end_leaves_shared_flags_alone(void **state)
{
    struct stream_end e;
    int pipes[2], shared;

    (void) state;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    shared = fcntl(pipes[0], F_DUPFD_CLOEXEC, 3);
    e = end_of(pipes[0], false);
    assert_int_equal(fcntl(shared, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(e.fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_false(e.blocking);
    stream_end_close(&e);
    stream_end_close(&e);
    (void) close(shared);
    (void) close(pipes[1]);
}

static void pipe_and_socket_do_not_block(void **state)
{
    static uint8_t data[1 << 20];
    struct stream_end ends[4];
    int pipes[2], sockets[2];
    ssize_t n;

    (void) state;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    ends[0] = end_of(pipes[0], false);
    ends[1] = end_of(pipes[1], true);
    ends[2] = end_of(sockets[0], false);
    ends[3] = end_of(sockets[1], true);
    for (int i = 0; i < 4; i += 2) {
        assert_int_equal(stream_end_read(&ends[i], data, 1), -1);
        assert_int_equal(errno, EAGAIN);
        while ((n = stream_end_write(&ends[i + 1], data, sizeof(data))) > 0)
            ;
        assert_int_equal(n, -1);
        assert_int_equal(errno, EAGAIN);
    }
    for (int i = 0; i < 4; i++)
        stream_end_close(&ends[i]);
}

/* With the default action, which would end this process. */
static void broken_end_is_an_errno_and_no_signal(void **state)
{
    struct stream_end ends[4];
    int pipes[2], sockets[2];
    sigset_t pending;

    (void) state;
    assert_ptr_not_equal(signal(SIGPIPE, SIG_DFL), SIG_ERR);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    ends[0] = end_of(pipes[0], false);
    ends[1] = end_of(pipes[1], true);
    ends[2] = end_of(sockets[0], false);
    ends[3] = end_of(sockets[1], true);
    for (int i = 0; i < 4; i += 2) {
        stream_end_close(&ends[i]);
        assert_int_equal(stream_end_write(&ends[i + 1], "x", 1), -1);
        assert_int_equal(errno, EPIPE);
        assert_int_equal(sigpending(&pending), 0);
        assert_false(sigismember(&pending, SIGPIPE));
        stream_end_close(&ends[i + 1]);
    }
}

/* Opening /dev/ptmx anew would give another terminal. */
static void terminal_master_stays_the_same_and_takes_small_writes(void **state)
{
    static uint8_t data[PIPE_BUF + 1];
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), fd = master;
    struct stream_end e;

    (void) state;
    if (master < 0) {
        print_message("# no pseudo-terminal can be had\n");
        skip();
    }
    e = end_of(master, true);
    assert_int_equal(e.fd, fd);
    assert_true(e.blocking);
    stream_end_close(&e);
    /* The rule for what is blocking, on a pipe. */
    int pipes[2];

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    e = (struct stream_end){ .fd = pipes[1], .blocking = true };
    assert_int_equal(stream_end_write(&e, data, sizeof(data)), PIPE_BUF);
    stream_end_close(&e);
    (void) close(pipes[0]);
}

static void bad_descriptor_is_refused(void **state)
{
    struct stream_end e = STREAM_END_NONE;
    mvm_error *err = NULL;

    (void) state;
    assert_int_equal(stream_end_open(-EBADF, false, &e, &err), MVM_E_SYS);
    assert_non_null(strstr(mvm_error_message(err), "look at descriptor"));
    mvm_error_free(err);
    assert_int_equal(e.fd, -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(end_leaves_shared_flags_alone),
        cmocka_unit_test(pipe_and_socket_do_not_block),
        cmocka_unit_test(broken_end_is_an_errno_and_no_signal),
        cmocka_unit_test(terminal_master_stays_the_same_and_takes_small_writes),
        cmocka_unit_test(bad_descriptor_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
