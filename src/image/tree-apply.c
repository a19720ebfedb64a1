/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of one layer (OCI image-spec, layer.md, Changeset over existing files): two
 * directories merge, everything else replaces what was there. */
#include "image/tree-internal.h"

/* The record becomes what the name at @name in @dir stands for. */
static int bind_name(struct tree *t, struct tree_spot dir, struct tree_slice name, tree_inode inode,
                     tree_entry old, mvm_error **err)
{
    tree_entry e;

    if (old != TREE_NONE)
        return tree_rebind(t, old, name, inode, err);
    if (dir.depth >= TREE_DEPTH_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "deeper than %u directories", TREE_DEPTH_MAX);
    return tree_add_name(t, dir.dir, name, inode, &e, err);
}

/* Where the hard link @r leads. A file of a lower layer can be linked to although this layer hides
 * its name. */
static int find_source(struct tree *t, const struct layer_record *r, tree_entry *ret,
                       mvm_error **err)
{
    static const enum tree_walk_mode modes[] = { TREE_LOOK, TREE_LOOK_OLD };
    static const enum tree_state states[] = { TREE_LIVE, TREE_HIDDEN };
    int found = TREE_MISSING;

    for (size_t i = 0; i < (t->n_hidden ? ARRAY_SIZE(modes) : 1); i++) {
        struct tree_slice name;
        struct tree_spot spot;

        found = tree_walk_parent(t, r->link, r->link_len, modes[i], &spot, &name, err);
        if (found < 0)
            return found;
        for (size_t k = i + 1; found == TREE_FOUND && k-- > 0;) {
            *ret = tree_find(t, spot.dir, r->link + name.start, name.len, states[k]);
            if (*ret != TREE_NONE)
                return 0;
        }
    }
    return mvm_fail(err, MVM_E_FORMAT, 0, "%s",
                    found == TREE_NOT_DIRECTORY ? "its parent is no directory" : "no such file");
}

static int apply_hardlink(struct tree *t, const struct layer_record *r, struct tree_spot dir,
                          struct tree_slice name, mvm_error **err)
{
    tree_entry source, old = tree_find(t, dir.dir, r->path + name.start, name.len, TREE_LIVE);
    int ret = find_source(t, r, &source, err);

    if (ret == 0 && tree_node_of(t, source)->kind == LAYER_DIR)
        ret = mvm_fail(err, MVM_E_FORMAT, 0, "it is a directory");
    if (ret < 0)
        return mvm_context(err, ret, "hard link to '%.256s'", r->link);
    return bind_name(t, dir, name, t->names[source].inode, old, err);
}

/* The record describes the directory @e from now on. */
static void merge_directory(struct tree *t, tree_entry e, struct tree_slice name)
{
    struct tree_node *node = tree_node_of(t, e);

    node->place = t->record.place;
    node->layer = (uint16_t) (t->n_layers - 1);
    if (e == 0)
        return;
    t->names[e].place = t->record.place;
    t->names[e].layer = node->layer;
    t->names[e].start = (uint16_t) (name.start & 0x1fff);
}

static int apply_entry(struct tree *t, const struct layer_record *r, mvm_error **err)
{
    struct tree_slice name;
    struct tree_spot dir;
    tree_inode inode;
    tree_entry old;
    int ret;

    if (r->kind == LAYER_WHITEOUT || r->kind == LAYER_OPAQUE)
        return 0;
    if (r->path_len == 0) {
        if (r->kind != LAYER_DIR)
            return mvm_fail(err, MVM_E_FORMAT, 0, "the root of the image must be a directory");
        merge_directory(t, 0, (struct tree_slice){ 0 });
        return 0;
    }
    ret = tree_walk_parent(t, r->path, r->path_len, TREE_MAKE, &dir, &name, err);
    if (ret < 0)
        return ret;
    if (r->kind == LAYER_HARDLINK)
        return apply_hardlink(t, r, dir, name, err);
    old = tree_find(t, dir.dir, r->path + name.start, name.len, TREE_LIVE);
    if (old != TREE_NONE && r->kind == LAYER_DIR && tree_node_of(t, old)->kind == LAYER_DIR) {
        merge_directory(t, old, name);
        return 0;
    }
    ret = tree_add_node(t, true, &inode, err);
    return ret < 0 ? ret : bind_name(t, dir, name, inode, old, err);
}

int tree_each_record(struct tree *t, tree_pass *pass, struct image_tick *tick, mvm_error **err)
{
    uint32_t layer = (uint32_t) t->n_layers - 1;
    int r, more;

    t->record.place = 0;
    while ((more = layer_index_next(t->layers[layer], &t->record, err)) > 0) {
        tree_touch(t, layer, t->record.place);
        r = image_tick(tick, err);
        if (r < 0)
            return r;
        r = pass(t, &t->record.record, err);
        if (r < 0)
            return mvm_context(err, r, "'%.256s'", t->record.record.path);
        if (r > 0)
            return r;
    }
    return more;
}

int tree_apply(struct tree *t, const struct layer_index *layer, struct image_tick *tick,
               mvm_error **err)
{
    int r;

    if (t->n_layers >= TREE_LAYERS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "the image has more than %u layers", TREE_LAYERS_MAX);
    if (mem_grow(&t->layers, &t->layers_cap, t->n_layers, sizeof(struct layer_index *)) < 0)
        return mvm_fail_nomem(err);
    t->layers[t->n_layers++] = layer;
    r = tree_hide(t, tick, err);
    if (r == 0)
        r = tree_each_record(t, apply_entry, tick, err);
    return r < 0 ? r : tree_hide_end(t, tick, err);
}
