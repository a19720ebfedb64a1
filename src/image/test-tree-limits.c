/* SPDX-License-Identifier: Apache-2.0 */
/* The order and the numbers of a finished tree, and each limit on both sides. */
#include "image/test-tree-check.h"
#include "image/test-tree.h"
#include "image/tree-internal.h"

#include "base/strbuf.h"

static int finish(struct layer_stack *s)
{
    int r = tree_finish(s->tree, NULL, NULL);

    if (r == 0)
        check_tree(s->tree);
    return r;
}

static void names_are_in_bytewise_order(void **state)
{
    static const struct record_spec specs[] = {
        A_FILE("b", ""),           A_FILE("a", ""),
        A_FILE("ab", ""),          A_FILE("a.b", ""),
        A_FILE("a\xff", ""),       A_FILE("a/b", ""),
        A_DIR("prefix-d"),         A_DIR("prefix"),
        A_FILE("prefix-d/y2", ""), A_FILE("prefix-d/y10", ""),
        A_FILE("prefix-d/y1", ""), { 0 }
    };
    static const struct record_spec fixed[] = { A_DIR("a"), { 0 } };
    static const char *const want[] = { "",  "a",      "b",        "a.b", "ab",  "a\xff",
                                        "b", "prefix", "prefix-d", "y1",  "y10", "y2" };
    mvm_autovalue(layer_stack) s = { 0 };

    (void) state;
    assert_int_equal(stack_add(&s, fixed, NULL), 0);
    assert_int_equal(stack_add(&s, specs + 5, NULL), 0);
    assert_int_equal(
        stack_add(&s, (struct record_spec[]){ specs[0], specs[2], specs[3], specs[4], { 0 } },
                  NULL),
        0);
    assert_int_equal(finish(&s), 0);
    assert_int_equal(tree_n_entries(s.tree), ARRAY_SIZE(want));
    for (tree_entry e = 0; e < ARRAY_SIZE(want); e++) {
        size_t len;
        const char *name = tree_entry_name(s.tree, e, &len);

        assert_int_equal(len, strlen(want[e]));
        assert_memory_equal(name, want[e], len);
    }
}

static void many_names_are_sorted(void **state)
{
    static const size_t n = 5000;
    mvm_autovalue(layer_stack) s = { 0 };
    struct layer_draft d = draft_begin();

    (void) state;
    for (size_t i = 0; i < n; i++) {
        char name[32];

        (void) snprintf(name, sizeof(name), "d/common-%zu", i * 7919 % n);
        draft_add(&d, &(struct record_spec) A_FILE(name, "x"));
    }
    assert_int_equal(stack_apply(&s, draft_end(&d, 0), NULL), 0);
    assert_int_equal(finish(&s), 0);
    assert_int_equal(tree_n_entries(s.tree), n + 2);
}

/* Names that differ at each length only, and behind long ones that they share. */
static void names_that_begin_alike_are_sorted(void **state)
{
    mvm_autovalue(layer_stack) s = { 0 };
    struct layer_draft d = draft_begin();
    char name[LAYER_NAME_MAX + 1] = "";

    (void) state;
    for (size_t i = 0; i < LAYER_NAME_MAX; i++) {
        size_t len = 1 + i * 101 % LAYER_NAME_MAX; /* 101 and 255 share no factor: each once */

        memset(name, 'a', len);
        name[len] = '\0';
        draft_add(&d, &(struct record_spec) A_FILE(name, "x"));
        name[len - 1] = (char) ('b' + i % 3);
        draft_add(&d, &(struct record_spec) A_FILE(name, "x"));
        name[len - 1] = '\x01';
        draft_add(&d, &(struct record_spec) A_FILE(name, "x"));
    }
    assert_int_equal(stack_apply(&s, draft_end(&d, 0), NULL), 0);
    assert_int_equal(finish(&s), 0);
    assert_int_equal(tree_n_entries(s.tree), 3 * LAYER_NAME_MAX + 1);
}

static void links_are_counted_and_the_unreachable_is_forgotten(void **state)
{
    static const struct record_spec lower[] = { A_FILE("gone", "1"),
                                                A_FILE("a", "1"),
                                                A_HARD("d/b", "a"),
                                                A_HARD("d/c", "a"),
                                                A_DIR("d/sub/deeper"),
                                                A_DIR("d/other"),
                                                { 0 } };
    static const struct record_spec upper[] = {
        A_HOLE("gone"), A_FILE("d/c", "2"), A_HOLE("d/other"), { 0 }
    };
    mvm_autovalue(layer_stack) s = { 0 };
    const struct tree *t;
    tree_inode a;

    (void) state;
    assert_int_equal(stack_add(&s, lower, NULL), 0);
    assert_int_equal(stack_add(&s, upper, NULL), 0);
    assert_int_equal(finish(&s), 0);
    t = s.tree;
    a = tree_entry_inode(t, tree_look_up(t, "a"));
    assert_int_equal(tree_inode_links(t, a), 2);
    assert_int_equal(tree_entry_inode(t, tree_look_up(t, "d/b")), a);
    assert_int_equal(tree_inode_entry(t, a), tree_look_up(t, "a"));
    assert_int_equal(tree_inode_links(t, tree_entry_inode(t, tree_look_up(t, "d/c"))), 1);
    assert_int_equal(tree_inode_links(t, tree_entry_inode(t, tree_look_up(t, "d"))), 3);
    assert_int_equal(tree_inode_links(t, 0), 3);
    assert_int_equal(tree_n_entries(t), 7);
    assert_int_equal(tree_n_inodes(t), 6);
}

static void a_file_knows_its_layer(void **state)
{
    static const struct record_spec lower[] = { A_FILE("a", "1"), A_FILE("b", "1"), { 0 } };
    static const struct record_spec upper[] = {
        { .kind = LAYER_FILE, .path = "b", .size = 5000, .data_block = 3 }, { 0 }
    };
    mvm_autovalue(layer_cursor) c = { 0 };
    mvm_autovalue(layer_stack) s = { 0 };
    uint32_t layer;

    (void) state;
    assert_int_equal(stack_add(&s, lower, NULL), 0);
    assert_int_equal(stack_add(&s, upper, NULL), 0);
    assert_int_equal(finish(&s), 0);
    assert_int_equal(tree_n_layers(s.tree), 2);
    assert_ptr_equal(tree_layer(s.tree, 1), s.layers[1]);
    assert_int_equal(tree_get_inode(s.tree, 1, &c, &layer, NULL), 0);
    assert_int_equal(layer, 0);
    assert_int_equal(tree_get_inode(s.tree, 2, &c, &layer, NULL), 0);
    assert_int_equal(layer, 1);
    assert_int_equal(c.record.data_block, 3);
}

/* "N/a/a/..." of @depth components. */
static void deep_path(struct strbuf *out, size_t number, size_t depth)
{
    strbuf_reset(out);
    strbuf_addf(out, "%zu", number);
    for (size_t i = 1; i < depth; i++)
        strbuf_adds(out, "/a");
}

static int apply_deep(size_t below_link)
{
    mvm_autovalue(strbuf) deep = STRBUF_INIT(LAYER_PATH_MAX);
    mvm_autovalue(strbuf) through = STRBUF_INIT(LAYER_PATH_MAX);
    mvm_autovalue(layer_stack) s = { 0 };
    mvm_autoerror mvm_error *e = NULL;
    int r;

    deep_path(&deep, 0, 200);
    deep_path(&through, 1, 1 + below_link);
    const struct record_spec specs[] = {
        A_DIR(deep.data), A_LINK("1", deep.data), A_FILE(through.data, "x"), { 0 }
    };

    r = stack_add(&s, specs, &e);
    if (r < 0)
        assert_non_null(strstr(mvm_error_message(e), "deeper than 256 directories"));
    return r < 0 ? r : finish(&s);
}

static void names_are_at_most_256_deep(void **state)
{
    (void) state;
    assert_int_equal(apply_deep(56), 0);
    assert_int_equal(apply_deep(57), MVM_E_LIMIT);
    assert_int_equal(apply_deep(58), MVM_E_LIMIT);
}

static int apply_links(size_t n)
{
    mvm_autovalue(layer_stack) s = { 0 };
    struct layer_draft d = draft_begin();

    draft_add(&d, &(struct record_spec) A_DIR("l0"));
    for (size_t i = 1; i <= n; i++) {
        char name[32], to[32];

        (void) snprintf(name, sizeof(name), "l%zu", i);
        (void) snprintf(to, sizeof(to), "l%zu", i - 1);
        draft_add(&d, &(struct record_spec) A_LINK(name, to));
        (void) snprintf(name, sizeof(name), "l%zu/x", i);
        if (i == n)
            draft_add(&d, &(struct record_spec) A_FILE(name, "1"));
    }
    return stack_apply(&s, draft_end(&d, 0), NULL);
}

static void at_most_40_symlinks_are_followed(void **state)
{
    (void) state;
    assert_int_equal(apply_links(40), 0);
    assert_int_equal(apply_links(41), MVM_E_LIMIT);
}

static int apply_steps(size_t n)
{
    mvm_autovalue(strbuf) to = STRBUF_INIT(LAYER_PATH_MAX);
    mvm_autovalue(layer_stack) s = { 0 };

    for (size_t i = 1; i < n; i++)
        strbuf_adds(&to, i % 2 ? "d/" : "../");
    assert_int_equal(strbuf_check(&to, "target", NULL), 0);
    const struct record_spec specs[] = {
        A_DIR("d/d"), A_LINK("l", to.data), A_FILE("l/x", "1"), { 0 }
    };

    return stack_add(&s, specs, NULL);
}

static void a_way_has_at_most_1024_components(void **state)
{
    (void) state;
    assert_int_equal(apply_steps(1024), 0);
    assert_int_equal(apply_steps(1025), MVM_E_LIMIT);
}

/* A layer that makes @n names, most of them directories that it does not list. */
static struct layer_index *layer_of_names(size_t n)
{
    mvm_autovalue(strbuf) path = STRBUF_INIT(LAYER_PATH_MAX);
    struct layer_draft d = draft_begin();

    for (size_t i = 0; n > 0; i++) {
        size_t depth = n < 256 ? n : 256;

        deep_path(&path, i, depth);
        draft_add(&d, &(struct record_spec) A_FILE(path.data, "x"));
        n -= depth;
    }
    return draft_end(&d, 0);
}

static void a_tree_has_at_most_a_million_names(void **state)
{
    mvm_autovalue(layer_stack) at = { 0 };
    mvm_autovalue(layer_stack) above = { 0 };
    mvm_autoerror mvm_error *e = NULL;
    const struct tree *t;
    size_t bytes;

    (void) state;
    assert_int_equal(stack_apply(&at, layer_of_names(TREE_ENTRIES_MAX - 1), NULL), 0);
    t = at.tree;
    bytes = t->n_names * sizeof(*t->names) + t->n_nodes * sizeof(*t->nodes) +
            t->n_buckets * sizeof(*t->buckets);
    if (bytes > (size_t) 48 * TREE_ENTRIES_MAX)
        fail_msg("%zu bytes for %u names", bytes, TREE_ENTRIES_MAX);
    assert_int_equal(finish(&at), 0);
    assert_int_equal(tree_n_entries(at.tree), TREE_ENTRIES_MAX);
    assert_int_equal(stack_apply(&above, layer_of_names(TREE_ENTRIES_MAX), &e), MVM_E_LIMIT);
    assert_non_null(strstr(mvm_error_message(e), "1048576 names"));
}

static void a_small_tree_is_small(void **state)
{
    mvm_autovalue(layer_stack) s = { 0 };
    struct layer_draft d = draft_begin();
    size_t bytes;

    (void) state;
    for (size_t i = 0; i < 100000; i++) {
        char name[32];

        (void) snprintf(name, sizeof(name), "%zu/%zu", i / 100, i);
        draft_add(&d, &(struct record_spec) A_FILE(name, "x"));
    }
    assert_int_equal(stack_apply(&s, draft_end(&d, 0), NULL), 0);
    bytes = s.tree->n_names * sizeof(*s.tree->names) + s.tree->n_nodes * sizeof(*s.tree->nodes) +
            s.tree->n_buckets * sizeof(*s.tree->buckets);
    if (bytes > 5u << 20)
        fail_msg("%zu bytes for 100000 files", bytes);
    assert_int_equal(finish(&s), 0);
}

static void an_image_has_at_most_65535_layers(void **state)
{
    static const struct record_spec none[] = { { 0 } };
    mvm_auto(layer_index) x = layer_of_specs(none, 0);
    mvm_auto(tree) t = NULL;

    (void) state;
    assert_int_equal(tree_new(&t, NULL), 0);
    for (unsigned i = 0; i < TREE_LAYERS_MAX; i++)
        assert_int_equal(tree_apply(t, x, NULL, NULL), 0);
    assert_int_equal(tree_apply(t, x, NULL, NULL), MVM_E_LIMIT);
    assert_int_equal(tree_finish(t, NULL, NULL), 0);
    assert_int_equal(tree_n_entries(t), 1);
}

static int cancel(void *user, const struct image_progress *progress)
{
    (void) progress;
    return --*(int *) user < 0;
}

static void merging_can_be_cancelled(void **state)
{
    static const struct record_spec specs[] = { A_FILE("b", ""), A_FILE("a", ""), { 0 } };
    int left = 0;
    struct image_tick tick = { .fn = cancel, .user = &left };
    mvm_auto(layer_index) x = layer_of_specs(specs, 0);
    mvm_auto(tree) t = NULL;

    (void) state;
    assert_int_equal(tree_new(&t, NULL), 0);
    assert_int_equal(tree_apply(t, x, &tick, NULL), MVM_E_CANCELLED);
    assert_int_equal(tree_apply(t, x, NULL, NULL), 0);
    tick.last_ms = 0;
    assert_int_equal(tree_finish(t, &tick, NULL), MVM_E_CANCELLED);
}

/* Whenever it may ask. */
static int count_ticks(void *user, const struct image_progress *progress)
{
    struct image_tick *tick = user;

    (void) progress;
    tick->last_ms = 0;
    tick->now.done++;
    return 0;
}

/* A directory of a million names takes seconds: each walk over them asks. */
static void the_caller_is_asked_while_names_are_sorted(void **state)
{
    static const struct record_spec specs[] = {
        A_FILE("c", ""), A_FILE("b", ""), A_FILE("a", ""), { 0 }
    };
    struct image_tick tick = { .fn = count_ticks, .user = &tick };
    mvm_auto(layer_index) x = layer_of_specs(specs, 0);
    mvm_auto(tree) t = NULL;

    (void) state;
    assert_int_equal(tree_new(&t, NULL), 0);
    assert_int_equal(tree_apply(t, x, NULL, NULL), 0);
    assert_int_equal(tree_finish(t, &tick, NULL), 0);
    /* Prefix, keys, order, new numbers of names and of inodes, moves, counts. */
    if (tick.now.done < 20)
        fail_msg("%llu times for 3 names", (unsigned long long) tick.now.done);
}

/* So that no order of entries makes searches long. */
static void what_has_gone_is_not_searched(void **state)
{
    mvm_autovalue(layer_stack) s = { 0 };
    struct layer_draft d = draft_begin();
    static const struct record_spec upper[] = { A_HOLE("b"), A_FILE("b", "2"), { 0 } };
    size_t in_buckets = 0;

    (void) state;
    draft_add(&d, &(struct record_spec) A_FILE("b", "1"));
    for (size_t i = 0; i < 1000; i++) {
        draft_add(&d, &(struct record_spec) A_DIR("d"));
        draft_add(&d, &(struct record_spec) A_FILE("d/x", "1"));
        draft_add(&d, &(struct record_spec) A_FILE("d", "1"));
    }
    assert_int_equal(stack_apply(&s, draft_end(&d, 0), NULL), 0);
    assert_int_equal(stack_add(&s, upper, NULL), 0);
    for (size_t i = 0; i < s.tree->n_buckets; i++)
        for (tree_entry e = s.tree->buckets[i]; e != TREE_NONE; e = s.tree->names[e].chain)
            in_buckets++;
    assert_int_equal(in_buckets, 2);
    assert_true(s.tree->n_names > 1000);
    assert_int_equal(finish(&s), 0);
    assert_int_equal(tree_n_entries(s.tree), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_in_bytewise_order),
        cmocka_unit_test(many_names_are_sorted),
        cmocka_unit_test(names_that_begin_alike_are_sorted),
        cmocka_unit_test(links_are_counted_and_the_unreachable_is_forgotten),
        cmocka_unit_test(a_file_knows_its_layer),
        cmocka_unit_test(names_are_at_most_256_deep),
        cmocka_unit_test(at_most_40_symlinks_are_followed),
        cmocka_unit_test(a_way_has_at_most_1024_components),
        cmocka_unit_test(a_tree_has_at_most_a_million_names),
        cmocka_unit_test(a_small_tree_is_small),
        cmocka_unit_test(what_has_gone_is_not_searched),
        cmocka_unit_test(an_image_has_at_most_65535_layers),
        cmocka_unit_test(merging_can_be_cancelled),
        cmocka_unit_test(the_caller_is_asked_while_names_are_sorted),
    };

    return cmocka_run_group_tests_name("image-tree-limits", tests, NULL, NULL);
}
