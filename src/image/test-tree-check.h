/* SPDX-License-Identifier: Apache-2.0 */
/* What holds of every finished tree, whatever its layers were: for tests and for fuzzing. */
#ifndef IMAGE_TEST_TREE_CHECK_H
#define IMAGE_TEST_TREE_CHECK_H

#include "image/tree.h"

#include <assert.h>

static inline void check_name(const struct tree *t, tree_entry e)
{
    tree_entry next = tree_next_sibling(t, e);
    size_t len, next_len;
    const char *name = tree_entry_name(t, e, &len), *next_name;

    assert(len > 0 && len <= LAYER_NAME_MAX && !memchr(name, '/', len) && !memchr(name, 0, len));
    assert(!(len == 1 && name[0] == '.') && !(len == 2 && name[0] == '.' && name[1] == '.'));
    if (next == TREE_NONE)
        return;
    next_name = tree_entry_name(t, next, &next_len);
    int order = memcmp(name, next_name, len < next_len ? len : next_len);

    assert(order < 0 || (order == 0 && len < next_len));
    assert(tree_parent(t, next) == tree_parent(t, e));
}

static inline void check_inode(const struct tree *t, tree_inode i, uint32_t names)
{
    mvm_autovalue(layer_cursor) c = { 0 };
    uint32_t layer = UINT32_MAX;

    assert(tree_inode_links(t, i) == names);
    assert(tree_get_inode(t, i, &c, &layer, NULL) == 0);
    assert(c.record.kind == tree_inode_kind(t, i));
    assert(c.record.kind != LAYER_HARDLINK && c.record.kind != LAYER_WHITEOUT &&
           c.record.kind != LAYER_OPAQUE);
    assert(layer < tree_n_layers(t) || (layer == 0 && c.place == 0));
}

/* The walk gives the numbers in order, each once; parents, kinds and links are right. */
static inline void check_tree(const struct tree *t)
{
    uint32_t n = tree_n_entries(t), inodes = 0, depth = 0;
    mvm_autofree uint32_t *links = mem_array(tree_n_inodes(t), sizeof(*links));
    tree_entry e = 0;

    assert(links && n >= 1 && tree_n_inodes(t) <= n && tree_parent(t, 0) == 0);
    assert(tree_next_sibling(t, 0) == TREE_NONE);
    for (tree_entry i = 0; i < n; i++) {
        tree_inode inode = tree_entry_inode(t, e);
        tree_entry child = tree_first_child(t, e);
        bool dir = tree_inode_kind(t, inode) == LAYER_DIR;

        assert(e == i && depth <= TREE_DEPTH_MAX);
        if (inode == inodes)
            assert(tree_inode_entry(t, inodes++) == e);
        assert(inode < inodes && (dir || child == TREE_NONE));
        links[inode] += dir ? 2 : 1;
        if (e > 0) {
            check_name(t, e);
            links[tree_entry_inode(t, tree_parent(t, e))] += dir ? 1 : 0;
        }
        if (child != TREE_NONE) {
            assert(tree_parent(t, child) == e);
            depth++;
            e = child;
            continue;
        }
        for (; e > 0 && tree_next_sibling(t, e) == TREE_NONE; depth--)
            e = tree_parent(t, e);
        e = e > 0 ? tree_next_sibling(t, e) : n;
    }
    assert(e == n && inodes == tree_n_inodes(t));
    for (tree_inode i = 0; i < inodes; i++)
        check_inode(t, i, links[i]);
}

#endif
