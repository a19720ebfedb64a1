/* SPDX-License-Identifier: Apache-2.0 */
#include "environment.h"

#include "base/strbuf.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void expect_env(const char *const *list, size_t n, const struct environment_defaults *d,
                       const char *want)
{
    mvm_autovalue(strv) in = { .items = NULL };
    mvm_autovalue(strv) out = { .items = NULL };
    mvm_autovalue(strbuf) got = STRBUF_INIT(4096);

    for (size_t i = 0; i < n; i++)
        assert_int_equal(strv_add(&in, list[i]), 0);
    assert_int_equal(environment_build(&in, d, &out, NULL), 0);
    assert_null(out.items[out.n]);
    for (size_t i = 0; i < out.n; i++)
        strbuf_addf(&got, "%s%s", i ? " " : "", out.items[i]);
    assert_string_equal(strbuf_str(&got), want);
}
#define EXPECT_ENV(d, want, ...)                     \
    expect_env((const char *const[]){ __VA_ARGS__ }, \
               ARRAY_SIZE(((const char *const[]){ __VA_ARGS__ })), (d), (want))

static const struct environment_defaults none = { .home = NULL };

static void last_entry_of_a_variable_wins_in_its_place(void **state)
{
    (void) state;
    EXPECT_ENV(&none, "B=2 PATH=/b A=3", "PATH=/a", "A=1", "B=2", "PATH=/b", "A=3");
    EXPECT_ENV(&none, "PATH=/b AB=2 A=3 ABC=4", "PATH=/b", "A=1", "AB=2", "A=3", "ABC=4");
    EXPECT_ENV(&none, "PATH= A=", "PATH=", "A=1", "A=");
    EXPECT_ENV(&none, "PATH=x A==1=2", "PATH=x", "A=0", "A==1=2");
}

static void entries_that_are_no_variables_are_dropped(void **state)
{
    (void) state;
    EXPECT_ENV(&none, "PATH=x A=1", "PATH=x", "", "NOVALUE", "=x", "=", "A=1");
}

static void defaults_fill_in_what_is_not_set(void **state)
{
    (void) state;
    const struct environment_defaults d = { .home = "/root", .hostname = "box", .term = "xterm" };

    EXPECT_ENV(&d, "A=1 PATH=" ENVIRONMENT_PATH_DEFAULT " HOME=/root HOSTNAME=box TERM=xterm",
               "A=1");
    EXPECT_ENV(&d, "HOME= TERM=vt100 PATH=/b HOSTNAME=own", "HOME=", "TERM=vt100", "PATH=/b",
               "HOSTNAME=own");
}

static void empty_list_gets_a_path(void **state)
{
    (void) state;
    expect_env(NULL, 0, &none, "PATH=" ENVIRONMENT_PATH_DEFAULT);
}

static void long_list_is_merged(void **state)
{
    (void) state;
    mvm_autovalue(strv) in = { .items = NULL };
    mvm_autovalue(strv) out = { .items = NULL };

    for (int i = 0; i < 20000; i++)
        assert_int_equal(strv_addf(&in, "V%d=%d", i % 10000, i), 0);
    assert_int_equal(environment_build(&in, &none, &out, NULL), 0);
    assert_int_equal(out.n, 10001);
    assert_string_equal(out.items[0], "V0=10000");
    assert_string_equal(environment_get(&out, "V9999"), "19999");
    assert_null(environment_get(&out, "V"));
}

static void expect_search(const char *path, const char *name, const char *want)
{
    mvm_autovalue(strbuf) got = STRBUF_INIT(65536);
    char file[32];

    while (environment_next_program(&path, name, file, sizeof(file)))
        strbuf_addf(&got, "%s ", file);
    assert_string_equal(strbuf_str(&got), want);
}

static void programs_are_searched_in_the_order_of_path(void **state)
{
    (void) state;
    expect_search("/a:/b:/c", "x", "/a/x /b/x /c/x ");
    expect_search("/a", "x", "/a/x ");
    expect_search("/a/", "x", "/a//x ");
}

static void empty_path_entries_are_the_working_directory(void **state)
{
    (void) state;
    expect_search("", "x", "./x ");
    expect_search(":/a", "x", "./x /a/x ");
    expect_search("/a:", "x", "/a/x ./x ");
    expect_search("/a::/b", "x", "/a/x ./x /b/x ");
}

static void name_with_a_slash_is_not_searched(void **state)
{
    (void) state;
    expect_search("/a:/b", "./x", "./x ");
    expect_search("/a:/b", "/bin/x", "/bin/x ");
    expect_search("/a:/b", "sub/x", "sub/x ");
    expect_search(":", "x/", "x/ ");
}

static void candidates_that_do_not_fit_are_passed_over(void **state)
{
    (void) state;
    /* 32 bytes with the NUL: 29 + "/x" fits, 30 + "/x" does not. */
    expect_search("/aaaaaaaaaaaaaaaaaaaaaaaaaaaa:/b", "x", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaa/x /b/x ");
    expect_search("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaa:/b", "x", "/b/x ");
    expect_search("/b", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_entry_of_a_variable_wins_in_its_place),
        cmocka_unit_test(entries_that_are_no_variables_are_dropped),
        cmocka_unit_test(defaults_fill_in_what_is_not_set),
        cmocka_unit_test(empty_list_gets_a_path),
        cmocka_unit_test(long_list_is_merged),
        cmocka_unit_test(programs_are_searched_in_the_order_of_path),
        cmocka_unit_test(empty_path_entries_are_the_working_directory),
        cmocka_unit_test(name_with_a_slash_is_not_searched),
        cmocka_unit_test(candidates_that_do_not_fit_are_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
