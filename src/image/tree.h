/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merged tree of an image: layers applied, base first (OCI image-spec, layer.md), in memory
 * alone. A name is an entry, what it stands for an inode; hard links are several entries of one
 * inode. What an inode is stays in the layer's index: the tree keeps places and no text, so that a
 * million entries take less than 48 MiB.
 *
 * A layer is applied in two passes. The first takes its whiteouts, which can only hide what lower
 * layers brought, wherever in the layer they stand; the second takes everything else, the last of
 * two equal names winning. Symlinks on the way to a name are followed within the root, as the
 * layers so far have them.
 *
 * A character device 0:0 replaces what had its name, as any device does, and is then left out of
 * the finished tree: it is overlayfs' own mark for a removed name, and the guest's root is one.
 */
#ifndef IMAGE_TREE_H
#define IMAGE_TREE_H

#include "image/layer-index.h"
#include "image/tick.h"

/* An entry; 0 is the root. Numbers are dense after tree_finish(), in the order of a walk: each
 * directory before what is below it, and that before the next sibling. */
typedef uint32_t tree_entry;
#define TREE_NONE UINT32_MAX
/* An inode; 0 is the root's. Numbers are dense after tree_finish(), in the order in which such a
 * walk comes to each first. */
typedef uint32_t tree_inode;

/* Most names, those included that layers took away again: the entries that an image may have
 * (image.md I-200) and some thousands of directories that no layer lists. */
#define TREE_ENTRIES_MAX (UINT32_C(1) << 20)
/* Most components of a name (image.md I-202), symlinked parents resolved. */
#define TREE_DEPTH_MAX 256u
/* Symlinks followed on one way (path_resolution(7) has the same). */
#define TREE_LINKS_MAX 40u
/* Components on one way, those that came out of symlinks included: so that no image costs hours. */
#define TREE_STEPS_MAX 1024u
/* The number of a layer has 16 bits; no manifest of OCI_MANIFEST_MAX bytes has as many. */
#define TREE_LAYERS_MAX 65535u

struct tree;
int tree_new(struct tree **ret, mvm_error **err);
void tree_free(struct tree *t);
MVM_DEFINE_AUTO(tree, tree_free)

/* @layer is borrowed as long as the tree lives. After a failure the tree is of no use. The error
 * names the entry. */
int tree_apply(struct tree *t, const struct layer_index *layer, struct image_tick *tick,
               mvm_error **err);
/* After the last layer: sorts (bytewise, as EROFS has its directories), numbers the inodes, counts
 * their links, forgets what nothing reaches. */
int tree_finish(struct tree *t, struct image_tick *tick, mvm_error **err);

/* All below: after tree_finish(). */
uint32_t tree_n_entries(const struct tree *t); /* the root included */
uint32_t tree_n_inodes(const struct tree *t);
uint32_t tree_n_layers(const struct tree *t);
const struct layer_index *tree_layer(const struct tree *t, uint32_t layer);

tree_entry tree_first_child(const struct tree *t, tree_entry dir); /* TREE_NONE: empty */
tree_entry tree_next_sibling(const struct tree *t, tree_entry e);  /* TREE_NONE: the last */
tree_entry tree_parent(const struct tree *t, tree_entry e);        /* of the root: itself */
tree_inode tree_entry_inode(const struct tree *t, tree_entry e);
/* The last component; not NUL-ended, borrowed from the index of its layer. */
const char *tree_entry_name(const struct tree *t, tree_entry e, size_t *ret_len);

/* What an inode is: the record of the entry that made it, never a hard link or a whiteout. The
 * cursor's record.path is a path that it had once; its other fields hold. A directory that no layer
 * lists has mode 0755, owner 0:0, the time 0 and the path "". *ret_layer: where data_block counts.
 */
int tree_get_inode(const struct tree *t, tree_inode inode, struct layer_cursor *c,
                   uint32_t *ret_layer, mvm_error **err);
enum layer_kind tree_inode_kind(const struct tree *t, tree_inode inode);
/* Entries of the inode; of a directory 2 and its subdirectories, as stat(2) has it. */
uint32_t tree_inode_links(const struct tree *t, tree_inode inode);
/* The first entry, in the order of a walk, that leads to it. */
tree_entry tree_inode_entry(const struct tree *t, tree_inode inode);

#endif
