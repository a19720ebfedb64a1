/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"

#include "base/mem.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

static int memory_of(size_t len)
{
    mvm_autofree char *data = mem_array(len, 1);
    int fd = -EBADF;

    assert_non_null(data);
    memset(data, 'x', len);
    assert_int_equal(io_memfd("test", data, len, false, &fd, NULL), 0);
    return fd;
}

static void read_all_takes_the_maximum_and_refuses_one_above(void **state)
{
    /* Around the first step of the buffer and where it doubles. */
    static const size_t sizes[] = { 0, 1, 16383, 16384, 16385, 32767, 32768, 100000 };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        mvm_autoclose int fd = memory_of(sizes[i]);
        mvm_autofree char *data = NULL;
        mvm_autofree char *none = NULL;
        mvm_autoerror mvm_error *e = NULL;
        size_t len = 7;

        assert_int_equal(io_read_all(fd, sizes[i], &data, &len, NULL), 0);
        assert_int_equal(len, sizes[i]);
        assert_int_equal(strlen(data), sizes[i]);
        if (sizes[i] == 0)
            continue;
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        assert_int_equal(io_read_all(fd, sizes[i] - 1, &none, &len, &e), MVM_E_LIMIT);
        assert_non_null(strstr(mvm_error_message(e), "more than"));
        assert_null(none);
        assert_int_equal(len, sizes[i]);
    }
}

static void read_all_needs_no_maximum(void **state)
{
    mvm_autoclose int fd = memory_of(20000);
    mvm_autofree char *data = NULL;
    size_t len = 0;

    (void) state;
    assert_int_equal(io_read_all(fd, SIZE_MAX, &data, &len, NULL), 0);
    assert_int_equal(len, 20000);
}

static void read_all_ends_on_an_endless_file(void **state)
{
    mvm_autoclose int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    mvm_autofree char *data = NULL;
    size_t len = 0;

    (void) state;
    assert_int_equal(io_read_all(fd, 100000, &data, &len, NULL), MVM_E_LIMIT);
    assert_null(data);
}

static void calls_name_what_the_system_refuses(void **state)
{
    mvm_autoerror mvm_error *e = NULL;
    mvm_autofree char *data = NULL;
    size_t len = 0;
    char byte;

    (void) state;
    assert_int_equal(io_read_all(-1, 10, &data, &len, &e), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(e), EBADF);
    assert_int_equal(io_read_full(-1, &byte, 1, &e), MVM_E_SYS);
    assert_string_equal(mvm_error_message(e), "read: Bad file descriptor");
    assert_int_equal(io_write_all(-1, "x", 1, &e), MVM_E_SYS);
    assert_string_equal(mvm_error_message(e), "write: Bad file descriptor");
    assert_int_equal(io_set_nonblock(-1, true, &e), MVM_E_SYS);
    assert_int_equal(io_sync(-1, "the store", &e), MVM_E_SYS);
    assert_string_equal(mvm_error_message(e), "sync the store: Bad file descriptor");
}

struct transfer {
    int fd;
    size_t len;
};

static void *write_slowly(void *user)
{
    const struct transfer *t = user;

    for (size_t i = 0; i < t->len; i++)
        if (write(t->fd, "x", 1) != 1)
            break;
    (void) close(t->fd);
    return NULL;
}

static void read_full_joins_pieces_and_stops_at_the_end(void **state)
{
    mvm_autoclose int reader = -EBADF;
    struct transfer t = { .len = 1000 };
    pthread_t thread;
    char data[1500];
    int pair[2];

    (void) state;
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    reader = pair[0];
    t.fd = pair[1];
    assert_int_equal(pthread_create(&thread, NULL, write_slowly, &t), 0);
    assert_int_equal(io_read_full(reader, data, 600, NULL), 600);
    assert_int_equal(io_read_full(reader, data, sizeof(data), NULL), 400);
    assert_int_equal(io_read_full(reader, data, sizeof(data), NULL), 0);
    assert_int_equal(io_read_full(reader, data, 0, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *read_slowly(void *user)
{
    struct transfer *t = user;
    char data[777];
    ssize_t n;

    while ((n = read(t->fd, data, sizeof(data))) > 0)
        t->len += (size_t) n;
    return NULL;
}

static void write_all_outlasts_a_full_pipe(void **state)
{
    mvm_autoclose int reader = -EBADF;
    mvm_autofree char *data = mem_array(1000000, 1);
    struct transfer t = { .len = 0 };
    pthread_t thread;
    int pair[2];

    (void) state;
    assert_non_null(data);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    t.fd = reader = pair[0];
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &t), 0);
    assert_int_equal(io_write_all(pair[1], data, 1000000, NULL), 0);
    assert_int_equal(io_write_all(pair[1], data, 0, NULL), 0);
    assert_int_equal(close(pair[1]), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(t.len, 1000000);
}

static void copy_takes_the_maximum_and_refuses_one_above(void **state)
{
    /* Around one step of the copy. */
    static const size_t sizes[] = { 0, 1, 131071, 131072, 131073, 400000 };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        mvm_autoclose int from_fd = memory_of(sizes[i]);
        mvm_autoclose int to_fd = memory_of(0);
        size_t len = 7;

        assert_int_equal(io_copy(from_fd, to_fd, sizes[i], &len, NULL), 0);
        assert_int_equal(len, sizes[i]);
        assert_int_equal(lseek(to_fd, 0, SEEK_END), (off_t) sizes[i]);
        assert_int_equal(lseek(from_fd, 0, SEEK_SET), 0);
        if (sizes[i] > 0)
            assert_int_equal(io_copy(from_fd, to_fd, sizes[i] - 1, &len, NULL), MVM_E_LIMIT);
    }
}

static void memfd_holds_the_data_from_its_start(void **state)
{
    mvm_autoclose int fd = -EBADF;
    mvm_autofree char *data = NULL;
    size_t len = 0;

    (void) state;
    assert_int_equal(io_memfd("x", "a\0b", 3, false, &fd, NULL), 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(io_read_all(fd, 10, &data, &len, NULL), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "a\0b", 3);
    assert_int_equal(write(fd, "c", 1), 1);
}

static void sealed_memfd_refuses_every_change(void **state)
{
    mvm_autoclose int fd = -EBADF;

    (void) state;
    assert_int_equal(io_memfd("x", "abc", 3, true, &fd, NULL), 0);
    assert_int_equal(write(fd, "z", 1), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 1), -1);
    assert_int_equal(ftruncate(fd, 100), -1);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), -1);
    assert_ptr_equal(mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
}

static void nonblock_is_set_and_cleared_alone(void **state)
{
    mvm_autoclose int fd = open("/dev/null", O_WRONLY | O_APPEND | O_CLOEXEC);

    (void) state;
    assert_int_equal(io_set_nonblock(fd, true, NULL), 0);
    assert_int_equal(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_APPEND), O_NONBLOCK | O_APPEND);
    assert_int_equal(io_set_nonblock(fd, false, NULL), 0);
    assert_int_equal(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_APPEND), O_APPEND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_all_takes_the_maximum_and_refuses_one_above),
        cmocka_unit_test(read_all_needs_no_maximum),
        cmocka_unit_test(read_all_ends_on_an_endless_file),
        cmocka_unit_test(calls_name_what_the_system_refuses),
        cmocka_unit_test(read_full_joins_pieces_and_stops_at_the_end),
        cmocka_unit_test(write_all_outlasts_a_full_pipe),
        cmocka_unit_test(copy_takes_the_maximum_and_refuses_one_above),
        cmocka_unit_test(memfd_holds_the_data_from_its_start),
        cmocka_unit_test(sealed_memfd_refuses_every_change),
        cmocka_unit_test(nonblock_is_set_and_cleared_alone),
    };

    return cmocka_run_group_tests_name("base-io", tests, NULL, NULL);
}
