/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include "base/error.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void grow_makes_the_index_fit_and_keeps_the_content(void **state)
{
    mvm_autofree uint32_t *items = NULL;
    size_t cap = 0;

    (void) state;
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(mem_grow(&items, &cap, i, sizeof(*items)), 0);
        assert_true(cap > i);
        items[i] = (uint32_t) i;
    }
    assert_int_equal(cap, 1024);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
}

static void grow_refuses_what_overflows(void **state)
{
    mvm_autofree uint64_t *items = NULL;
    size_t cap = 0;

    (void) state;
    assert_int_equal(mem_grow(&items, &cap, SIZE_MAX, sizeof(*items)), -1);
    assert_int_equal(mem_grow(&items, &cap, SIZE_MAX / 8, sizeof(*items)), -1);
    assert_int_equal(cap, 0);
    assert_null(items);
}

static void array_is_zeroed_never_null_and_checked(void **state)
{
    volatile size_t many = SIZE_MAX / 2; /* volatile: the compiler warns of the constant */
    mvm_autofree char *none = mem_array(0, 8);
    mvm_autofree char *some = mem_array(3, 2);

    (void) state;
    assert_non_null(none);
    assert_memory_equal(some, "\0\0\0\0\0\0", 6);
    assert_null(mem_array(many, 4));
}

static void strv_stays_null_ended(void **state)
{
    mvm_autovalue(strv) v = { .items = NULL };

    (void) state;
    assert_int_equal(strv_add(&v, "a"), 0);
    assert_int_equal(strv_addn(&v, "bcdef", 2), 0);
    assert_int_equal(strv_addf(&v, "%d-%s", 7, "x"), 0);
    assert_int_equal(v.n, 3);
    assert_string_equal(v.items[0], "a");
    assert_string_equal(v.items[1], "bc");
    assert_string_equal(v.items[2], "7-x");
    assert_null(v.items[3]);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(strv_add(&v, "more"), 0);
        assert_null(v.items[v.n]);
    }
}

static void strv_addn_stops_at_nul(void **state)
{
    mvm_autovalue(strv) v = { .items = NULL };

    (void) state;
    assert_int_equal(strv_addn(&v, "a\0b", 3), 0);
    assert_string_equal(v.items[0], "a");
}

static void strv_copies_even_itself(void **state)
{
    mvm_autovalue(strv) v = { .items = NULL };
    mvm_autovalue(strv) empty = { .items = NULL };

    (void) state;
    assert_int_equal(strv_copy(&v, &empty), 0);
    assert_int_equal(v.n, 0);
    assert_int_equal(strv_add(&v, "a"), 0);
    assert_int_equal(strv_add(&v, "b"), 0);
    assert_int_equal(strv_copy(&v, &v), 0);
    assert_int_equal(v.n, 4);
    assert_string_equal(v.items[3], "b");
    assert_ptr_not_equal(v.items[1], v.items[3]);
}

static void strv_deinit_may_come_twice(void **state)
{
    struct strv v = { .items = NULL };

    (void) state;
    assert_int_equal(strv_add(&v, "a"), 0);
    strv_deinit(&v);
    strv_deinit(&v);
    assert_int_equal(v.n, 0);
    assert_null(v.items);
}

static void steal_leaves_nothing_behind(void **state)
{
    mvm_autofree char *p = strdup("x");
    mvm_autofree char *q = steal_ptr(&p);
    int fd = 7;

    (void) state;
    assert_null(p);
    assert_string_equal(q, "x");
    assert_int_equal(steal_fd(&fd), 7);
    assert_int_equal(fd, -EBADF);
}

static void open_and_leave(int *ret_fd)
{
    mvm_autoclose int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    mvm_autofclose FILE *f = fopen("/dev/null", "re");
    mvm_autofree char *p = strdup("x");

    assert_true(fd >= 0 && f && p);
    *ret_fd = fd;
    errno = EXDEV;
}

static void scope_end_closes_and_keeps_errno(void **state)
{
    int fd = -1;

    (void) state;
    open_and_leave(&fd);
    assert_int_equal(errno, EXDEV);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(errno, EBADF);
}

static void text_is_replaced_by_a_copy_or_by_nothing(void **state)
{
    char text[] = "new";
    char *held = strdup("old");

    (void) state;
    assert_int_equal(text_replace(&held, text), 0);
    text[0] = 'x';
    assert_string_equal(held, "new");
    assert_int_equal(text_replace(&held, NULL), 0);
    assert_null(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grow_makes_the_index_fit_and_keeps_the_content),
        cmocka_unit_test(grow_refuses_what_overflows),
        cmocka_unit_test(array_is_zeroed_never_null_and_checked),
        cmocka_unit_test(strv_stays_null_ended),
        cmocka_unit_test(strv_addn_stops_at_nul),
        cmocka_unit_test(strv_copies_even_itself),
        cmocka_unit_test(strv_deinit_may_come_twice),
        cmocka_unit_test(steal_leaves_nothing_behind),
        cmocka_unit_test(scope_end_closes_and_keeps_errno),
        cmocka_unit_test(text_is_replaced_by_a_copy_or_by_nothing),
    };

    return cmocka_run_group_tests_name("base-mem", tests, NULL, NULL);
}
