/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a directory in ascending order: a merge sort of the list, from the bottom up, which
 * needs no memory and no recursion. What all names of the directory begin with is left out, and the
 * four bytes behind it decide most comparisons without a look at the index.
 */
#include "image/tree-internal.h"

/* Lists of 1, 2, 4 ... names: more than all numbers of 32 bits need. */
#define SORT_BINS 32u

static bool less(struct tree *t, tree_entry a, tree_entry b)
{
    const struct tree_name *na = &t->names[a], *nb = &t->names[b];
    const char *text_a, *text_b;
    size_t len_a, len_b;
    int order;

    if (na->hash != nb->hash)
        return na->hash < nb->hash;
    tree_touch(t, na->layer, na->place);
    tree_touch(t, nb->layer, nb->place);
    text_a = tree_text(t, a, &len_a);
    text_b = tree_text(t, b, &len_b);
    order = memcmp(text_a, text_b, len_a < len_b ? len_a : len_b);
    return order != 0 ? order < 0 : len_a < len_b;
}

static tree_entry merge(struct tree *t, tree_entry a, tree_entry b)
{
    tree_entry first = TREE_NONE, *to = &first;

    while (a != TREE_NONE && b != TREE_NONE) {
        tree_entry *from = less(t, b, a) ? &b : &a;

        *to = *from;
        to = &t->names[*from].next;
        *from = *to;
    }
    *to = a != TREE_NONE ? a : b;
    return first;
}

/* Leaves the live names in the list, in the order in which they came: new ones were put in front.
 */
static tree_entry live_names(struct tree *t, tree_entry list)
{
    tree_entry out = TREE_NONE;

    while (list != TREE_NONE) {
        struct tree_name *n = &t->names[list];
        tree_entry next = n->next;

        if (n->state == TREE_LIVE) {
            n->next = out;
            out = list;
        }
        list = next;
    }
    return out;
}

/* How many bytes all names of the list have in common at their beginning. */
static size_t common_prefix(struct tree *t, tree_entry list)
{
    char first[LAYER_NAME_MAX];
    size_t common;
    const char *text = tree_text(t, list, &common);

    common = common < sizeof(first) ? common : sizeof(first);
    memcpy(first, text, common);
    for (tree_entry e = t->names[list].next; e != TREE_NONE && common > 0; e = t->names[e].next) {
        size_t len, i = 0;

        tree_touch(t, t->names[e].layer, t->names[e].place);
        text = tree_text(t, e, &len);
        while (i < common && i < len && text[i] == first[i])
            i++;
        common = i;
    }
    return common;
}

/* Gives each name its key, the four bytes from @skip on; whether the list is in order already. */
static bool make_keys(struct tree *t, tree_entry list, size_t skip)
{
    tree_entry before = TREE_NONE;
    bool sorted = true;

    for (tree_entry e = list; e != TREE_NONE; before = e, e = t->names[e].next) {
        size_t len;
        const char *text = tree_text(t, e, &len);
        uint32_t key = 0;

        /* No name has a NUL: a short one sorts before those that it begins. */
        for (size_t i = skip; i < skip + 4; i++)
            key = key << 8 | (i < len ? (unsigned char) text[i] : 0);
        t->names[e].hash = key;
        tree_touch(t, t->names[e].layer, t->names[e].place);
        if (sorted && before != TREE_NONE)
            sorted = less(t, before, e);
    }
    return sorted;
}

int tree_sort(struct tree *t, tree_entry dir, struct image_tick *tick, mvm_error **err)
{
    tree_entry bins[SORT_BINS], list = live_names(t, tree_node_of(t, dir)->child);
    size_t bin;

    tree_node_of(t, dir)->child = list;
    if (list == TREE_NONE || make_keys(t, list, common_prefix(t, list)))
        return 0;
    memset(bins, 0xff, sizeof(bins)); /* TREE_NONE */
    while (list != TREE_NONE) {
        tree_entry one = list;
        int r = image_tick(tick, err);

        if (r < 0)
            return r;
        list = t->names[one].next;
        t->names[one].next = TREE_NONE;
        for (bin = 0; bin < SORT_BINS - 1 && bins[bin] != TREE_NONE; bin++) {
            one = merge(t, bins[bin], one);
            bins[bin] = TREE_NONE;
        }
        bins[bin] = one;
    }
    for (bin = 0; bin < SORT_BINS; bin++)
        list = merge(t, bins[bin], list);
    tree_node_of(t, dir)->child = list;
    return 0;
}
