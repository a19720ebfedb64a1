/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tree.h"

#include "image/tree-internal.h"

#include <sys/random.h>

int tree_new(struct tree **ret, mvm_error **err)
{
    mvm_auto(tree) t = calloc(1, sizeof(*t));
    tree_inode root;
    int r;

    if (!t)
        return mvm_fail_nomem(err);
    if (getrandom(&t->key, sizeof(t->key), 0) != (ssize_t) sizeof(t->key))
        return mvm_fail(err, MVM_E_SYS, errno, "get random bytes");
    r = tree_add_node(t, false, &root, err);
    if (r < 0)
        return r;
    if (mem_grow(&t->names, &t->names_cap, 0, sizeof(*t->names)) < 0)
        return mvm_fail_nomem(err);
    t->names[t->n_names++] = (struct tree_name){ .next = TREE_NONE, .inode = root };
    *ret = steal_ptr(&t);
    return 0;
}

void tree_free(struct tree *t)
{
    if (!t)
        return;
    free(t->names);
    free(t->nodes);
    free(t->buckets);
    free(t->layers);
    free(t->hidden);
    layer_cursor_deinit(&t->record);
    layer_cursor_deinit(&t->link);
    free(t);
}

uint32_t tree_n_entries(const struct tree *t)
{
    return (uint32_t) t->n_names;
}

uint32_t tree_n_inodes(const struct tree *t)
{
    return (uint32_t) t->n_nodes;
}

uint32_t tree_n_layers(const struct tree *t)
{
    return (uint32_t) t->n_layers;
}

const struct layer_index *tree_layer(const struct tree *t, uint32_t layer)
{
    assert(layer < t->n_layers);
    return t->layers[layer];
}

tree_entry tree_first_child(const struct tree *t, tree_entry dir)
{
    const struct tree_node *node = tree_node_of(t, dir);

    return node->kind == LAYER_DIR ? node->child : TREE_NONE;
}

tree_entry tree_next_sibling(const struct tree *t, tree_entry e)
{
    return t->names[e].next;
}

tree_entry tree_parent(const struct tree *t, tree_entry e)
{
    return t->names[e].parent;
}

tree_inode tree_entry_inode(const struct tree *t, tree_entry e)
{
    return t->names[e].inode;
}

const char *tree_entry_name(const struct tree *t, tree_entry e, size_t *ret_len)
{
    if (e == 0) {
        *ret_len = 0;
        return "";
    }
    return tree_text(t, e, ret_len);
}

int tree_get_inode(const struct tree *t, tree_inode inode, struct layer_cursor *c,
                   uint32_t *ret_layer, mvm_error **err)
{
    const struct tree_node *node = &t->nodes[inode];
    int r = 0;

    if (node->place > 0) {
        r = layer_index_get(t->layers[node->layer], node->place, c, err);
    } else {
        c->record = (struct layer_record){
            .kind = LAYER_DIR, .path = "", .link = "", .mode = 0755
        };
        c->place = 0;
    }
    if (r < 0)
        return mvm_context(err, r, "layer %u", node->layer + 1u);
    *ret_layer = node->layer;
    return 0;
}

enum layer_kind tree_inode_kind(const struct tree *t, tree_inode inode)
{
    return (enum layer_kind) t->nodes[inode].kind;
}

uint32_t tree_inode_links(const struct tree *t, tree_inode inode)
{
    const struct tree_node *node = &t->nodes[inode];

    return node->kind == LAYER_DIR ? 2 + t->names[node->entry].hash : node->links;
}

tree_entry tree_inode_entry(const struct tree *t, tree_inode inode)
{
    return t->nodes[inode].entry;
}
