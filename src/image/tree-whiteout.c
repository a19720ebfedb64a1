/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a layer hides of lower ones (OCI image-spec, layer.md, Whiteouts and Opaque Whiteout). Done
 * before the layer's entries are applied, so that these survive wherever the whiteouts stand.
 */
#include "image/tree-internal.h"

static int look_for_whiteouts(struct tree *t, const struct layer_record *r, mvm_error **err)
{
    (void) t;
    (void) err;
    return r->kind == LAYER_WHITEOUT || r->kind == LAYER_OPAQUE;
}

/* A directory of this layer replaces what a lower one has there. An opaque marker in it is about
 * the new directory, and not about where a symlink led that it replaces. */
static int hide_replaced(struct tree *t, const struct layer_record *r, mvm_error **err)
{
    struct tree_slice name;
    struct tree_spot spot;
    tree_entry e;
    int found;

    if (r->kind != LAYER_DIR || r->path_len == 0)
        return 0;
    /* A way that cannot be gone is an error when the entry is applied, if it is the same then. */
    found = tree_walk_parent(t, r->path, r->path_len, TREE_LOOK, &spot, &name, NULL);
    if (found == MVM_E_NOMEM)
        return mvm_fail_nomem(err);
    e = found == TREE_FOUND ? tree_find(t, spot.dir, r->path + name.start, name.len, TREE_LIVE)
                            : TREE_NONE;
    if (e == TREE_NONE || tree_node_of(t, e)->kind == LAYER_DIR)
        return 0;
    return tree_take_away(t, e, TREE_HIDDEN, err);
}

static int hide_name(struct tree *t, const struct layer_record *r, mvm_error **err)
{
    struct tree_slice name;
    struct tree_spot spot;
    tree_entry e;
    int found = tree_walk_parent(t, r->path, r->path_len, TREE_LOOK, &spot, &name, err);

    if (found != TREE_FOUND)
        return found < 0 ? found : 0; /* nothing to hide */
    e = tree_find(t, spot.dir, r->path + name.start, name.len, TREE_LIVE);
    return e == TREE_NONE ? 0 : tree_take_away(t, e, TREE_HIDDEN, err);
}

static int hide_content(struct tree *t, const struct layer_record *r, mvm_error **err)
{
    struct tree_spot spot;
    int found = tree_walk(t, r->path, r->path_len, TREE_LOOK, &spot, err);

    if (found == TREE_NOT_DIRECTORY)
        t->opaque_without_directory = true;
    if (found != TREE_FOUND)
        return found < 0 ? found : 0;
    return tree_empty(t, spot.dir, TREE_HIDDEN, err);
}

static int hide(struct tree *t, const struct layer_record *r, mvm_error **err)
{
    return r->kind == LAYER_WHITEOUT ? hide_name(t, r, err)
           : r->kind == LAYER_OPAQUE ? hide_content(t, r, err)
                                     : 0;
}

int tree_hide(struct tree *t, struct image_tick *tick, mvm_error **err)
{
    int r;

    t->opaque_without_directory = false;
    if (t->n_names == 1)
        return 0; /* of the first layer's whiteouts none can hide anything */
    r = tree_each_record(t, look_for_whiteouts, tick, err);
    if (r <= 0)
        return r;
    r = tree_each_record(t, hide_replaced, tick, err);
    return r < 0 ? r : tree_each_record(t, hide, tick, err);
}

static int check_opaque(struct tree *t, const struct layer_record *r, mvm_error **err)
{
    struct tree_spot spot;
    int found;

    if (r->kind != LAYER_OPAQUE)
        return 0;
    found = tree_walk(t, r->path, r->path_len, TREE_LOOK, &spot, err);
    if (found == TREE_NOT_DIRECTORY)
        return mvm_fail(err, MVM_E_FORMAT, 0, "an opaque marker in what is no directory");
    return found < 0 ? found : 0;
}

int tree_hide_end(struct tree *t, struct image_tick *tick, mvm_error **err)
{
    tree_forget_hidden(t);
    /* The layer's own entries may have made the directory since. */
    return t->opaque_without_directory ? tree_each_record(t, check_opaque, tick, err) : 0;
}
