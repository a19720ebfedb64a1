/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After the last layer: names and inodes get dense numbers in the order of a walk that goes into
 * each directory before its next sibling, and what the walk does not reach is forgotten. Everything
 * is moved where it lies: the new number of a name is kept in its chain, which nothing needs any
 * more, that of an inode in its first name.
 */
#include "image/tree-internal.h"

struct numbering {
    struct tree *t; /* borrowed */
    uint32_t names, inodes;
};

/* Numbers @e and, when it is the first of its names, the inode. */
static void number_one(struct numbering *n, tree_entry e)
{
    struct tree_name *name = &n->t->names[e];
    struct tree_node *node = tree_node_of(n->t, e);

    name->chain = n->names++;
    if (node->entry == TREE_NONE) {
        node->entry = e;
        name->inode = n->inodes++;
    } else {
        name->inode = n->t->names[node->entry].inode;
    }
}

/* A name's inode is the new number once it was visited: its directory's list is looked at before.
 */
static int number_all(struct numbering *n, struct image_tick *tick, mvm_error **err)
{
    struct tree *t = n->t;
    tree_entry e = 0;

    for (;;) {
        tree_entry down = TREE_NONE;
        int r = image_tick(tick, err);

        if (r == 0 && tree_node_of(t, e)->kind == LAYER_DIR) {
            r = tree_sort(t, e, tick, err);
            down = tree_node_of(t, e)->child;
        }
        if (r < 0)
            return r;
        number_one(n, e);
        if (down != TREE_NONE) {
            e = down;
            continue;
        }
        while (e != 0 && t->names[e].next == TREE_NONE)
            e = t->names[e].parent;
        if (e == 0)
            return 0;
        e = t->names[e].next;
    }
}

static tree_entry renamed(const struct tree *t, tree_entry e)
{
    return e == TREE_NONE ? TREE_NONE : t->names[e].chain;
}

/* Whether the walk came to the name. */
static bool is_reached(const struct tree *t, tree_entry e)
{
    return t->names[e].state == TREE_LIVE;
}

static int renumber_names(struct tree *t, struct image_tick *tick, mvm_error **err)
{
    int r = 0;

    for (tree_entry e = 0; e < t->n_names && r == 0; e++) {
        if (is_reached(t, e)) {
            t->names[e].parent = renamed(t, t->names[e].parent);
            t->names[e].next = renamed(t, t->names[e].next);
        }
        r = image_tick(tick, err);
    }
    return r;
}

static int renumber_nodes(struct tree *t, struct image_tick *tick, mvm_error **err)
{
    int r = 0;

    for (tree_inode i = 0; i < t->n_nodes && r == 0; i++) {
        struct tree_node *node = &t->nodes[i];

        if (node->entry == TREE_NONE)
            continue;
        if (node->kind == LAYER_DIR)
            node->child = renamed(t, node->child);
        node->entry = renamed(t, node->entry);
        r = image_tick(tick, err);
    }
    return r;
}

/* Each swap brings one name to its place for good. */
static int move_names(struct tree *t, struct image_tick *tick, mvm_error **err)
{
    int r = 0;

    for (tree_entry e = 0; e < t->n_names && r == 0; e++)
        while (is_reached(t, e) && t->names[e].chain != e && r == 0) {
            tree_entry to = t->names[e].chain;
            struct tree_name held = t->names[to];

            t->names[to] = t->names[e];
            t->names[e] = held;
            r = image_tick(tick, err);
        }
    return r;
}

/* After move_names(): the first name knows the inode's new number. */
static int move_nodes(struct tree *t, struct image_tick *tick, mvm_error **err)
{
    int r = 0;

    for (tree_inode i = 0; i < t->n_nodes && r == 0; i++)
        while (t->nodes[i].entry != TREE_NONE && t->names[t->nodes[i].entry].inode != i && r == 0) {
            tree_inode to = t->names[t->nodes[i].entry].inode;
            struct tree_node held = t->nodes[to];

            t->nodes[to] = t->nodes[i];
            t->nodes[i] = held;
            r = image_tick(tick, err);
        }
    return r;
}

static int count_directories(struct tree *t, struct image_tick *tick, mvm_error **err)
{
    int r = 0;

    for (tree_entry e = 0; e < t->n_names; e++)
        t->names[e].hash = 0;
    for (tree_entry e = 1; e < t->n_names && r == 0; e++) {
        if (tree_node_of(t, e)->kind == LAYER_DIR)
            t->names[t->names[e].parent].hash++;
        r = image_tick(tick, err);
    }
    return r;
}

int tree_finish(struct tree *t, struct image_tick *tick, mvm_error **err)
{
    struct numbering n = { .t = t };
    int r;

    free(steal_ptr(&t->buckets));
    t->n_buckets = 0;
    r = number_all(&n, tick, err);
    if (r == 0)
        r = renumber_names(t, tick, err);
    if (r == 0)
        r = renumber_nodes(t, tick, err);
    if (r == 0)
        r = move_names(t, tick, err);
    if (r == 0)
        r = move_nodes(t, tick, err);
    if (r < 0)
        return r;
    t->n_names = n.names;
    t->n_nodes = n.inodes;
    r = count_directories(t, tick, err);
    return r < 0 ? r : image_tick(tick, err);
}
