/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/init/root-attributes.h"

#include "base/test-sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/xattr.h>

#include <cmocka.h>

struct pair {
    int from, to;
};

static struct pair pair_of(void **state)
{
    const struct sandbox *sb = *state;

    assert_int_equal(mkdirat(sb->fd, "from", 0700), 0);
    assert_int_equal(mkdirat(sb->fd, "to", 0755), 0);
    return (struct pair){ sandbox_open(sb->fd, "from"), sandbox_open(sb->fd, "to") };
}

static void pair_close(const struct pair *p)
{
    assert_int_equal(close(p->from), 0);
    assert_int_equal(close(p->to), 0);
}

static void assert_xattr(int fd, const char *name, const char *want)
{
    char value[16] = "";

    assert_int_equal(fgetxattr(fd, name, value, sizeof(value)), strlen(want));
    assert_memory_equal(value, want, strlen(want));
}

static void copy_gives_mode_and_time(void **state)
{
    const struct timespec times[2] = { { 5, 6 }, { 1234567890, 123456789 } };
    struct pair p = pair_of(state);
    struct stat st;

    assert_int_equal(fchmod(p.from, 03751), 0);
    assert_int_equal(futimens(p.from, times), 0);
    assert_int_equal(root_attributes_copy(p.from, p.to, NULL), 0);
    assert_int_equal(fstat(p.to, &st), 0);
    assert_int_equal(st.st_mode & 07777, 03751);
    assert_int_equal(st.st_mtim.tv_sec, 1234567890);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
    assert_int_not_equal(st.st_atim.tv_sec, 5);
    pair_close(&p);
}

static void copy_gives_the_owner(void **state)
{
    struct pair p = pair_of(state);
    struct stat st;

    if (geteuid() != 0) {
        pair_close(&p);
        print_message("# only root gives folders away\n");
        skip();
    }
    assert_int_equal(fchown(p.from, 3, 70000), 0);
    assert_int_equal(fchmod(p.from, 06711), 0);
    assert_int_equal(root_attributes_copy(p.from, p.to, NULL), 0);
    assert_int_equal(fstat(p.to, &st), 0);
    assert_int_equal(st.st_uid, 3);
    assert_int_equal(st.st_gid, 70000);
    assert_int_equal(st.st_mode & 07777, 06711);
    pair_close(&p);
}

static void copy_gives_extended_attributes(void **state)
{
    struct pair p = pair_of(state);

    if (fsetxattr(p.from, "user.one", "1", 1, 0) < 0) {
        assert_int_equal(errno, ENOTSUP); /* a file system that has none */
        pair_close(&p);
        print_message("# this file system has no user attributes\n");
        skip();
    }
    assert_int_equal(fsetxattr(p.from, "user.empty", "", 0, 0), 0);
    assert_int_equal(root_attributes_copy(p.from, p.to, NULL), 0);
    assert_xattr(p.to, "user.one", "1");
    assert_xattr(p.to, "user.empty", "");
    pair_close(&p);
}

/* An image whose root says "opaque" would hide itself. */
static void copy_leaves_out_what_speaks_to_the_overlay(void **state)
{
    struct pair p = pair_of(state);
    char value[4];

    if (fsetxattr(p.from, "trusted.overlay.opaque", "y", 1, 0) < 0 ||
        fsetxattr(p.from, "trusted.other", "z", 1, 0) < 0) {
        assert_true(errno == EPERM || errno == ENOTSUP); /* root's alone */
        pair_close(&p);
        print_message("# trusted attributes cannot be set: not root, or a file system without\n");
        skip();
    }
    assert_int_equal(root_attributes_copy(p.from, p.to, NULL), 0);
    assert_xattr(p.to, "trusted.other", "z");
    assert_int_equal(fgetxattr(p.to, "trusted.overlay.opaque", value, sizeof(value)), -1);
    assert_int_equal(errno, ENODATA);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(copy_gives_mode_and_time, sandbox_setup, sandbox_teardown),
        cmocka_unit_test_setup_teardown(copy_gives_the_owner, sandbox_setup, sandbox_teardown),
        cmocka_unit_test_setup_teardown(copy_gives_extended_attributes, sandbox_setup,
                                        sandbox_teardown),
        cmocka_unit_test_setup_teardown(copy_leaves_out_what_speaks_to_the_overlay, sandbox_setup,
                                        sandbox_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
