/* SPDX-License-Identifier: Apache-2.0 */
#include "image/test-tree-cases.h"

static void symlinked_parents_stay_in_the_root(void **state)
{
    static const struct merge_case cases[] = {
        { "absolute target starts at the root",
          { { A_DIR("usr/lib"), A_LINK("lib", "/usr/lib"), A_FILE("lib/x", "1") } },
          .there = { "usr/lib/x=1", "lib->/usr/lib" } },
        { "relative target",
          { { A_DIR("usr/lib"), A_LINK("lib", "usr/lib"), A_FILE("lib/d/x", "1") } },
          .there = { "usr/lib/d/x=1" } },
        { "across layers",
          { { A_DIR("usr/lib"), A_LINK("lib", "usr/lib") }, { A_FILE("lib/x", "1") } },
          .there = { "usr/lib/x=1", "lib->usr/lib" } },
        { "an odd target",
          { { A_DIR("usr/lib"), A_LINK("lib", ".//usr/./lib//") }, { A_FILE("lib/x", "1") } },
          .there = { "usr/lib/x=1" } },
        { ".. inside",
          { { A_DIR("a/b"), A_DIR("c"), A_LINK("a/b/l", "../../c"), A_FILE("a/b/l/x", "1") } },
          .there = { "c/x=1" } },
        { "a link of links",
          { { A_DIR("d/e"), A_LINK("m", "d"), A_LINK("l", "m/e"), A_FILE("l/x", "1") } },
          .there = { "d/e/x=1" } },
        { "above the root is the root",
          { { A_DIR("a"), A_DIR("b"), A_LINK("a/l", "../../../b"), A_FILE("a/l/x", "1") } },
          .there = { "b/x=1" } },
        { "above the root at once",
          { { A_LINK("l", ".."), A_FILE("l/d/x", "1") } },
          .there = { "d/x=1", "l->.." } },
        { "missing absolute", { { A_LINK("l", "/tmp"), A_FILE("l/x", "x") } }, .error = "missing" },
        { "missing target",
          { { A_LINK("l", "nowhere"), A_FILE("l/x", "x") } },
          .error = "leads to 'nowhere', which is missing" },
        { "target is a file",
          { { A_FILE("f", "x"), A_LINK("l", "f"), A_FILE("l/x", "x") } },
          .error = "no directory" },
        { "target is a lower file",
          { { A_FILE("f", "x"), A_LINK("l", "f") }, { A_FILE("l/x", "x") } },
          .error = "no directory" },
        { "loop",
          { { A_LINK("a", "b"), A_LINK("b", "a"), A_FILE("a/x", "x") } },
          .error = "40 symlinks" },
        { "names its entry",
          { { A_FILE("good", ""), A_LINK("l", "good"), A_FILE("l/bad", "") } },
          .error = "'l/bad'" },
        { "whiteout through a link",
          { { A_DIR("d"), A_FILE("d/x", "1"), A_LINK("l", "d") }, { A_HOLE("l/x") } },
          .there = { "d/", "l->d" },
          .absent = { "d/x" } },
        { "whiteout above the root",
          { { A_DIR("d"), A_FILE("d/x", "1"), A_LINK("l", "../d") }, { A_HOLE("l/x") } },
          .there = { "d/" },
          .absent = { "d/x" } },
        { "last component is not followed",
          { { A_LINK("l", "../outside/canary") }, { A_FILE("l", "new") } },
          .there = { "l=new" } },
        { "targets are verbatim",
          { { A_LINK("l", "../../../etc/passwd"), A_LINK("m", "/etc//passwd/.") } },
          .there = { "l->../../../etc/passwd", "m->/etc//passwd/." } },
        { "a link that went is not followed any more",
          { { A_DIR("d"), A_LINK("l", "d") },
            { A_FILE("l/x", "1"), A_DIR("l"), A_FILE("l/x", "2") } },
          .there = { "d/x=1", "l/x=2" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void hard_links_need_a_file(void **state)
{
    static const struct merge_case cases[] = {
        { "above the root",
          { { A_LINK("l", "../outside"), A_HARD("h", "l/canary") } },
          .error = "no such file" },
        { "through an absolute link",
          { { A_LINK("l", "/etc"), A_HARD("h", "l/passwd") } },
          .error = "no such file" },
        { "missing", { { A_HARD("h", "nowhere") } }, .error = "hard link to 'nowhere'" },
        { "names both", { { A_HARD("h/i", "nowhere") } }, .error = "'h/i': hard link to 'no" },
        { "later in the layer", { { A_HARD("h", "f"), A_FILE("f", "1") } }, .error = "no such" },
        { "directory", { { A_DIR("d"), A_HARD("h", "d") } }, .error = "is a directory" },
        { "whiteouted in a lower layer",
          { { A_FILE("f", "1") }, { A_HOLE("f") }, { A_HARD("h", "f") } },
          .error = "no such file" },
        { "below what went",
          { { A_FILE("d/f", "1") }, { A_FILE("d", "2"), A_HARD("h", "d/f") } },
          .error = "its parent is no directory" },
        { "parent is a file",
          { { A_FILE("f", "x"), A_HARD("h", "f/x") } },
          .error = "no directory" },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void hard_links_keep_their_file(void **state)
{
    static const struct merge_case cases[] = {
        { "in a layer", { { A_FILE("a", "1"), A_HARD("b", "a") } }, .there = { "a=1", "b=1" } },
        { "to a lower layer",
          { { A_FILE("a", "1") }, { A_HARD("b", "a") } },
          .there = { "a=1", "b=1" } },
        { "through a symlinked directory",
          { { A_FILE("d/a", "1"), A_LINK("l", "d") }, { A_HARD("b", "l/a") } },
          .there = { "d/a=1", "b=1" } },
        { "replaced source",
          { { A_FILE("a", "1"), A_HARD("b", "a") }, { A_FILE("a", "2") } },
          .there = { "a=2", "b=1" } },
        { "replaced in the same layer",
          { { A_FILE("a", "1"), A_HARD("b", "a"), A_FILE("a", "2") } },
          .there = { "a=2", "b=1" } },
        { "deleted source",
          { { A_FILE("a", "1"), A_HARD("b", "a") }, { A_HOLE("a") } },
          .there = { "b=1" },
          .absent = { "a" } },
        { "deleted with its directory",
          { { A_FILE("d/e/a", "1"), A_HARD("b", "d/e/a") }, { A_HOLE("d") } },
          .there = { "b=1" },
          .absent = { "d" } },
        { "to itself", { { A_FILE("a", "1"), A_HARD("a", "a") } }, .there = { "a=1" } },
        { "to a symlink", { { A_LINK("l", "x"), A_HARD("m", "l") } }, .there = { "m->x" } },
        { "over a symlink",
          { { A_FILE("a", "1"), A_LINK("l", "../outside/canary"), A_HARD("l", "a") } },
          .there = { "l=1" } },
        { "over a directory",
          { { A_FILE("a", "1"), A_DIR("d/e") }, { A_HARD("d", "a") } },
          .there = { "d=1" },
          .absent = { "d/e" } },
        { "over the directory that it lies in",
          { { A_FILE("d/a", "1") }, { A_HARD("d", "d/a") } },
          .there = { "d=1" },
          .absent = { "d/a" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void parents_that_are_no_directories(void **state)
{
    static const struct merge_case cases[] = {
        { "of a lower layer gives way",
          { { A_FILE("p", "1") }, { A_FILE("p/x", "2") } },
          .there = { "p/x=2" } },
        { "a FIFO as well", { { A_FIFO("p") }, { A_FILE("p/q/x", "2") } }, .there = { "p/q/x=2" } },
        { "of the same layer",
          { { A_FILE("p", "1"), A_FILE("p/x", "2") } },
          .error = "'p' is no directory in this layer" },
        { "a hard link of the same layer to a lower file",
          { { A_FILE("f", "1") }, { A_HARD("p", "f"), A_FILE("p/x", "2") } },
          .error = "no directory in this layer" },
        { "replaced in the same layer",
          { { A_FILE("p", "1"), A_DIR("p"), A_FILE("p/x", "2") } },
          .there = { "p/x=2" } },
        { "missing ones are made", { { A_FILE("a/b/c/x", "1") } }, .there = { "a/b/c/x=1" } },
        { "the last parent went",
          { { A_FILE("d/e/x", "1"), A_FILE("d", "2") }, { A_FILE("d/e/y", "3") } },
          .there = { "d/e/y=3" },
          .absent = { "d/e/x" } },
        { "the root is a directory", { { A_DIR(""), A_FILE("a", "1") } }, .there = { "a=1" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void every_kind_replaces_every_kind(void **state)
{
    static const struct record_spec kinds[] = { A_FILE("x", "new"), A_LINK("x", "target"),
                                                A_DIR("x"), A_FIFO("x"), A_HARD("x", "other") };
    static const enum layer_kind want[] = { LAYER_FILE, LAYER_SYMLINK, LAYER_DIR, LAYER_FIFO,
                                            LAYER_FILE };

    (void) state;
    for (size_t a = 0; a < ARRAY_SIZE(kinds); a++)
        for (size_t b = 0; b < 2 * ARRAY_SIZE(kinds); b++) {
            const struct record_spec first[] = { A_FILE("other", "o"), kinds[a], { 0 } };
            const struct record_spec second[] = { kinds[b % ARRAY_SIZE(kinds)], { 0 } };
            const struct record_spec both[] = { first[0], first[1], second[0], { 0 } };
            bool one_layer = b >= ARRAY_SIZE(kinds);
            mvm_autovalue(layer_stack) s = { 0 };
            tree_entry e;

            assert_int_equal(stack_add(&s, one_layer ? both : first, NULL), 0);
            if (!one_layer)
                assert_int_equal(stack_add(&s, second, NULL), 0);
            assert_int_equal(tree_finish(s.tree, NULL, NULL), 0);
            assert_int_equal(tree_n_entries(s.tree), 3);
            e = tree_look_up(s.tree, "x");
            assert_int_not_equal(e, TREE_NONE);
            if (tree_inode_kind(s.tree, tree_entry_inode(s.tree, e)) != want[b % ARRAY_SIZE(kinds)])
                fail_msg("kind %zu over kind %zu gives %d", b, a,
                         tree_inode_kind(s.tree, tree_entry_inode(s.tree, e)));
        }
}

static void upper_directories_set_attributes_and_implied_ones_do_not(void **state)
{
    static const struct record_spec lower[] = {
        { .kind = LAYER_DIR, .path = "", .mode = 0711, .mtime_s = 50, .uid = 4 },
        { .kind = LAYER_DIR, .path = "d", .mode = 0700, .mtime_s = 60 },
        { .kind = LAYER_DIR, .path = "e", .mode = 01777, .uid = 9 },
        { .kind = LAYER_DIR, .path = "", .mode = 0710, .mtime_s = 55 },
        { 0 }
    };
    static const struct record_spec upper[] = {
        { .kind = LAYER_DIR, .path = "d", .mode = 0511, .mtime_s = 70, .gid = 3 },
        A_FILE("d/f", "x"),
        A_FILE("e/f", "x"),
        A_FILE("i/f", "x"),
        { 0 }
    };
    mvm_autovalue(layer_cursor) c = { 0 };
    mvm_autovalue(layer_stack) s = { 0 };

    (void) state;
    assert_int_equal(stack_add(&s, lower, NULL), 0);
    assert_int_equal(stack_add(&s, upper, NULL), 0);
    assert_int_equal(tree_finish(s.tree, NULL, NULL), 0);
    get_record(s.tree, "", &c);
    assert_int_equal(c.record.mode, 0710);
    assert_int_equal(c.record.uid, 0);
    assert_int_equal(c.record.mtime_s, 55);
    get_record(s.tree, "d", &c);
    assert_int_equal(c.record.mode, 0511);
    assert_int_equal(c.record.gid, 3);
    get_record(s.tree, "e", &c);
    assert_int_equal(c.record.mode, 01777);
    assert_int_equal(c.record.uid, 9);
    get_record(s.tree, "i", &c);
    assert_int_equal(c.record.kind, LAYER_DIR);
    assert_int_equal(c.record.mode, 0755);
    assert_int_equal(c.record.uid, 0);
    assert_int_equal(c.record.mtime_s, 0);
    assert_string_equal(c.record.path, "");
}

static void a_root_without_an_entry_is_plain(void **state)
{
    static const struct record_spec specs[] = { A_FILE("f", "x"), { 0 } };
    mvm_autovalue(layer_cursor) c = { 0 };
    mvm_autovalue(layer_stack) s = { 0 };

    (void) state;
    assert_int_equal(stack_add(&s, specs, NULL), 0);
    assert_int_equal(tree_finish(s.tree, NULL, NULL), 0);
    get_record(s.tree, "", &c);
    assert_int_equal(c.record.mode, 0755);
    assert_int_equal(c.record.uid, 0);
    assert_int_equal(tree_inode_entry(s.tree, 0), 0);
    assert_int_equal(tree_parent(s.tree, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symlinked_parents_stay_in_the_root),
        cmocka_unit_test(hard_links_need_a_file),
        cmocka_unit_test(hard_links_keep_their_file),
        cmocka_unit_test(parents_that_are_no_directories),
        cmocka_unit_test(every_kind_replaces_every_kind),
        cmocka_unit_test(upper_directories_set_attributes_and_implied_ones_do_not),
        cmocka_unit_test(a_root_without_an_entry_is_plain),
    };

    return cmocka_run_group_tests_name("image-tree", tests, NULL, NULL);
}
