/* SPDX-License-Identifier: Apache-2.0 */
#include "user.h"

#include "base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char passwd_text[] = "root:x:0:0:root:/root:/bin/sh\n"
                                  "# a comment\n"
                                  "alice:x:1000:1001:Alice,,,:/home/alice:/bin/sh\n"
                                  "twin:x:1000:7::/home/twin:/bin/sh\n"
                                  "1234:x:55:56::/home/digits:/bin/sh\n"
                                  "nohome:x:60:61\n"
                                  "last:x:4294967294:4294967294::/l";
static const char group_text[] = "root:x:0:\n"
                                 "wheel:x:10:root,alice\n"
                                 "nobody:x:11:alicex,xalice,al\n"
                                 "audio:x:29:alice\n"
                                 "77:x:99:\n"
                                 "alice:x:1001:\n"
                                 "staff:x:50:bob,alice,carol";

static struct text_file file_of(const char *text)
{
    return (struct text_file){ .data = text, .len = strlen(text) };
}

static int resolve(const char *spec, struct user *ret, mvm_error **err)
{
    return user_resolve(spec, file_of(passwd_text), file_of(group_text), ret, err);
}

/* "uid:gid:group,group:home" */
static void expect(const char *spec, const char *want)
{
    mvm_autovalue(user) u = { .home = NULL };
    mvm_autovalue(strbuf) got = STRBUF_INIT(4096);
    mvm_autoerror mvm_error *err = NULL;

    if (resolve(spec, &u, &err) != 0)
        fail_msg("%s: %s", spec, mvm_error_message(err));
    strbuf_addf(&got, "%u:%u:", u.uid, u.gid);
    for (size_t i = 0; i < u.n_groups; i++)
        strbuf_addf(&got, "%s%u", i ? "," : "", u.groups[i]);
    strbuf_addf(&got, ":%s", u.home);
    assert_string_equal(strbuf_str(&got), want);
}

static void user_is_found_by_name_and_by_number(void **state)
{
    (void) state;
    expect(NULL, "0:0:10:/root");
    expect("", "0:0:10:/root");
    expect("root", "0:0:10:/root");
    expect("alice", "1000:1001:10,29,50:/home/alice");
    expect("1000", "1000:1001:10,29,50:/home/alice"); /* the first of two */
    expect("twin", "1000:7::/home/twin");
    expect("1234", "55:56::/home/digits"); /* a name made of digits */
    expect("nohome", "60:61::/");
    expect("last", "4294967294:4294967294::/l");
}

static void number_without_an_entry_is_used_as_it_is(void **state)
{
    (void) state;
    expect("4242", "4242:0::/");
    expect("4294967294", "4294967294:4294967294::/l");
    expect("4242:43", "4242:43::/");
}

static void asked_for_group_replaces_all_groups(void **state)
{
    (void) state;
    expect("alice:audio", "1000:29::/home/alice");
    expect("alice:12345", "1000:12345::/home/alice");
    expect("1000:1001", "1000:1001::/home/alice");
    expect("alice:77", "1000:99::/home/alice"); /* a name made of digits */
    expect(":wheel", "0:10::/root");
    expect("alice:", "1000:1001:10,29,50:/home/alice");
}

static void expect_failure(const char *spec, const char *message)
{
    mvm_autovalue(user) u = { .home = NULL };
    mvm_autoerror mvm_error *err = NULL;

    assert_int_equal(resolve(spec, &u, &err), MVM_E_ARG);
    assert_string_equal(mvm_error_message(err), message);
    assert_null(u.home);
}

static void unknown_names_are_refused_and_named(void **state)
{
    (void) state;
    expect_failure("bob", "no user 'bob' in /etc/passwd");
    expect_failure("bob:wheel", "no user 'bob' in /etc/passwd");
    expect_failure("alice:none", "no group 'none' in /etc/group");
    expect_failure("alice:wheel:audio", "no group 'wheel:audio' in /etc/group");
    expect_failure("-1", "no user '-1' in /etc/passwd");
    expect_failure("4294967295", "no user '4294967295' in /etc/passwd"); /* (uid_t) -1 */
    expect_failure("1000:4294967295", "no group '4294967295' in /etc/group");
    expect_failure("# a comment", "no user '# a comment' in /etc/passwd");
    expect_failure(" alice", "no user ' alice' in /etc/passwd");
}

static void malformed_lines_are_no_entries(void **state)
{
    (void) state;
    static const char *const lines[] = { "alice",
                                         "alice:x",
                                         "alice:x:1",
                                         "alice:x:1:",
                                         "alice:x::1::/:",
                                         "alice:x:-1:1::/:",
                                         "alice:x:0x1:1::/:",
                                         "alice:x:4294967295:1::/:",
                                         "alice:x:99999999999999999999:1::/:",
                                         "alice:x:1:1x::/:",
                                         ":x:1:1::/:",
                                         "alice :x:1:1::/:",
                                         "::::::",
                                         "\n\n" };

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        mvm_autovalue(user) u = { .home = NULL };

        if (user_resolve("alice", file_of(lines[i]), file_of(""), &u, NULL) != MVM_E_ARG)
            fail_msg("taken for an entry: %s", lines[i]);
    }
}

static void empty_files_know_numbers_only(void **state)
{
    (void) state;
    const struct text_file none = { .data = NULL, .len = 0 };
    mvm_autovalue(user) u = { .home = NULL };
    mvm_autovalue(user) number = { .home = NULL };

    assert_int_equal(user_resolve("", none, none, &u, NULL), 0);
    assert_int_equal(u.uid, 0);
    assert_string_equal(u.home, "/");
    assert_int_equal(user_resolve("5:6", none, none, &number, NULL), 0);
    assert_int_equal(number.uid, 5);
    assert_int_equal(number.gid, 6);
}

static void home_with_a_nul_is_ignored(void **state)
{
    (void) state;
    static const char text[] = "alice:x:1:1::/ho\0me:/bin/sh\n";
    mvm_autovalue(user) u = { .home = NULL };

    assert_int_equal(
        user_resolve("alice", (struct text_file){ text, sizeof(text) - 1 }, file_of(""), &u, NULL),
        0);
    assert_string_equal(u.home, "/");
}

static void groups_have_a_maximum(void **state)
{
    (void) state;
    for (int above = 0; above <= 1; above++) {
        mvm_autovalue(strbuf) group = STRBUF_INIT(4 << 20);
        mvm_autovalue(user) u = { .home = NULL };

        for (int i = 0; i < USER_GROUPS_MAX + above; i++)
            strbuf_addf(&group, "g%d:x:%d:alice\n", i, i);
        assert_int_equal(user_resolve("alice", file_of(passwd_text),
                                      (struct text_file){ group.data, group.len }, &u, NULL),
                         above ? MVM_E_LIMIT : 0);
        assert_int_equal(u.n_groups, above ? 0 : USER_GROUPS_MAX);
    }
}

static uid_t uid_of(struct user_cache *c, const char *spec)
{
    const struct user *u = NULL;

    assert_int_equal(user_lookup(c, spec, &u, NULL), 0);
    return u->uid;
}

static void answer_is_kept_while_question_and_files_are_the_same(void **state)
{
    struct user_cache c = USER_CACHE_INIT;
    const struct user *u;

    (void) state;
    assert_int_equal(uid_of(&c, NULL), 0);
    if (!c.spec) { /* this host has changed the files just now */
        user_cache_deinit(&c);
        print_message("# the host's files of users have just changed\n");
        skip();
    }
    c.user.uid = 7; /* shows where an answer is from */
    assert_int_equal(uid_of(&c, ""), 7);
    assert_int_equal(uid_of(&c, "12345"), 12345);
    assert_int_equal(uid_of(&c, NULL), 0);
    for (int i = 0; i < 2; i++) {
        c.user.uid = 7;
        c.stamps[i].changed[1]++;
        assert_int_equal(uid_of(&c, NULL), 0);
    }
    c.user.uid = 7;
    assert_int_equal(user_lookup(&c, "nobody-of-this-name", &u, NULL), MVM_E_ARG);
    assert_int_equal(uid_of(&c, NULL), 0);
    user_cache_deinit(&c);
}

static void put_passwd(const char *path, int uid)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fprintf(f, "alice:x:%d:1::/:/bin/sh\n", uid) > 0);
    assert_int_equal(fclose(f), 0);
}

/* Of the same size, in the same file, at what may be the same time. */
static void change_right_after_another_is_seen(void **state)
{
    char path[] = "/tmp/test-user-XXXXXX";
    struct user_cache c = { .passwd = path, .group = "/dev/null/none" };
    int fd = mkstemp(path);

    (void) state;
    assert_true(fd >= 0);
    (void) close(fd);
    for (int uid = 1; uid < 9; uid++) {
        put_passwd(path, uid);
        assert_int_equal(uid_of(&c, "alice"), uid);
        assert_null(c.spec); /* nothing is kept so early */
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(user_lookup(&c, "alice", &(const struct user *){ NULL }, NULL), MVM_E_ARG);
    user_cache_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(user_is_found_by_name_and_by_number),
        cmocka_unit_test(number_without_an_entry_is_used_as_it_is),
        cmocka_unit_test(asked_for_group_replaces_all_groups),
        cmocka_unit_test(unknown_names_are_refused_and_named),
        cmocka_unit_test(malformed_lines_are_no_entries),
        cmocka_unit_test(empty_files_know_numbers_only),
        cmocka_unit_test(home_with_a_nul_is_ignored),
        cmocka_unit_test(groups_have_a_maximum),
        cmocka_unit_test(answer_is_kept_while_question_and_files_are_the_same),
        cmocka_unit_test(change_right_after_another_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
