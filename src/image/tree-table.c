/* SPDX-License-Identifier: Apache-2.0 */
/* Names and inodes, and the table that finds a name in its directory. */
#include "image/tree-internal.h"

/* Names a bucket has at most on average. */
#define TREE_LOAD_MAX 2u
#define TREE_BUCKETS_MIN 64u

void tree_touch(struct tree *t, uint32_t layer, layer_place place)
{
    if (!layer_touch(&t->touch, layer_index_path(t->layers[layer], place)))
        return;
    for (size_t i = 0; i < t->n_layers; i++)
        layer_index_drop(t->layers[i]);
}

const char *tree_text(const struct tree *t, tree_entry e, size_t *ret_len)
{
    const struct tree_name *n = &t->names[e];
    const char *name = layer_index_path(t->layers[n->layer], n->place) + n->start;

    *ret_len = strcspn(name, "/");
    return name;
}

/* Of what an enemy may choose, parent and name, with a key that nobody knows. */
static uint32_t hash_of(const struct tree *t, tree_entry dir, const char *name, size_t len)
{
    unsigned char data[sizeof(dir) + LAYER_NAME_MAX];

    memcpy(data, &dir, sizeof(dir));
    memcpy(data + sizeof(dir), name, len);
    return (uint32_t) siphash(&t->key, data, sizeof(dir) + len);
}

tree_entry tree_find(struct tree *t, tree_entry dir, const char *name, size_t len,
                     enum tree_state state)
{
    uint32_t hash;

    if (len > LAYER_NAME_MAX || t->n_buckets == 0)
        return TREE_NONE;
    hash = hash_of(t, dir, name, len);
    for (tree_entry e = t->buckets[hash & (t->n_buckets - 1)]; e != TREE_NONE;
         e = t->names[e].chain) {
        const struct tree_name *n = &t->names[e];
        const char *text;
        size_t text_len;

        if (n->hash != hash || n->parent != dir || n->state != state)
            continue;
        tree_touch(t, n->layer, n->place);
        text = tree_text(t, e, &text_len);
        if (text_len == len && memcmp(text, name, len) == 0)
            return e;
    }
    return TREE_NONE;
}

static void put_in_bucket(struct tree *t, tree_entry e)
{
    tree_entry *bucket = &t->buckets[t->names[e].hash & (t->n_buckets - 1)];

    t->names[e].chain = *bucket;
    *bucket = e;
}

/* What has gone is not looked for again: were it to stay, a layer that makes and replaces the same
 * directory over and over would make each search as long as the layer. */
static void leave_bucket(struct tree *t, tree_entry e)
{
    tree_entry *at = &t->buckets[t->names[e].hash & (t->n_buckets - 1)];

    while (*at != e)
        at = &t->names[*at].chain;
    *at = t->names[e].chain;
}

static int grow_buckets(struct tree *t)
{
    size_t n = t->n_buckets ? 2 * t->n_buckets : TREE_BUCKETS_MIN;
    tree_entry *buckets;

    if (t->n_names < t->n_buckets * TREE_LOAD_MAX)
        return 0;
    buckets = mem_array(n, sizeof(*buckets));
    if (!buckets)
        return -1;
    memset(buckets, 0xff, n * sizeof(*buckets)); /* TREE_NONE */
    free(t->buckets);
    t->buckets = buckets;
    t->n_buckets = n;
    for (tree_entry e = 1; e < t->n_names; e++)
        if (t->names[e].state != TREE_GONE)
            put_in_bucket(t, e);
    return 0;
}

static int fail_full(mvm_error **err)
{
    return mvm_fail(err, MVM_E_LIMIT, 0, "the image has more than %u names", TREE_ENTRIES_MAX);
}

/* The character device 0:0, by which overlayfs marks a name as removed: over a directory that has
 * one, a guest would list a name that is not there. It opens on no kernel, so that nothing is lost
 * without it. */
static bool is_left_out(const struct layer_record *r)
{
    return r->kind == LAYER_CHAR && r->device == 0;
}

int tree_add_node(struct tree *t, bool listed, tree_inode *ret, mvm_error **err)
{
    const struct layer_record *r = &t->record.record;
    struct tree_node node = { .place = listed ? t->record.place : 0,
                              .layer = (uint16_t) (t->n_layers ? t->n_layers - 1 : 0),
                              .kind = (uint8_t) (listed ? r->kind : LAYER_DIR),
                              .left_out = listed && is_left_out(r),
                              .entry = TREE_NONE };

    if (t->n_nodes >= TREE_ENTRIES_MAX)
        return fail_full(err);
    if (mem_grow(&t->nodes, &t->nodes_cap, t->n_nodes, sizeof(*t->nodes)) < 0)
        return mvm_fail_nomem(err);
    if (node.kind == LAYER_DIR)
        node.child = TREE_NONE;
    t->nodes[t->n_nodes] = node;
    *ret = (tree_inode) t->n_nodes++;
    return 0;
}

/* Where the name lies, and that it leads to @inode. */
static void bind(struct tree *t, struct tree_name *n, struct tree_slice name, tree_inode inode)
{
    n->inode = inode;
    n->place = t->record.place;
    n->layer = (uint16_t) (t->n_layers - 1);
    n->start = (uint16_t) (name.start & 0x1fff); /* below LAYER_PATH_MAX */
    if (t->nodes[inode].kind != LAYER_DIR)
        t->nodes[inode].links++;
}

int tree_add_name(struct tree *t, tree_entry dir, struct tree_slice name, tree_inode inode,
                  tree_entry *ret, mvm_error **err)
{
    const char *text = t->record.record.path + name.start;
    struct tree_node *parent;
    tree_entry e = (tree_entry) t->n_names;

    if (t->n_names >= TREE_ENTRIES_MAX)
        return fail_full(err);
    if (mem_grow(&t->names, &t->names_cap, t->n_names, sizeof(*t->names)) < 0 ||
        grow_buckets(t) < 0)
        return mvm_fail_nomem(err);
    parent = tree_node_of(t, dir);
    t->names[e] = (struct tree_name){ .parent = dir,
                                      .next = parent->child,
                                      .hash = hash_of(t, dir, text, name.len),
                                      .state = TREE_LIVE };
    parent->child = e;
    bind(t, &t->names[e], name, inode);
    put_in_bucket(t, e);
    t->n_names++;
    *ret = e;
    return 0;
}

static int take_one(struct tree *t, tree_entry e, enum tree_state state, mvm_error **err)
{
    struct tree_node *node = tree_node_of(t, e);

    t->names[e].state = (uint16_t) state & 7u;
    if (node->kind != LAYER_DIR)
        node->links--;
    if (state == TREE_GONE) {
        leave_bucket(t, e);
        return 0;
    }
    if (mem_grow(&t->hidden, &t->hidden_cap, t->n_hidden, sizeof(*t->hidden)) < 0)
        return mvm_fail_nomem(err);
    t->hidden[t->n_hidden++] = e;
    return 0;
}

void tree_forget_hidden(struct tree *t)
{
    for (size_t i = 0; i < t->n_hidden; i++) {
        t->names[t->hidden[i]].state = TREE_GONE;
        leave_bucket(t, t->hidden[i]);
    }
    t->n_hidden = t->hidden_cap = 0;
    free(steal_ptr(&t->hidden));
}

/* The name after @e in a walk over all that is below @top, where @down says whether to go below @e;
 * TREE_NONE behind the last one. */
static tree_entry walk_next(const struct tree *t, tree_entry e, tree_entry top, bool down)
{
    const struct tree_node *node = tree_node_of(t, e);

    if (down && node->kind == LAYER_DIR && node->child != TREE_NONE)
        return node->child;
    while (e != top && t->names[e].next == TREE_NONE)
        e = t->names[e].parent;
    return e == top ? TREE_NONE : t->names[e].next;
}

int tree_empty(struct tree *t, tree_entry top, enum tree_state state, mvm_error **err)
{
    tree_entry e = walk_next(t, top, top, true);
    int r = 0;

    t->last.path = NULL;
    while (e != TREE_NONE && r == 0) {
        bool live = t->names[e].state == TREE_LIVE;

        if (live)
            r = take_one(t, e, state, err);
        /* Below what has gone already there is nothing left to take. */
        e = walk_next(t, e, top, live);
    }
    if (tree_node_of(t, top)->kind == LAYER_DIR)
        tree_node_of(t, top)->child = TREE_NONE;
    return r;
}

int tree_take_away(struct tree *t, tree_entry e, enum tree_state state, mvm_error **err)
{
    int r = tree_empty(t, e, state, err);

    return r < 0 ? r : take_one(t, e, state, err);
}

int tree_rebind(struct tree *t, tree_entry e, struct tree_slice name, tree_inode inode,
                mvm_error **err)
{
    struct tree_node *old = tree_node_of(t, e);
    int r = 0;

    if (old->kind == LAYER_DIR)
        r = tree_empty(t, e, TREE_GONE, err);
    else
        old->links--;
    if (old->kind == LAYER_SYMLINK)
        t->last.path = NULL;
    if (r == 0)
        bind(t, &t->names[e], name, inode);
    return r;
}
