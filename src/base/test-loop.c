/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include "base/clock.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/epoll.h>

#include <poll.h>

#include <stdbool.h>

#include <cmocka.h>

/* One loop with two pipes, and what its callbacks saw. */
struct fixture {
    struct loop *loop;
    int a[2], b[2];
    struct loop_source *source_a, *source_b, *timer, *limit;
    unsigned calls_a, calls_b, calls_timer;
    uint32_t events;
    uint64_t fired_ms;
    mvm_error *error;
};

static void limit_passed(void *user)
{
    (void) user;
    fail_msg("the loop never came to its end");
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(loop_new(&f->loop, NULL), 0);
    assert_int_equal(pipe2(f->a, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(pipe2(f->b, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(loop_add_timer(f->loop, 30000, limit_passed, f, &f->limit, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    loop_free(f->loop);
    for (int i = 0; i < 2; i++) {
        if (f->a[i] >= 0)
            (void) close(f->a[i]);
        (void) close(f->b[i]);
    }
    free(f);
    return 0;
}

static void fill(const int pipe_fds[2])
{
    assert_int_equal(write(pipe_fds[1], "x", 1), 1);
}

static void drain(const int pipe_fds[2])
{
    char data[64];

    while (read(pipe_fds[0], data, sizeof(data)) > 0)
        continue;
}

static void stop_on_a(void *user, uint32_t events)
{
    struct fixture *f = user;

    f->calls_a++;
    f->events = events;
    loop_stop(f->loop);
}

static void stop_on_b(void *user, uint32_t events)
{
    struct fixture *f = user;

    (void) events;
    f->calls_b++;
    loop_stop(f->loop);
}

static void stop_on_timer(void *user)
{
    struct fixture *f = user;

    f->calls_timer++;
    f->fired_ms = clock_now_ms();
    loop_stop(f->loop);
}

static void readable_descriptor_is_reported(void **state)
{
    struct fixture *f = *state;

    fill(f->a);
    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, stop_on_a, f, &f->source_a, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a, 1);
    assert_int_equal(f->events, EPOLLIN);
    /* Level-triggered: it is reported until it is read. */
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a, 2);
}

static void closed_peer_is_reported(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, stop_on_a, f, &f->source_a, NULL), 0);
    assert_int_equal(close(steal_fd(&f->a[1])), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->events, EPOLLHUP);
}

static void paused_source_is_silent_even_when_the_peer_is_gone(void **state)
{
    struct fixture *f = *state;
    struct loop_source *timer = NULL;

    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, stop_on_a, f, &f->source_a, NULL), 0);
    assert_int_equal(loop_set_events(f->source_a, 0, NULL), 0);
    fill(f->a);
    assert_int_equal(close(steal_fd(&f->a[1])), 0);
    assert_int_equal(loop_add_timer(f->loop, 20, stop_on_timer, f, &timer, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a, 0);
    assert_int_equal(f->calls_timer, 1);
    assert_int_equal(loop_set_events(f->source_a, EPOLLIN, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a, 1);
    assert_int_equal(f->events, EPOLLIN | EPOLLHUP);
}

static void source_may_begin_paused(void **state)
{
    struct fixture *f = *state;

    fill(f->a);
    assert_int_equal(loop_add_fd(f->loop, f->a[0], 0, stop_on_a, f, &f->source_a, NULL), 0);
    assert_int_equal(loop_add_timer(f->loop, 10, stop_on_timer, f, &f->timer, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a, 0);
    assert_int_equal(loop_set_events(f->source_a, EPOLLIN, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a, 1);
}

static void remove_both(void *user, uint32_t events)
{
    struct fixture *f = user;

    (void) events;
    f->calls_a++;
    loop_remove(steal_ptr(&f->source_a));
    loop_remove(steal_ptr(&f->source_b));
    loop_set_timer(f->timer, 10);
}

static void callback_may_remove_itself_and_one_of_the_same_round(void **state)
{
    struct fixture *f = *state;

    fill(f->a);
    fill(f->b);
    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, remove_both, f, &f->source_a, NULL), 0);
    assert_int_equal(loop_add_fd(f->loop, f->b[0], EPOLLIN, remove_both, f, &f->source_b, NULL), 0);
    assert_int_equal(loop_add_timer(f->loop, -1, stop_on_timer, f, &f->timer, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a, 1); /* whichever came first, the other one was gone */
    assert_int_equal(f->calls_timer, 1);
}

static void add_b(void *user, uint32_t events)
{
    struct fixture *f = user;

    (void) events;
    f->calls_a++;
    drain(f->a);
    for (int i = 0; i < 100; i++) {
        struct loop_source *passing = NULL;

        assert_int_equal(loop_add_timer(f->loop, 1000, limit_passed, f, &passing, NULL), 0);
        loop_remove(passing);
    }
    assert_int_equal(loop_add_fd(f->loop, f->b[0], EPOLLIN, stop_on_b, f, &f->source_b, NULL), 0);
}

static void callback_may_add_sources(void **state)
{
    struct fixture *f = *state;

    fill(f->a);
    fill(f->b);
    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, add_b, f, &f->source_a, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a, 1);
    assert_int_equal(f->calls_b, 1);
}

static void pause_other(void *user, uint32_t events)
{
    struct fixture *f = user;

    (void) events;
    f->calls_a++;
    assert_int_equal(loop_set_events(f->source_a, 0, NULL), 0);
    assert_int_equal(loop_set_events(f->source_b, 0, NULL), 0);
    loop_set_timer(f->timer, 10);
}

static void source_paused_in_the_same_round_is_not_called(void **state)
{
    struct fixture *f = *state;

    fill(f->a);
    fill(f->b);
    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, pause_other, f, &f->source_a, NULL), 0);
    assert_int_equal(loop_add_fd(f->loop, f->b[0], EPOLLIN, pause_other, f, &f->source_b, NULL), 0);
    assert_int_equal(loop_add_timer(f->loop, -1, stop_on_timer, f, &f->timer, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a, 1);
}

static void stop_ends_the_round_and_loses_nothing(void **state)
{
    struct fixture *f = *state;

    fill(f->a);
    fill(f->b);
    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, stop_on_a, f, &f->source_a, NULL), 0);
    assert_int_equal(loop_add_fd(f->loop, f->b[0], EPOLLIN, stop_on_b, f, &f->source_b, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a + f->calls_b, 1);
    loop_remove(f->calls_a ? steal_ptr(&f->source_a) : steal_ptr(&f->source_b));
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a, 1);
    assert_int_equal(f->calls_b, 1);
}

static void stop_before_the_run_ends_it(void **state)
{
    struct fixture *f = *state;

    fill(f->a);
    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, stop_on_a, f, &f->source_a, NULL), 0);
    loop_stop(f->loop);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a, 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a, 1);
}

static void run_again(void *user)
{
    struct fixture *f = user;

    assert_int_equal(loop_run(f->loop, &f->error), MVM_E_STATE);
    loop_stop(f->loop);
}

static void run_within_a_callback_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(loop_add_timer(f->loop, 0, run_again, f, &f->timer, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_string_equal(mvm_error_message(f->error), "the event loop runs already");
    mvm_error_free(steal_ptr(&f->error));
}

static void regular_file_is_always_ready_until_paused(void **state)
{
    struct fixture *f = *state;
    /* A regular file, and a device that epoll refuses likewise. */
    static const char *const names[] = { "/etc/passwd", "/dev/null" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        mvm_autoclose int fd = open(names[i], O_RDONLY | O_CLOEXEC);
        struct loop_source *s = NULL;
        struct loop_source *timer = NULL;

        f->calls_a = 0;
        assert_int_equal(loop_add_fd(f->loop, fd, EPOLLIN, stop_on_a, f, &s, NULL), 0);
        assert_int_equal(loop_run(f->loop, NULL), 0);
        assert_int_equal(loop_run(f->loop, NULL), 0);
        assert_int_equal(f->calls_a, 2);
        assert_int_equal(f->events, EPOLLIN);
        assert_int_equal(loop_set_events(s, 0, NULL), 0);
        assert_int_equal(loop_add_timer(f->loop, 5, stop_on_timer, f, &timer, NULL), 0);
        assert_int_equal(loop_run(f->loop, NULL), 0);
        assert_int_equal(f->calls_a, 2);
        loop_remove(s);
        loop_remove(timer);
    }
}

static void descriptors_that_cannot_be_watched_are_refused(void **state)
{
    struct fixture *f = *state;
    struct loop_source *s = NULL;
    mvm_error *e = NULL;

    assert_int_equal(loop_add_fd(f->loop, 9999, EPOLLIN, stop_on_a, f, &s, &e), MVM_E_SYS);
    assert_string_equal(mvm_error_message(e), "watch descriptor 9999: Bad file descriptor");
    assert_null(s);
    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, stop_on_a, f, &f->source_a, NULL), 0);
    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, stop_on_a, f, &s, &e), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(e), EEXIST);
    assert_null(s);
    mvm_error_free(e);
}

static void timer_fires_once_and_not_early(void **state)
{
    struct fixture *f = *state;
    uint64_t start = clock_now_ms();

    assert_int_equal(loop_add_timer(f->loop, 30, stop_on_timer, f, &f->timer, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_in_range(f->fired_ms - start, 30, 30000);
    fill(f->a);
    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, stop_on_a, f, &f->source_a, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_timer, 1);
    loop_set_timer(f->timer, 0);
    loop_remove(steal_ptr(&f->source_a));
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_timer, 2);
}

static void rewind_timer(void *user)
{
    struct fixture *f = user;

    if (++f->calls_timer == 5)
        loop_stop(f->loop);
    else
        loop_set_timer(f->timer, 0);
}

static void timer_that_winds_itself_up_starves_nobody(void **state)
{
    struct fixture *f = *state;

    fill(f->b);
    assert_int_equal(loop_add_timer(f->loop, 0, rewind_timer, f, &f->timer, NULL), 0);
    assert_int_equal(loop_add_fd(f->loop, f->b[0], EPOLLIN, stop_on_b, f, &f->source_b, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_b, 1);
    loop_remove(steal_ptr(&f->source_b));
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_timer, 5);
}

static void stopped_and_removed_timers_do_not_fire(void **state)
{
    struct fixture *f = *state;
    struct loop_source *stopped = NULL;
    struct loop_source *removed = NULL;

    assert_int_equal(loop_add_timer(f->loop, 1, limit_passed, f, &stopped, NULL), 0);
    assert_int_equal(loop_add_timer(f->loop, 1, limit_passed, f, &removed, NULL), 0);
    loop_set_timer(stopped, -1);
    loop_remove(removed);
    loop_remove(NULL);
    assert_int_equal(loop_add_timer(f->loop, 20, stop_on_timer, f, &f->timer, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_timer, 1);
}

static bool loop_is_readable(struct loop *l)
{
    int fd = -EBADF;

    assert_int_equal(loop_get_fd(l, &fd, NULL), 0);
    return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0) == 1;
}

static void read_a(void *user, uint32_t events)
{
    struct fixture *f = user;
    char c;

    (void) events;
    f->calls_a += read(f->a[0], &c, 1) == 1;
}

static void count_timer(void *user)
{
    struct fixture *f = user;

    f->calls_timer++;
}

static void run_once_waits_no_longer_than_told_and_runs_what_is_ready(void **state)
{
    struct fixture *f = *state;
    uint64_t start = clock_now_ms();

    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, read_a, f, &f->source_a, NULL), 0);
    assert_int_equal(loop_run_once(f->loop, 0, NULL), 0);
    assert_int_equal(loop_run_once(f->loop, 20, NULL), 0);
    assert_in_range(clock_now_ms() - start, 19, 5000);
    assert_int_equal(f->calls_a, 0);
    fill(f->a);
    assert_int_equal(loop_run_once(f->loop, -1, NULL), 0);
    assert_int_equal(f->calls_a, 1);
}

static void descriptor_of_the_loop_tells_of_descriptors_timers_and_files(void **state)
{
    struct fixture *f = *state;
    struct loop_source *file_source = NULL;
    mvm_autoclose int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int fd = -EBADF;

    assert_false(loop_is_readable(f->loop));
    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, read_a, f, &f->source_a, NULL), 0);
    fill(f->a);
    assert_true(loop_is_readable(f->loop));
    assert_int_equal(loop_run_once(f->loop, 0, NULL), 0);
    assert_false(loop_is_readable(f->loop));
    assert_int_equal(f->calls_a, 1);
    assert_int_equal(loop_add_timer(f->loop, 10, count_timer, f, &f->timer, NULL), 0);
    assert_int_equal(loop_get_fd(f->loop, &fd, NULL), 0);
    assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 5000), 1);
    for (int i = 0; i < 100 && f->calls_timer == 0; i++)
        assert_int_equal(loop_run_once(f->loop, 1, NULL), 0);
    assert_int_equal(f->calls_timer, 1);
    assert_false(loop_is_readable(f->loop));
    /* A regular file, which epoll refuses, is always ready. */
    assert_int_equal(loop_add_fd(f->loop, file, EPOLLIN, read_a, f, &file_source, NULL), 0);
    assert_true(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 5000) == 1);
    assert_int_equal(loop_set_events(file_source, 0, NULL), 0);
    assert_false(loop_is_readable(f->loop));
}

static void run_once_in_callback(void *user)
{
    struct fixture *f = user;

    assert_int_equal(loop_run_once(f->loop, 0, NULL), MVM_E_STATE);
    f->calls_timer++;
}

static void run_once_is_refused_in_a_callback(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(loop_add_timer(f->loop, 0, run_once_in_callback, f, &f->timer, NULL), 0);
    assert_int_equal(loop_run_once(f->loop, 0, NULL), 0);
    assert_int_equal(f->calls_timer, 1);
}

#define LOOP_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* 2^32 + 1 ms are 50 days, and 1 ms to who counts in 32 bits. */
static void timer_holds_delays_above_32_bits(void **state)
{
    struct fixture *f = *state;
    struct loop_source *months = NULL, *ages = NULL;

    assert_int_equal(
        loop_add_timer(f->loop, ((int64_t) 1 << 32) + 1, limit_passed, f, &months, NULL), 0);
    assert_int_equal(loop_add_timer(f->loop, INT64_MAX, limit_passed, f, &ages, NULL), 0);
    assert_int_equal(loop_add_timer(f->loop, 30, stop_on_timer, f, &f->timer, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_timer, 1);
    loop_set_timer(ages, -1);
    loop_set_timer(months, ((int64_t) 1 << 32) + 1);
    loop_set_timer(f->timer, 10);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_timer, 2);
}

static bool finish_idle(void *user)
{
    struct fixture *f = user;

    f->calls_b++;
    if (f->calls_a == 0)
        return false; /* before the first round */
    if (f->calls_b < 4)
        return true;
    loop_stop(f->loop);
    return false;
}

static void count_a(void *user, uint32_t events)
{
    struct fixture *f = user;

    (void) events;
    drain(f->a);
    f->calls_a++;
}

static void idle_callback_is_called_until_it_has_no_more_to_do(void **state)
{
    struct fixture *f = *state;

    loop_set_idle(f->loop, finish_idle, f);
    assert_int_equal(loop_add_fd(f->loop, f->a[0], EPOLLIN, count_a, f, &f->source_a, NULL), 0);
    fill(f->a);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_a, 1);
    assert_int_equal(f->calls_b, 4); /* would wait for ever, had the third one not asked */
    loop_set_idle(f->loop, NULL, NULL);
    assert_int_equal(loop_add_timer(f->loop, 0, stop_on_timer, f, &f->timer, NULL), 0);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls_b, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(readable_descriptor_is_reported),
        LOOP_TEST(closed_peer_is_reported),
        LOOP_TEST(paused_source_is_silent_even_when_the_peer_is_gone),
        LOOP_TEST(source_may_begin_paused),
        LOOP_TEST(callback_may_remove_itself_and_one_of_the_same_round),
        LOOP_TEST(callback_may_add_sources),
        LOOP_TEST(source_paused_in_the_same_round_is_not_called),
        LOOP_TEST(stop_ends_the_round_and_loses_nothing),
        LOOP_TEST(stop_before_the_run_ends_it),
        LOOP_TEST(run_within_a_callback_is_refused),
        LOOP_TEST(regular_file_is_always_ready_until_paused),
        LOOP_TEST(descriptors_that_cannot_be_watched_are_refused),
        LOOP_TEST(timer_fires_once_and_not_early),
        LOOP_TEST(timer_that_winds_itself_up_starves_nobody),
        LOOP_TEST(stopped_and_removed_timers_do_not_fire),
        LOOP_TEST(timer_holds_delays_above_32_bits),
        cmocka_unit_test_setup_teardown(idle_callback_is_called_until_it_has_no_more_to_do, setup,
                                        teardown),
        LOOP_TEST(run_once_waits_no_longer_than_told_and_runs_what_is_ready),
        LOOP_TEST(descriptor_of_the_loop_tells_of_descriptors_timers_and_files),
        LOOP_TEST(run_once_is_refused_in_a_callback),
    };

    return cmocka_run_group_tests_name("base-loop", tests, NULL, NULL);
}
