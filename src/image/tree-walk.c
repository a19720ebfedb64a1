/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding a directory of the tree, component by component, as a process in a chroot would: symlinks
 * on the way are followed inside the root, an absolute target starts again at the root, and ".."
 * of the root is the root (image.md I-212).
 *
 * What still stands before the walk is a stack of texts that lie in the indexes: the path that was
 * asked for at the bottom, on it the targets of the links that were met.
 */
#include "image/tree-internal.h"

struct pending {
    const char *at, *end;
    bool from_link;
};
struct walk {
    struct tree *t; /* borrowed */
    enum tree_walk_mode mode;
    const char *path; /* that was asked for */
    struct pending stack[TREE_LINKS_MAX + 1];
    unsigned n;
    unsigned links, steps;
    struct tree_spot spot;
};
/* A component, and whether it came out of a link. */
struct component {
    const char *text;
    size_t len;
    bool from_link;
};

/* For messages. */
static int shown(const struct component *c)
{
    return c->len < 256 ? (int) c->len : 256;
}

static int enter(struct walk *w, tree_entry dir)
{
    w->spot.dir = dir;
    w->spot.depth++;
    return 0;
}

static tree_entry look_up(const struct walk *w, const struct component *c)
{
    tree_entry e = TREE_NONE;

    if (w->mode == TREE_LOOK_OLD)
        e = tree_find(w->t, w->spot.dir, c->text, c->len, TREE_HIDDEN);
    return e != TREE_NONE ? e : tree_find(w->t, w->spot.dir, c->text, c->len, TREE_LIVE);
}

/* Puts the target of the symlink @e in front of what is left. */
static int follow(struct walk *w, tree_entry e, mvm_error **err)
{
    const struct tree_node *node = tree_node_of(w->t, e);
    struct layer_cursor *c = &w->t->link;
    int r;

    if (++w->links > TREE_LINKS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %u symlinks on the way", TREE_LINKS_MAX);
    tree_touch(w->t, node->layer, node->place);
    r = layer_index_get(w->t->layers[node->layer], node->place, c, err);
    if (r < 0)
        return r;
    if (c->record.link_len > 0 && c->record.link[0] == '/')
        w->spot = (struct tree_spot){ 0 };
    w->stack[w->n++] = (struct pending){ c->record.link, c->record.link + c->record.link_len,
                                         true };
    return 0;
}

static int missing(struct walk *w, const struct component *c, mvm_error **err)
{
    const struct tree_slice name = { (size_t) (c->text - w->path), c->len };
    tree_entry e;
    tree_inode inode;
    int r;

    if (w->mode != TREE_MAKE)
        return TREE_MISSING;
    if (c->from_link)
        return mvm_fail(err, MVM_E_FORMAT, 0,
                        "a symlink on the way leads to '%.*s', which is missing", shown(c),
                        c->text);
    if (w->spot.depth >= TREE_DEPTH_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "deeper than %u directories", TREE_DEPTH_MAX);
    r = tree_add_node(w->t, false, &inode, err);
    if (r == 0)
        r = tree_add_name(w->t, w->spot.dir, name, inode, &e, err);
    return r < 0 ? r : enter(w, e);
}

/* Something that is neither a directory nor a link is in the way (image.md I-213). */
static int in_the_way(struct walk *w, const struct component *c, tree_entry e, mvm_error **err)
{
    const struct tree_slice name = { (size_t) (c->text - w->path), c->len };
    tree_inode inode;
    int r;

    if (w->mode != TREE_MAKE)
        return TREE_NOT_DIRECTORY;
    if (c->from_link)
        return mvm_fail(err, MVM_E_FORMAT, 0,
                        "a symlink on the way leads through '%.*s', which is no directory",
                        shown(c), c->text);
    if (w->t->names[e].layer == w->t->n_layers - 1)
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%.*s' is no directory in this layer", shown(c),
                        c->text);
    r = tree_add_node(w->t, false, &inode, err);
    if (r == 0)
        r = tree_rebind(w->t, e, name, inode, err);
    return r < 0 ? r : enter(w, e);
}

static int step(struct walk *w, const struct component *c, mvm_error **err)
{
    tree_entry e;

    if (c->len == 0 || (c->len == 1 && c->text[0] == '.'))
        return 0;
    if (++w->steps > TREE_STEPS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %u components on the way", TREE_STEPS_MAX);
    if (++w->t->steps > TREE_STEPS_ALL_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0,
                        "the ways to the image's names have more than %u components",
                        TREE_STEPS_ALL_MAX);
    if (c->len == 2 && c->text[0] == '.' && c->text[1] == '.') {
        w->spot.dir = w->t->names[w->spot.dir].parent; /* of the root: itself */
        w->spot.depth -= w->spot.depth > 0;
        return 0;
    }
    e = look_up(w, c);
    if (e == TREE_NONE)
        return missing(w, c, err);
    switch (tree_node_of(w->t, e)->kind) {
    case LAYER_DIR:
        return enter(w, e);
    case LAYER_SYMLINK:
        return follow(w, e, err);
    default:
        return in_the_way(w, c, e, err);
    }
}

/* Begins where the last walk ended, if @path leads through there: most names of a layer stand
 * beside the one before. */
static void begin(struct walk *w, const char *path, size_t len)
{
    const struct tree *t = w->t;
    size_t done = t->last.len;

    w->path = path;
    w->stack[w->n++] = (struct pending){ path, path + len, false };
    if (w->mode == TREE_LOOK_OLD || !t->last.path || done > len ||
        (done < len && path[done] != '/') || memcmp(t->last.path, path, done) != 0)
        return;
    w->spot = (struct tree_spot){ t->last.dir, t->last.depth };
    w->stack[0].at += done;
}

int tree_walk(struct tree *t, const char *path, size_t len, enum tree_walk_mode mode,
              struct tree_spot *ret, mvm_error **err)
{
    struct walk w = { .t = t, .mode = mode };

    begin(&w, path, len);
    while (w.n > 0) {
        struct pending *p = &w.stack[w.n - 1];
        struct component c = { .text = p->at, .from_link = p->from_link };
        const char *slash = memchr(p->at, '/', (size_t) (p->end - p->at));
        int r;

        c.len = (size_t) ((slash ? slash : p->end) - p->at);
        p->at = slash ? slash + 1 : p->end;
        if (p->at == p->end)
            w.n--;
        r = step(&w, &c, err);
        if (r != 0)
            return r;
    }
    if (mode != TREE_LOOK_OLD) {
        t->last.path = path;
        t->last.len = len;
        t->last.dir = w.spot.dir;
        t->last.depth = w.spot.depth;
    }
    *ret = w.spot;
    return 0;
}

int tree_walk_parent(struct tree *t, const char *path, size_t len, enum tree_walk_mode mode,
                     struct tree_spot *ret, struct tree_slice *ret_name, mvm_error **err)
{
    const char *slash = memrchr(path, '/', len);
    size_t start = slash ? (size_t) (slash - path) + 1 : 0;
    int r = tree_walk(t, path, slash ? start - 1 : 0, mode, ret, err);

    if (r == 0)
        *ret_name = (struct tree_slice){ start, len - start };
    return r;
}
