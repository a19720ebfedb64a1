/* SPDX-License-Identifier: Apache-2.0 */
/* Random layers, merged by the tree and by a model that knows nothing but lists and recursion. */
#include "image/test-tree-check.h"
#include "image/test-tree.h"

#include <stdio.h>

#define ROUNDS 8000
#define RECORDS_MAX 10
#define MODEL_LAYERS 4
#define MODEL_MAX 512

enum model_state {
    LIVE,
    HIDDEN,
    GONE
};
struct model_name {
    int parent;
    char name[8];
    enum model_state state;
    int inode;
    int layer; /* that made it what it is */
};
struct model_inode {
    enum layer_kind kind;
    char text[32];
    uint16_t mode;
    tree_inode as; /* while comparing: the tree's; TREE_NONE */
};
struct model {
    struct model_name names[MODEL_MAX];
    struct model_inode inodes[MODEL_MAX];
    int n_names, n_inodes, layer;
    bool old_view; /* what this layer hid is seen, and first */
};
enum {
    BAD = -1,
    ABSENT = -2,
    NO_DIR = -3
};

static int model_find_state(const struct model *m, int dir, const char *name, enum model_state s)
{
    for (int i = 1; i < m->n_names; i++)
        if (m->names[i].parent == dir && m->names[i].state == s &&
            strcmp(m->names[i].name, name) == 0)
            return i;
    return ABSENT;
}

static int model_find(const struct model *m, int dir, const char *name)
{
    int i = m->old_view ? model_find_state(m, dir, name, HIDDEN) : ABSENT;

    return i >= 0 ? i : model_find_state(m, dir, name, LIVE);
}

static enum layer_kind kind_of(const struct model *m, int name)
{
    return m->inodes[m->names[name].inode].kind;
}

static int model_inode(struct model *m, enum layer_kind kind, const char *text, uint16_t mode)
{
    struct model_inode *i = &m->inodes[m->n_inodes];

    assert_true(m->n_inodes < MODEL_MAX);
    *i = (struct model_inode){ .kind = kind, .mode = mode, .as = TREE_NONE };
    (void) snprintf(i->text, sizeof(i->text), "%s", text ? text : "");
    return m->n_inodes++;
}

static void model_take(struct model *m, int dir, enum model_state s, bool itself)
{
    for (int i = 1; i < m->n_names; i++)
        if (m->names[i].parent == dir && m->names[i].state == LIVE && i != dir)
            model_take(m, i, s, true);
    if (itself)
        m->names[dir].state = s;
}

static int model_bind(struct model *m, int dir, const char *name, int inode)
{
    int i = model_find_state(m, dir, name, LIVE);

    if (i >= 0) {
        model_take(m, i, GONE, false);
    } else {
        assert_true(m->n_names < MODEL_MAX);
        i = m->n_names++;
    }
    m->names[i] = (struct model_name){ .parent = dir, .inode = inode, .layer = m->layer };
    (void) snprintf(m->names[i].name, sizeof(m->names[i].name), "%s", name);
    return i;
}

/* The directory of @path from @dir on; @make: makes what is missing, but not what a link names. */
static int model_walk(struct model *m, int dir, const char *path, bool make, bool from_link,
                      int *links)
{
    while (*path && dir >= 0) {
        char name[8] = "";
        size_t n = strcspn(path, "/");
        int i;

        memcpy(name, path, n);
        path += n + (path[n] == '/');
        if (n == 0 || strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0) {
            dir = m->names[dir].parent; /* of the root: itself */
            continue;
        }
        i = model_find(m, dir, name);
        if (i >= 0 && kind_of(m, i) == LAYER_SYMLINK) {
            const char *to = m->inodes[m->names[i].inode].text;

            if (++*links > 40)
                return BAD;
            dir = model_walk(m, to[0] == '/' ? 0 : dir, to, make, true, links);
            continue;
        }
        if (i >= 0 && kind_of(m, i) == LAYER_DIR) {
            dir = i;
            continue;
        }
        if (!make)
            return i < 0 ? ABSENT : NO_DIR;
        if (from_link || (i >= 0 && m->names[i].layer == m->layer))
            return BAD;
        dir = model_bind(m, dir, name, model_inode(m, LAYER_DIR, NULL, 0755));
    }
    return dir;
}

static int model_parent(struct model *m, const char *path, bool make, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    char parent[64] = "";
    int links = 0;

    memcpy(parent, path, slash ? (size_t) (slash - path) : 0);
    *ret_name = slash ? slash + 1 : path;
    return model_walk(m, 0, parent, make, false, &links);
}

static int model_source(struct model *m, const char *path)
{
    const char *name;
    int dir = model_parent(m, path, false, &name);
    int i = dir >= 0 ? model_find(m, dir, name) : dir;
    bool hid = false;

    for (int k = 1; k < m->n_names; k++)
        hid = hid || m->names[k].state == HIDDEN;
    if (i == BAD || i >= 0 || !hid)
        return i;
    m->old_view = true;
    dir = model_parent(m, path, false, &name);
    i = dir >= 0 ? model_find(m, dir, name) : dir;
    m->old_view = false;
    return i;
}

static int model_entry(struct model *m, const struct record_spec *s)
{
    const char *name;
    int dir, i;

    if (s->kind == LAYER_WHITEOUT || s->kind == LAYER_OPAQUE)
        return 0;
    if (!*s->path) {
        m->inodes[0].mode = s->mode;
        return s->kind == LAYER_DIR ? 0 : BAD;
    }
    dir = model_parent(m, s->path, true, &name);
    if (dir < 0)
        return BAD;
    if (s->kind == LAYER_HARDLINK) {
        i = model_source(m, s->text);
        if (i < 0 || kind_of(m, i) == LAYER_DIR)
            return BAD;
        (void) model_bind(m, dir, name, m->names[i].inode);
        return 0;
    }
    i = model_find(m, dir, name);
    if (i >= 0 && s->kind == LAYER_DIR && kind_of(m, i) == LAYER_DIR) {
        m->inodes[m->names[i].inode].mode = s->mode;
        m->names[i].layer = m->layer;
        return 0;
    }
    (void) model_bind(m, dir, name, model_inode(m, s->kind, s->text, s->mode));
    return 0;
}

static int model_hide(struct model *m, const struct record_spec *s, bool *unsure)
{
    const char *name;
    int links = 0, dir, i;

    if (s->kind == LAYER_OPAQUE) {
        dir = model_walk(m, 0, s->path, false, false, &links);
        if (dir >= 0)
            model_take(m, dir, HIDDEN, false);
        *unsure = *unsure || dir == NO_DIR;
        return dir;
    }
    dir = model_parent(m, s->path, false, &name);
    i = dir >= 0 ? model_find(m, dir, name) : dir;
    if (i >= 0)
        model_take(m, i, HIDDEN, true);
    return i;
}

static int model_whiteouts(struct model *m, const struct record_spec *specs, bool *unsure)
{
    bool any = false;
    const char *name;

    for (const struct record_spec *s = specs; s->kind; s++)
        any = any || s->kind == LAYER_WHITEOUT || s->kind == LAYER_OPAQUE;
    for (const struct record_spec *s = specs; any && m->n_names > 1 && s->kind; s++) {
        int dir = s->kind == LAYER_DIR && *s->path ? model_parent(m, s->path, false, &name) : BAD;
        int i = dir >= 0 ? model_find(m, dir, name) : ABSENT;

        if (i >= 0 && kind_of(m, i) != LAYER_DIR)
            model_take(m, i, HIDDEN, true);
    }
    for (const struct record_spec *s = specs; m->n_names > 1 && s->kind; s++)
        if ((s->kind == LAYER_WHITEOUT || s->kind == LAYER_OPAQUE) &&
            model_hide(m, s, unsure) == BAD)
            return BAD;
    return 0;
}

static int model_apply(struct model *m, const struct record_spec *specs)
{
    bool unsure = false;
    int r = model_whiteouts(m, specs, &unsure);

    for (const struct record_spec *s = specs; r == 0 && s->kind; s++)
        r = model_entry(m, s);
    for (int i = 1; i < m->n_names; i++)
        if (m->names[i].state == HIDDEN)
            m->names[i].state = GONE;
    for (const struct record_spec *s = specs; unsure && r == 0 && s->kind; s++) {
        int links = 0;
        int dir = s->kind == LAYER_OPAQUE ? model_walk(m, 0, s->path, false, false, &links) : 0;

        r = dir == NO_DIR || dir == BAD ? BAD : 0;
    }
    m->layer++;
    return r;
}

static void compare_inode(const struct tree *t, tree_inode got, struct model_inode *want)
{
    mvm_autovalue(layer_cursor) c = { 0 };
    uint32_t layer;

    assert_int_equal(tree_get_inode(t, got, &c, &layer, NULL), 0);
    assert_int_equal(c.record.kind, want->kind);
    assert_int_equal(c.record.mode, want->mode);
    if (want->kind == LAYER_SYMLINK)
        assert_string_equal(c.record.link, want->text);
    if (want->kind == LAYER_FILE)
        assert_memory_equal(c.record.content, want->text, strlen(want->text));
    /* The same inode exactly where the model has the same one. */
    assert_true(want->as == TREE_NONE || want->as == got);
    want->as = got;
}

/* How many names are the same; 0: they are not. */
static uint32_t compare(const struct tree *t, tree_entry e, struct model *m, int dir)
{
    uint32_t n = 1;

    compare_inode(t, tree_entry_inode(t, e), &m->inodes[m->names[dir].inode]);
    for (int i = 1; i < m->n_names; i++)
        if (m->names[i].parent == dir && m->names[i].state == LIVE) {
            tree_entry child = tree_first_child(t, e);
            size_t len = 0;

            while (child != TREE_NONE && (memcmp(tree_entry_name(t, child, &len), m->names[i].name,
                                                 strlen(m->names[i].name)) != 0 ||
                                          len != strlen(m->names[i].name)))
                child = tree_next_sibling(t, child);
            if (child == TREE_NONE)
                fail_msg("'%s' is missing", m->names[i].name);
            n += compare(t, child, m, i);
        }
    return n;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

struct random_layer {
    struct record_spec specs[RECORDS_MAX + 1];
    char text[RECORDS_MAX][2][32];
};

/* Few names, so that they meet. */
static void random_path(uint64_t *seed, char out[32])
{
    size_t at = 0, n = 1 + next_random(seed) % 3;

    while (n-- > 0)
        at += (size_t) snprintf(out + at, 32 - at, "%s%c%s", at ? "/" : "",
                                (char) ('a' + next_random(seed) % 3),
                                next_random(seed) % 8 == 0 ? "b" : "");
}

static void random_layer(uint64_t *seed, struct random_layer *l)
{
    static const enum layer_kind kinds[] = { LAYER_FILE,     LAYER_FILE,     LAYER_FILE,
                                             LAYER_DIR,      LAYER_DIR,      LAYER_DIR,
                                             LAYER_SYMLINK,  LAYER_HARDLINK, LAYER_FIFO,
                                             LAYER_WHITEOUT, LAYER_WHITEOUT, LAYER_OPAQUE };
    static const char *const targets[] = { "a",    "/b", "b/c", "/a/b", "c",
                                           "../a", "..", ".",   "/",    "c//./a/" };
    size_t n = next_random(seed) % (1 + next_random(seed) % RECORDS_MAX);

    memset(l, 0, sizeof(*l));
    for (size_t i = 0; i < n; i++) {
        struct record_spec *s = &l->specs[i];

        s->kind = kinds[next_random(seed) % ARRAY_SIZE(kinds)];
        s->path = l->text[i][0];
        s->mode = (uint16_t) (01000 + next_random(seed) % 512);
        random_path(seed, l->text[i][0]);
        if (s->kind == LAYER_DIR && next_random(seed) % 16 == 0)
            l->text[i][0][0] = '\0';
        random_path(seed, l->text[i][1]);
        s->text = s->kind == LAYER_SYMLINK ? targets[next_random(seed) % ARRAY_SIZE(targets)]
                  : s->kind == LAYER_FILE || s->kind == LAYER_HARDLINK ? l->text[i][1]
                                                                       : NULL;
    }
}

static void print_layer(const struct random_layer *l)
{
    print_message("a layer:\n");
    for (const struct record_spec *s = l->specs; s->kind; s++)
        print_message("  %d '%s' '%s'\n", s->kind, s->path, s->text ? s->text : "");
}

/* Gives whether the layers made a tree. */
static bool round_of(uint64_t round)
{
    mvm_autofree struct model *m = calloc(1, sizeof(*m));
    mvm_autofree struct random_layer *layers = calloc(MODEL_LAYERS, sizeof(*layers));
    mvm_autovalue(layer_stack) s = { 0 };
    mvm_autoerror mvm_error *e = NULL;
    uint64_t seed = round;
    int got = 0, want = 0;

    assert_true(m && layers);
    m->n_names = 1;
    (void) model_inode(m, LAYER_DIR, NULL, 0755);
    for (size_t i = 0; i < MODEL_LAYERS && got == 0; i++) {
        random_layer(&seed, &layers[i]);
        got = stack_add(&s, layers[i].specs, &e);
        want = model_apply(m, layers[i].specs);
        if ((got < 0) != (want < 0)) {
            for (size_t k = 0; k <= i; k++)
                print_layer(&layers[k]);
            fail_msg("round %llu: layer %zu: the tree says '%s', the model %d",
                     (unsigned long long) round, i, mvm_error_message(e), want);
        }
    }
    if (got < 0)
        return false;
    assert_int_equal(tree_finish(s.tree, NULL, NULL), 0);
    check_tree(s.tree);
    assert_int_equal(compare(s.tree, 0, m, 0), tree_n_entries(s.tree));
    return true;
}

static void random_layers_merge_as_the_model_says(void **state)
{
    int made = 0;

    (void) state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++)
        made += round_of(seed);
    /* Enough of them get to the end. */
    print_message("%d of %d made a tree\n", made, ROUNDS);
    assert_true(made > ROUNDS / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_layers_merge_as_the_model_says),
    };

    return cmocka_run_group_tests_name("image-tree-model", tests, NULL, NULL);
}
