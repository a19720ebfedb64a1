/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merged tree in memory, for the parts that make it.
 *
 * tree-table.c   names, nodes and the table that finds a name in its directory
 * tree-walk.c    from a path to a directory, through symlinks
 * tree-whiteout.c, tree-apply.c   the two passes over a layer
 * tree-sort.c, tree-finish.c      order and dense numbers
 *
 * A name that is taken away stays in the arrays and in its directory's list, marked, until
 * tree_finish(): so that each costs a constant time however a layer mixes removals, and so that a
 * hard link still finds a file whose name a whiteout of its own layer hides.
 */
#ifndef IMAGE_TREE_INTERNAL_H
#define IMAGE_TREE_INTERNAL_H

#include "base/siphash.h"
#include "image/tree.h"

#include <assert.h>

enum tree_state {
    TREE_LIVE = 0,
    TREE_HIDDEN = 1, /* by a whiteout of the layer that is being applied */
    TREE_GONE = 2
};

/* An entry. 28 bytes, as there may be a million. */
struct tree_name {
    tree_entry parent; /* of the root: itself */
    tree_entry next;   /* in its directory */
    uint32_t hash;     /* of parent and name; when finished: subdirectories of a directory */
    tree_entry chain;  /* the next one of its bucket, unless it is gone; while finishing: its new
                        * number */
    tree_inode inode;
    layer_place place;   /* of a record whose path has the name */
    uint16_t layer;      /* of that record: the last layer that made the name anew */
    uint16_t start : 13; /* of the name in the path */
    uint16_t state : 3;
};
static_assert(sizeof(struct tree_name) == 28, "a million names must fit");

/* An inode. */
struct tree_node {
    layer_place place; /* of its record; 0: a directory that no layer lists */
    uint16_t layer;    /* of that record, or that had a name below it */
    uint8_t kind;      /* enum layer_kind */
    uint8_t left_out;  /* has names while layers are applied, and none when finished */
    union {
        tree_entry child; /* of a directory: the first name */
        uint32_t links;   /* of all else: names that are live */
    };
    tree_entry entry; /* when finished: the first one that leads here; before: TREE_NONE */
};
static_assert(sizeof(struct tree_node) == 16, "a million inodes must fit");

struct tree {
    struct tree_name *names; /* owned */
    size_t n_names, names_cap;
    struct tree_node *nodes; /* owned */
    size_t n_nodes, nodes_cap;
    tree_entry *buckets; /* owned; NULL when finished */
    size_t n_buckets;    /* a power of two */
    struct siphash_key key;
    const struct layer_index **layers; /* owned array of borrowed indexes */
    size_t n_layers, layers_cap;
    tree_entry *hidden; /* owned: all names of the state TREE_HIDDEN */
    size_t n_hidden, hidden_cap;
    struct layer_cursor record; /* that is being applied */
    struct layer_cursor link;   /* the last symlink on the way */
    struct {
        const char *path; /* borrowed from an index; NULL: nothing is known */
        size_t len;
        tree_entry dir;
        unsigned depth;
    } last; /* where the last walk ended */
    struct layer_touch touch;
    bool opaque_without_directory; /* an opaque marker's path led to no directory */
};

static inline struct tree_node *tree_node_of(const struct tree *t, tree_entry e)
{
    return &t->nodes[t->names[e].inode];
}

/* tree-table.c */

/* A name in the record that is being applied: @len bytes from @start of its path. */
struct tree_slice {
    size_t start, len;
};
/* The text of an entry's name, not NUL-ended. */
const char *tree_text(const struct tree *t, tree_entry e, size_t *ret_len);
/* The index of @layer is looked at near @place. */
void tree_touch(struct tree *t, uint32_t layer, layer_place place);
/* The name of that @state; TREE_NONE. */
tree_entry tree_find(struct tree *t, tree_entry dir, const char *name, size_t len,
                     enum tree_state state);
/* A new inode; of the record that is being applied, or, without @listed, a directory that it
 * implies. */
int tree_add_node(struct tree *t, bool listed, tree_inode *ret, mvm_error **err);
/* A new name of @inode in @dir, which has none such that is live. */
int tree_add_name(struct tree *t, tree_entry dir, struct tree_slice name, tree_inode inode,
                  tree_entry *ret, mvm_error **err);
/* @e becomes a name of @inode; what it was loses the name, with all below it. */
int tree_rebind(struct tree *t, tree_entry e, struct tree_slice name, tree_inode inode,
                mvm_error **err);
/* Takes @e and all below it away: TREE_HIDDEN or TREE_GONE. */
int tree_take_away(struct tree *t, tree_entry e, enum tree_state state, mvm_error **err);
/* What is hidden is gone from now on. */
void tree_forget_hidden(struct tree *t);
/* As tree_take_away(), for all below @e alone. */
int tree_empty(struct tree *t, tree_entry e, enum tree_state state, mvm_error **err);

/* tree-walk.c */

enum tree_walk_mode {
    TREE_LOOK,     /* as it is */
    TREE_LOOK_OLD, /* as it was before this layer's whiteouts */
    TREE_MAKE      /* makes directories where they are missing, or where a lower layer has none */
};
enum tree_walk_result {
    TREE_FOUND = 0,
    TREE_MISSING = 1,      /* but with TREE_MAKE */
    TREE_NOT_DIRECTORY = 2 /* but with TREE_MAKE */
};
struct tree_spot {
    tree_entry dir;
    unsigned depth; /* components below the root */
};
/* The directory of the normal path @path, which an index holds; its symlinks are followed, the last
 * one too. With TREE_MAKE @path begins the path of the record that is being applied. */
int tree_walk(struct tree *t, const char *path, size_t len, enum tree_walk_mode mode,
              struct tree_spot *ret, mvm_error **err);
/* The same for the directory of @path, and where in @path its last component is. */
int tree_walk_parent(struct tree *t, const char *path, size_t len, enum tree_walk_mode mode,
                     struct tree_spot *ret, struct tree_slice *ret_name, mvm_error **err);

/* tree-apply.c: calls @pass for each record of the layer that is being applied, as t->record. */
typedef int tree_pass(struct tree *t, const struct layer_record *r, mvm_error **err);
int tree_each_record(struct tree *t, tree_pass *pass, struct image_tick *tick, mvm_error **err);

/* tree-whiteout.c: what a layer hides of lower ones, before its entries are applied, and afterwards
 * what that leaves to do. */
int tree_hide(struct tree *t, struct image_tick *tick, mvm_error **err);
int tree_hide_end(struct tree *t, struct image_tick *tick, mvm_error **err);

/* tree-sort.c: @e's list becomes that of its live names, in ascending order. Uses
 * their hash and chain. */
int tree_sort(struct tree *t, tree_entry e, struct image_tick *tick, mvm_error **err);

#endif
