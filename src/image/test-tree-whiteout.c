/* SPDX-License-Identifier: Apache-2.0 */
#include "image/test-tree-cases.h"

static void whiteouts_hide_lower_layers_alone(void **state)
{
    static const struct merge_case cases[] = {
        { "file",
          { { A_FILE("d/a", "1"), A_FILE("d/b", "1") }, { A_HOLE("d/a") } },
          .there = { "d/b=1" },
          .absent = { "d/a" } },
        { "tree",
          { { A_FILE("d/e/f", "1"), A_FILE("x", "1") }, { A_HOLE("d") } },
          .there = { "x=1" },
          .absent = { "d" } },
        { "link itself",
          { { A_FILE("a", "1"), A_LINK("l", "a") }, { A_HOLE("l") } },
          .there = { "a=1" },
          .absent = { "l" } },
        { "absent target",
          { { A_FILE("a", "1") }, { A_HOLE("b"), A_HOLE("no/dir/b"), A_HOLE("a/b") } },
          .there = { "a=1" },
          .absent = { "no" } },
        { "in the first layer", { { A_FILE("a", "1"), A_HOLE("a") } }, .there = { "a=1" } },
        { "own entry before",
          { { A_FILE("a", "1") }, { A_FILE("a", "2"), A_HOLE("a") } },
          .there = { "a=2" } },
        { "own entry after",
          { { A_FILE("a", "1") }, { A_HOLE("a"), A_FILE("a", "2") } },
          .there = { "a=2" } },
        { "own directory before, lower content goes",
          { { A_FILE("d/old", "1") }, { A_DIR("d"), A_FILE("d/new", "2"), A_HOLE("d") } },
          .there = { "d/new=2" },
          .absent = { "d/old" } },
        { "own content below, no entry of the directory",
          { { A_FILE("d/e/old", "1") }, { A_FILE("d/e/new", "2"), A_HOLE("d") } },
          .there = { "d/e/new=2" },
          .absent = { "d/e/old" } },
        { "hard link of a lower file is not its name",
          { { A_FILE("d/a", "1") }, { A_HARD("b", "d/a"), A_HOLE("d/a") } },
          .there = { "b=1" },
          .absent = { "d/a" } },
        { "hard link out of a hidden directory, made anew",
          { { A_FILE("d/e/a", "1") },
            { A_HOLE("d"), A_DIR("d"), A_DIR("d/e"), A_HARD("b", "d/e/a") } },
          .there = { "b=1", "d/e/" },
          .absent = { "d/e/a" } },
        { "twice, and again",
          { { A_FILE("a", "1") },
            { A_HOLE("a"), A_HOLE("a") },
            { A_FILE("a", "2") },
            { A_HOLE("a") } },
          .absent = { "a" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void opaque_markers_hide_wherever_they_stand(void **state)
{
    static const struct merge_case cases[] = {
        { "before",
          { { A_FILE("d/old", "1") }, { AN_OPAQUE("d"), A_FILE("d/new", "2") } },
          .there = { "d/new=2" },
          .absent = { "d/old" } },
        { "after",
          { { A_FILE("d/old", "1") }, { A_FILE("d/new", "2"), AN_OPAQUE("d") } },
          .there = { "d/new=2" },
          .absent = { "d/old" } },
        { "same name before",
          { { A_FILE("d/a", "1") }, { A_FILE("d/a", "2"), AN_OPAQUE("d") } },
          .there = { "d/a=2" } },
        { "nested directories after",
          { { A_FILE("d/s/old", "1"), A_FILE("d/t/old", "1") },
            { A_DIR("d/s"), A_FILE("d/s/new", "2"), AN_OPAQUE("d") } },
          .there = { "d/s/new=2" },
          .absent = { "d/s/old", "d/t" } },
        { "keeps the directory",
          { { A_FILE("d/old", "1") }, { AN_OPAQUE("d") } },
          .there = { "d/" },
          .absent = { "d/old" } },
        { "missing directory", { { A_FILE("x", "") }, { AN_OPAQUE("d") } }, .absent = { "d" } },
        { "no directory", { { A_FILE("d", "1") }, { AN_OPAQUE("d") } }, .error = "no directory" },
        { "the layer makes it a directory",
          { { A_FILE("d", "1") }, { AN_OPAQUE("d"), A_FILE("d/new", "2") } },
          .there = { "d/new=2" } },
        { "root",
          { { A_FILE("a", "1"), A_DIR("b") }, { AN_OPAQUE(""), A_FILE("c", "2") } },
          .there = { "c=2" },
          .absent = { "a", "b" } },
        { "through a link",
          { { A_FILE("d/old", "1"), A_LINK("l", "d") }, { AN_OPAQUE("l") } },
          .there = { "d/", "l->d" },
          .absent = { "d/old" } },
        { "in a directory that replaces a link",
          { { A_FILE("d/old", "1"), A_LINK("l", "d") },
            { A_DIR("l"), AN_OPAQUE("l"), A_FILE("l/new", "2") } },
          .there = { "d/old=1", "l/new=2" },
          .absent = { "d/new" } },
        { "in a directory that replaces a file",
          { { A_FILE("d", "1") }, { A_DIR("d"), AN_OPAQUE("d"), A_FILE("d/new", "2") } },
          .there = { "d/new=2" } },
        { "does not follow links inside",
          { { A_DIR("k"), A_FILE("k/keep", "1"), A_LINK("d/l", "../k") }, { AN_OPAQUE("d") } },
          .there = { "k/keep=1" },
          .absent = { "d/l" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void a_hidden_directory_that_is_implied_again_is_plain(void **state)
{
    static const struct record_spec lower[] = {
        { .kind = LAYER_DIR, .path = "d", .mode = 0700, .uid = 7 }, { 0 }
    };
    static const struct record_spec upper[] = { A_HOLE("d"), A_FILE("d/f", "x"), { 0 } };
    mvm_autovalue(layer_cursor) c = { 0 };
    mvm_autovalue(layer_stack) s = { 0 };

    (void) state;
    assert_int_equal(stack_add(&s, lower, NULL), 0);
    assert_int_equal(stack_add(&s, upper, NULL), 0);
    assert_int_equal(tree_finish(s.tree, NULL, NULL), 0);
    get_record(s.tree, "d", &c);
    assert_int_equal(c.record.mode, 0755);
    assert_int_equal(c.record.uid, 0);
}

#define A_MARK(p)                                    \
    {                                                \
        .kind = LAYER_CHAR, .path = (p), .device = 0 \
    }
#define A_DEVICE(k, p, d)                       \
    {                                           \
        .kind = (k), .path = (p), .device = (d) \
    }

static void marks_of_overlayfs_replace_and_are_left_out(void **state)
{
    static const struct merge_case cases[] = {
        { "lower file",
          { { A_FILE("d/a", "1"), A_FILE("d/b", "1") }, { A_MARK("d/a") } },
          .there = { "d/b=1" },
          .absent = { "d/a" } },
        { "lower directory",
          { { A_FILE("d/e/f", "1") }, { A_MARK("d/e") } },
          .there = { "d/" },
          .absent = { "d/e" } },
        { "file of its own layer", { { A_FILE("a", "1"), A_MARK("a") } }, .absent = { "a" } },
        { "replaced by its own layer", { { A_MARK("a"), A_FILE("a", "2") } }, .there = { "a=2" } },
        { "replaced by a higher one",
          { { A_MARK("a") }, { A_FILE("a/b", "2") } },
          .there = { "a/b=2" } },
        { "hard links of it",
          { { A_MARK("a"), A_HARD("b", "a") }, { A_HARD("c", "b"), A_FILE("d", "2") } },
          .there = { "d=2" },
          .absent = { "a", "b", "c" } },
        { "alone in a directory", { { A_MARK("d/a") } }, .there = { "d/" }, .absent = { "d/a" } },
        { "not other devices",
          { { A_DEVICE(LAYER_CHAR, "c", 1), A_DEVICE(LAYER_BLOCK_DEVICE, "b", 0) } },
          .there = { "b", "c" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whiteouts_hide_lower_layers_alone),
        cmocka_unit_test(opaque_markers_hide_wherever_they_stand),
        cmocka_unit_test(marks_of_overlayfs_replace_and_are_left_out),
        cmocka_unit_test(a_hidden_directory_that_is_implied_again_is_plain),
    };

    return cmocka_run_group_tests_name("image-tree-whiteout", tests, NULL, NULL);
}
