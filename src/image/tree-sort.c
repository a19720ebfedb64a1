/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a directory in ascending order. What all of them begin with is left out; the eight
 * bytes behind it are the key by which their list is sorted, with a merge sort from the bottom up
 * that needs no memory. Names of the same key are a list of the same kind again. So the index is
 * looked at in the order in which the names lie, twice for each eight bytes that they share, and
 * not in each comparison.
 */
#include "image/tree-internal.h"

/* Lists of 1, 2, 4 ... names: more than all numbers of 32 bits need. */
#define SORT_BINS 32u
#define SORT_KEY_BYTES 8u

/* In hash and chain, which nothing needs any more, or not yet. */
static void set_key(struct tree_name *n, uint64_t key)
{
    n->hash = (uint32_t) (key >> 32);
    n->chain = (uint32_t) key;
}

static uint64_t key_of(const struct tree *t, tree_entry e)
{
    return (uint64_t) t->names[e].hash << 32 | t->names[e].chain;
}

/* Into *b; *a is empty then. */
static int merge(struct tree *t, tree_entry *ret_a, tree_entry *ret_b, struct image_tick *tick,
                 mvm_error **err)
{
    tree_entry first = TREE_NONE, *to = &first, a = *ret_a, b = *ret_b;

    while (a != TREE_NONE && b != TREE_NONE) {
        int r = image_tick(tick, err);

        if (r < 0)
            return r;
        tree_entry *from = key_of(t, b) < key_of(t, a) ? &b : &a;

        *to = *from;
        to = &t->names[*from].next;
        *from = *to;
    }
    *to = a != TREE_NONE ? a : b;
    *ret_a = TREE_NONE;
    *ret_b = first;
    return 0;
}

/* Leaves the live names in the list, in the order in which they came: new ones were put in front.
 * Those of what is left out are gone from here on. */
static tree_entry live_names(struct tree *t, tree_entry list)
{
    tree_entry out = TREE_NONE;

    while (list != TREE_NONE) {
        struct tree_name *n = &t->names[list];
        tree_entry next = n->next;

        if (t->nodes[n->inode].left_out)
            n->state = TREE_GONE;
        if (n->state == TREE_LIVE) {
            n->next = out;
            out = list;
        }
        list = next;
    }
    return out;
}

/* How many bytes all names of the list have in common at their beginning. */
static int common_prefix(struct tree *t, tree_entry list, size_t *ret, struct image_tick *tick,
                         mvm_error **err)
{
    char first[LAYER_NAME_MAX];
    size_t common;
    const char *text = tree_text(t, list, &common);

    common = common < sizeof(first) ? common : sizeof(first);
    memcpy(first, text, common);
    for (tree_entry e = t->names[list].next; e != TREE_NONE && common > 0; e = t->names[e].next) {
        size_t len, i = 0;
        int r = image_tick(tick, err);

        if (r < 0)
            return r;
        tree_touch(t, t->names[e].layer, t->names[e].place);
        text = tree_text(t, e, &len);
        while (i < common && i < len && text[i] == first[i])
            i++;
        common = i;
    }
    *ret = common;
    return 0;
}

/* Gives each name its key, the bytes from @skip on; *ret: the list is in order already. */
static int make_keys(struct tree *t, tree_entry list, size_t skip, bool *ret,
                     struct image_tick *tick, mvm_error **err)
{
    uint64_t before = 0;
    bool sorted = true;

    for (tree_entry e = list; e != TREE_NONE; e = t->names[e].next) {
        size_t len;
        const char *text = tree_text(t, e, &len);
        uint64_t key = 0;
        int r = image_tick(tick, err);

        if (r < 0)
            return r;
        /* No name has a NUL: a short one sorts before those that it begins. */
        for (size_t i = skip; i < skip + SORT_KEY_BYTES; i++)
            key = key << 8 | (i < len ? (unsigned char) text[i] : 0);
        tree_touch(t, t->names[e].layer, t->names[e].place);
        set_key(&t->names[e], key);
        sorted = sorted && before <= key;
        before = key;
    }
    *ret = sorted;
    return 0;
}

static int sort_by_key(struct tree *t, tree_entry *list, struct image_tick *tick, mvm_error **err)
{
    tree_entry bins[SORT_BINS];
    size_t bin;
    int r = image_tick(tick, err);

    memset(bins, 0xff, sizeof(bins)); /* TREE_NONE */
    while (*list != TREE_NONE && r == 0) {
        tree_entry one = *list;

        *list = t->names[one].next;
        t->names[one].next = TREE_NONE;
        for (bin = 0; bin < SORT_BINS - 1 && bins[bin] != TREE_NONE && r == 0; bin++)
            r = merge(t, &bins[bin], &one, tick, err);
        bins[bin] = one;
    }
    for (bin = 0; bin < SORT_BINS && r == 0; bin++)
        r = merge(t, &bins[bin], list, tick, err);
    return r;
}

/* The last name of the list that has the key of @e. */
static tree_entry last_of_key(const struct tree *t, tree_entry e)
{
    uint64_t key = key_of(t, e);

    while (t->names[e].next != TREE_NONE && key_of(t, t->names[e].next) == key)
        e = t->names[e].next;
    return e;
}

static tree_entry last_of(const struct tree *t, tree_entry e)
{
    while (t->names[e].next != TREE_NONE)
        e = t->names[e].next;
    return e;
}

/* Calls itself for names of one key, which share eight bytes more: 32 times at most, since a name
 * has 255 bytes and no two are the same. */
static int sort_list(struct tree *t, tree_entry *list, struct image_tick *tick, mvm_error **err)
{
    size_t skip = 0;
    bool sorted = false;
    int r = common_prefix(t, *list, &skip, tick, err);

    if (r == 0)
        r = make_keys(t, *list, skip, &sorted, tick, err);
    if (r == 0 && !sorted)
        r = sort_by_key(t, list, tick, err);
    for (tree_entry *at = list; *at != TREE_NONE && r == 0;) {
        tree_entry last = last_of_key(t, *at), rest = t->names[last].next;

        if (last != *at) {
            t->names[last].next = TREE_NONE;
            r = sort_list(t, at, tick, err);
            last = last_of(t, *at);
            t->names[last].next = rest;
        }
        at = &t->names[last].next;
    }
    return r;
}

int tree_sort(struct tree *t, tree_entry dir, struct image_tick *tick, mvm_error **err)
{
    struct tree_node *node = tree_node_of(t, dir);

    node->child = live_names(t, node->child);
    return node->child == TREE_NONE ? 0 : sort_list(t, &node->child, tick, err);
}
