/* SPDX-License-Identifier: Apache-2.0 */
/* Where entries of layers go: names, links, whiteouts, what replaces what. */
#include "image/test-unpack-case.h"

static void unpack_refuses_names_that_climb_out(void **state)
{
    static const struct unpack_case cases[] = {
        { "..", { { FILE_OF("../outside/canary", "x") } }, .error = "climbs out" },
        { "inner ..", { { FILE_OF("a/../b", "x") } }, .error = "climbs out" },
        { ". ..", { { FILE_OF("./..", "x") } }, .error = "climbs out" },
        { "last ..", { { DIR("a/..") } }, .error = "climbs out" },
        { "absolute", { { FILE_OF("/etc/passwd", "x") } }, .error = "is absolute" },
        { "doubly absolute", { { FILE_OF("//etc", "x") } }, .error = "is absolute" },
        { "whiteout ..", { { FILE_OF("../outside/.wh.canary", "") } }, .error = "climbs out" },
        { "names its entry",
          { { FILE_OF("good", "x"), FILE_OF("x/../y", "x") } },
          .error = "'x/../y'" },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void unpack_confines_symlinked_parents(void **state)
{
    static const struct unpack_case cases[] = {
        { "absolute target starts at the root",
          { { DIR("usr/lib"), SYMLINK("lib", "/usr/lib"), FILE_OF("lib/x", "1") } },
          .there = { "usr/lib/x=1", "lib->/usr/lib" } },
        { "relative target",
          { { DIR("usr/lib"), SYMLINK("lib", "usr/lib"), FILE_OF("lib/d/x", "1") } },
          .there = { "usr/lib/d/x=1" } },
        { "across layers",
          { { DIR("usr/lib"), SYMLINK("lib", "usr/lib") }, { FILE_OF("lib/x", "1") } },
          .there = { "usr/lib/x=1", "lib->usr/lib" } },
        { ".. inside",
          { { DIR("a/b"), DIR("c"), SYMLINK("a/b/l", "../../c"), FILE_OF("a/b/l/x", "1") } },
          .there = { "c/x=1" } },
        { "climbing",
          { { DIR("a"), SYMLINK("a/l", "../../outside"), FILE_OF("a/l/canary", "x") } },
          .error = "climbs out" },
        { "climbing at once",
          { { SYMLINK("l", ".."), FILE_OF("l/outside/canary", "x") } },
          .error = "climbs out" },
        { "host path",
          { { SYMLINK("l", "/tmp"), FILE_OF("l/x", "x") } },
          .error = "missing",
          .absent = { "l/x" } },
        { "missing target",
          { { SYMLINK("l", "nowhere"), FILE_OF("l/x", "x") } },
          .error = "missing" },
        { "target is a file",
          { { FILE_OF("f", "x"), SYMLINK("l", "f"), FILE_OF("l/x", "x") } },
          .error = "no directory" },
        { "loop",
          { { SYMLINK("a", "b"), SYMLINK("b", "a"), FILE_OF("a/x", "x") } },
          .error = "40 symlinks" },
        { "whiteout through a link",
          { { DIR("d"), FILE_OF("d/x", "1"), SYMLINK("l", "d") }, { FILE_OF("l/.wh.x", "") } },
          .there = { "d/", "l->d" },
          .absent = { "d/x" } },
        { "whiteout climbing",
          { { SYMLINK("l", "../outside") }, { FILE_OF("l/.wh.canary", "") } },
          .error = "climbs out" },
        { "last component is not followed",
          { { SYMLINK("l", "../outside/canary") }, { FILE_OF("l", "new") } },
          .there = { "l=new" } },
        { "targets are verbatim",
          { { SYMLINK("l", "../../../etc/passwd"), SYMLINK("m", "/etc//passwd/.") } },
          .there = { "l->../../../etc/passwd", "m->/etc//passwd/." } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void unpack_refuses_hardlink_to_outside(void **state)
{
    static const struct unpack_case cases[] = {
        { "..", { { HARDLINK("h", "../outside/canary") } }, .error = "climbs out" },
        { "absolute", { { HARDLINK("h", "/etc/passwd") } }, .error = "is absolute" },
        { "through a link",
          { { SYMLINK("l", "../outside"), HARDLINK("h", "l/canary") } },
          .error = "climbs out" },
        { "through an absolute link",
          { { SYMLINK("l", "/etc"), HARDLINK("h", "l/passwd") } },
          .error = "no such file" },
        { "missing", { { HARDLINK("h", "nowhere") } }, .error = "hard link to 'nowhere'" },
        { "directory", { { DIR("d"), HARDLINK("h", "d") } }, .error = "is a directory" },
        { "root", { { HARDLINK("h", ".") } }, .error = "the root" },
        { "parent is a file",
          { { FILE_OF("f", "x"), HARDLINK("h", "f/x") } },
          .error = "no directory" },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void unpack_keeps_hard_links(void **state)
{
    static const struct unpack_case cases[] = {
        { "in a layer", { { FILE_OF("a", "1"), HARDLINK("b", "a") } }, .there = { "a=1", "b=1" } },
        { "to a lower layer",
          { { FILE_OF("a", "1") }, { HARDLINK("b", "a") } },
          .there = { "a=1", "b=1" } },
        { "replaced source",
          { { FILE_OF("a", "1"), HARDLINK("b", "a") }, { FILE_OF("a", "2") } },
          .there = { "a=2", "b=1" } },
        { "deleted source",
          { { FILE_OF("a", "1"), HARDLINK("b", "a") }, { FILE_OF(".wh.a", "") } },
          .there = { "b=1" },
          .absent = { "a" } },
        { "to itself", { { FILE_OF("a", "1"), HARDLINK("a", "a") } }, .there = { "a=1" } },
        { "to a symlink", { { SYMLINK("l", "x"), HARDLINK("m", "l") } }, .there = { "m->x" } },
        { "over a symlink",
          { { FILE_OF("a", "1"), SYMLINK("l", "../outside/canary"), HARDLINK("l", "a") } },
          .there = { "l=1" } },
        { "over a directory",
          { { FILE_OF("a", "1"), DIR("d/e") }, { HARDLINK("d", "a") } },
          .there = { "d=1" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void whiteouts_hide_lower_layers_alone(void **state)
{
    static const struct unpack_case cases[] = {
        { "file",
          { { FILE_OF("d/a", "1"), FILE_OF("d/b", "1") }, { FILE_OF("d/.wh.a", "") } },
          .there = { "d/b=1" },
          .absent = { "d/a", "d/.wh.a" } },
        { "tree",
          { { FILE_OF("d/e/f", "1"), FILE_OF("x", "1") }, { FILE_OF(".wh.d", "") } },
          .there = { "x=1" },
          .absent = { "d" } },
        { "link itself",
          { { FILE_OF("a", "1"), SYMLINK("l", "a") }, { FILE_OF(".wh.l", "") } },
          .there = { "a=1" },
          .absent = { "l" } },
        { "absent target",
          { { FILE_OF("a", "1") }, { FILE_OF(".wh.b", ""), FILE_OF("no/dir/.wh.b", "") } },
          .there = { "a=1" },
          .absent = { "no" } },
        { "own entry before",
          { { FILE_OF("a", "1") }, { FILE_OF("a", "2"), FILE_OF(".wh.a", "") } },
          .there = { "a=2" } },
        { "own entry after",
          { { FILE_OF("a", "1") }, { FILE_OF(".wh.a", ""), FILE_OF("a", "2") } },
          .there = { "a=2" } },
        { "own directory before, lower content goes",
          { { FILE_OF("d/old", "1") }, { DIR("d"), FILE_OF("d/new", "2"), FILE_OF(".wh.d", "") } },
          .there = { "d/new=2" },
          .absent = { "d/old" } },
        { "own content below, no entry of the directory",
          { { FILE_OF("d/e/old", "1") }, { FILE_OF("d/e/new", "2"), FILE_OF(".wh.d", "") } },
          .there = { "d/e/new=2" },
          .absent = { "d/e/old" } },
        { "hard link of a lower file is not its name",
          { { FILE_OF("d/a", "1") }, { HARDLINK("b", "d/a"), FILE_OF("d/.wh.a", "") } },
          .there = { "b=1" },
          .absent = { "d/a" } },
        { "not a whiteout", { { FILE_OF(".whnot", "1") } }, .there = { ".whnot=1" } },
        { "below a whiteout", { { FILE_OF(".wh.x/y", "1") } }, .absent = { ".wh.x" } },
        { "empty", { { FILE_OF(".wh.", "") } }, .error = "whiteout" },
        { "dot", { { FILE_OF("d/.wh..", "") } }, .error = "whiteout" },
        { "dot dot", { { FILE_OF(".wh...", "") } }, .error = "whiteout" },
        { "aufs",
          { { FILE_OF("a", "1") },
            { FILE_OF(".wh..wh.aufs", ""), FILE_OF(".wh..wh.plnk/1.2", "") } },
          .there = { "a=1" },
          .absent = { ".wh..wh.aufs", ".wh..wh.plnk" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void opaque_markers_hide_wherever_they_stand(void **state)
{
    static const struct unpack_case cases[] = {
        { "before",
          { { FILE_OF("d/old", "1") }, { FILE_OF("d/.wh..wh..opq", ""), FILE_OF("d/new", "2") } },
          .there = { "d/new=2" },
          .absent = { "d/old", "d/.wh..wh..opq" } },
        { "after",
          { { FILE_OF("d/old", "1") }, { FILE_OF("d/new", "2"), FILE_OF("d/.wh..wh..opq", "") } },
          .there = { "d/new=2" },
          .absent = { "d/old" } },
        { "same name before",
          { { FILE_OF("d/a", "1") }, { FILE_OF("d/a", "2"), FILE_OF("d/.wh..wh..opq", "") } },
          .there = { "d/a=2" } },
        { "nested directories after",
          { { FILE_OF("d/s/old", "1"), FILE_OF("d/t/old", "1") },
            { DIR("d/s"), FILE_OF("d/s/new", "2"), FILE_OF("d/.wh..wh..opq", "") } },
          .there = { "d/s/new=2" },
          .absent = { "d/s/old", "d/t" } },
        { "keeps the directory",
          { { FILE_OF("d/old", "1") }, { FILE_OF("d/.wh..wh..opq", "") } },
          .there = { "d/" },
          .absent = { "d/old" } },
        { "missing directory", { { FILE_OF("d/.wh..wh..opq", "") } }, .absent = { "d" } },
        { "no directory",
          { { FILE_OF("d", "1") }, { FILE_OF("d/.wh..wh..opq", "") } },
          .error = "no directory" },
        { "root",
          { { FILE_OF("a", "1"), DIR("b") }, { FILE_OF(".wh..wh..opq", ""), FILE_OF("c", "2") } },
          .there = { "c=2" },
          .absent = { "a", "b" } },
        { "through a link",
          { { FILE_OF("d/old", "1"), SYMLINK("l", "d") }, { FILE_OF("l/.wh..wh..opq", "") } },
          .there = { "d/", "l->d" },
          .absent = { "d/old" } },
        { "does not follow links inside",
          { { DIR("k"), FILE_OF("k/keep", "1"), SYMLINK("d/l", "../k") },
            { FILE_OF("d/.wh..wh..opq", "") } },
          .there = { "k/keep=1" },
          .absent = { "d/l" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void every_kind_replaces_every_kind(void **state)
{
    static const struct tar_spec kinds[] = { FILE_OF("x", "new"),
                                             SYMLINK("x", "target"),
                                             DIR("x"),
                                             { .name = "x", .type = '6' },
                                             HARDLINK("x", "other") };
    static const mode_t types[] = { S_IFREG, S_IFLNK, S_IFDIR, S_IFIFO, S_IFREG };

    (void) state;
    for (size_t a = 0; a < ARRAY_SIZE(kinds); a++)
        for (size_t b = 0; b < 2 * ARRAY_SIZE(kinds); b++) {
            const struct tar_spec first[] = { FILE_OF("other", "o"), kinds[a], { 0 } };
            const struct tar_spec second[] = { kinds[b % ARRAY_SIZE(kinds)], { 0 } };
            const struct tar_spec both[] = { first[0], first[1], second[0], { 0 } };
            bool one_layer = b >= ARRAY_SIZE(kinds);
            struct sandbox *sb = NULL;
            mvm_auto(rootfs_unpack) u = NULL;
            struct stat st;

            assert_int_equal(sandbox_setup((void **) &sb), 0);
            u = unpack_open(sb);
            assert_int_equal(apply_specs(u, one_layer ? both : first, NULL), 0);
            if (!one_layer)
                assert_int_equal(apply_specs(u, second, NULL), 0);
            assert_int_equal(fstatat(sb->root_fd, "x", &st, AT_SYMLINK_NOFOLLOW), 0);
            if ((st.st_mode & S_IFMT) != types[b % ARRAY_SIZE(kinds)])
                fail_msg("kind %zu over kind %zu gives mode %o", b, a, st.st_mode);
            rootfs_unpack_free(steal_ptr(&u));
            assert_int_equal(sandbox_teardown((void **) &sb), 0);
        }
}

static void parents_that_are_no_directories(void **state)
{
    static const struct unpack_case cases[] = {
        { "of a lower layer gives way",
          { { FILE_OF("p", "1") }, { FILE_OF("p/x", "2") } },
          .there = { "p/x=2" } },
        { "of the same layer",
          { { FILE_OF("p", "1"), FILE_OF("p/x", "2") } },
          .error = "no directory in this layer" },
        { "replaced in the same layer",
          { { FILE_OF("p", "1"), DIR("p"), FILE_OF("p/x", "2") } },
          .there = { "p/x=2" } },
        { "missing ones are made", { { FILE_OF("a/b/c/x", "1") } }, .there = { "a/b/c/x=1" } },
        { "normal names",
          { { FILE_OF("./a//./x", "1"), DIR("./b/") } },
          .there = { "a/x=1", "b/" } },
        { "the cached parent went",
          { { FILE_OF("d/e/x", "1"), FILE_OF("d", "2") }, { FILE_OF("d/e/y", "3") } },
          .there = { "d/e/y=3" },
          .absent = { "d/e/x" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unpack_refuses_names_that_climb_out),
        cmocka_unit_test(unpack_confines_symlinked_parents),
        cmocka_unit_test(unpack_refuses_hardlink_to_outside),
        cmocka_unit_test(unpack_keeps_hard_links),
        cmocka_unit_test(whiteouts_hide_lower_layers_alone),
        cmocka_unit_test(opaque_markers_hide_wherever_they_stand),
        cmocka_unit_test(every_kind_replaces_every_kind),
        cmocka_unit_test(parents_that_are_no_directories),
    };

    return cmocka_run_group_tests_name("image-layer-paths", tests, NULL, NULL);
}
