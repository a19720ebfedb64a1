/* SPDX-License-Identifier: Apache-2.0 */
#include "base/le.h"
#include "erofs/writer-internal.h"

static int name_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);

    return c ? c : (a_len > b_len) - (a_len < b_len);
}

/* The kernel searches a directory by halves, bytewise, "." and ".." among the others: both have
 * their place in the order, which is not always the first one. */
static void dir_advance(struct dir_blocks *d)
{
    const size_t dot_len = d->dots + 1;
    const char *child = NULL;
    size_t len = 0;

    if (d->child != TREE_NONE) {
        child = tree_entry_name(d->plan->tree, d->child, &len);
        plan_touch(d->plan, child);
    }
    if (d->dots < 2 && (!child || name_compare("..", dot_len, child, len) < 0)) {
        d->name = "..";
        d->len = dot_len;
        d->inode = d->dots == 0 ? d->self : d->parent;
        d->dots++;
        return;
    }
    d->name = child;
    d->len = len;
    if (child) {
        d->inode = tree_entry_inode(d->plan->tree, d->child);
        d->child = tree_next_sibling(d->plan->tree, d->child);
    }
}

void dir_blocks_begin(struct dir_blocks *d, struct plan *p, tree_inode dir)
{
    const tree_entry entry = tree_inode_entry(p->tree, dir);

    *d = (struct dir_blocks){ .plan = p,
                              .self = dir,
                              .parent = tree_entry_inode(p->tree, tree_parent(p->tree, entry)),
                              .child = tree_first_child(p->tree, entry) };
    dir_advance(d);
}

static enum erofs_type type_of(enum layer_kind kind)
{
    static const enum erofs_type types[] = {
        [LAYER_FILE] = EROFS_TYPE_FILE,       [LAYER_DIR] = EROFS_TYPE_DIR,
        [LAYER_SYMLINK] = EROFS_TYPE_SYMLINK, [LAYER_CHAR] = EROFS_TYPE_CHAR,
        [LAYER_FIFO] = EROFS_TYPE_FIFO,       [LAYER_BLOCK_DEVICE] = EROFS_TYPE_BLOCK,
    };

    return types[kind];
}

/* An entry whose name waits behind those before it. */
struct dirent {
    tree_inode inode;
    uint16_t len;
};

static void dirent_put(const struct plan *p, const struct dirent *e, unsigned char *to, size_t name)
{
    le64_put(to, p->nids[e->inode] & PLAN_NID_MAX);
    le16_put(to + EROFS_DIRENT_NAME, (uint16_t) name);
    to[EROFS_DIRENT_TYPE] = (unsigned char) type_of(tree_inode_kind(p->tree, e->inode));
    to[EROFS_DIRENT_TYPE + 1] = 0;
}

/* Names are looked at once: those of a great directory may lie anywhere in the indexes. Where they
 * begin in the block depends on how many there are. */
int dir_blocks_next(struct dir_blocks *d, unsigned char *block, size_t *ret_used, mvm_error **err)
{
    struct dirent entries[EROFS_BLOCK / EROFS_DIRENT_LEN];
    char names[EROFS_BLOCK];
    size_t used = 0, n = 0, name = 0;

    for (; d->name && used + EROFS_DIRENT_LEN + d->len <= EROFS_BLOCK; dir_advance(d)) {
        entries[n] = (struct dirent){ d->inode, (uint16_t) d->len };
        if (block)
            memcpy(names + used - n * EROFS_DIRENT_LEN, d->name, d->len);
        used += EROFS_DIRENT_LEN + d->len;
        n++;
    }
    *ret_used = used;
    if (!block)
        return image_tick(d->plan->tick, err);
    name = n * EROFS_DIRENT_LEN;
    memcpy(block + name, names, used - name);
    for (size_t i = 0; i < n; name += entries[i++].len)
        dirent_put(d->plan, &entries[i], block + i * EROFS_DIRENT_LEN, name);
    memset(block + used, 0, EROFS_BLOCK - used);
    return image_tick(d->plan->tick, err);
}

int dir_measure(struct plan *p, tree_inode dir, uint64_t *ret, mvm_error **err)
{
    struct dir_blocks d;
    uint64_t full = 0;
    size_t used = 0;
    int r = 0;

    dir_blocks_begin(&d, p, dir);
    while (d.name && r == 0) {
        full += used ? EROFS_BLOCK : 0;
        r = dir_blocks_next(&d, NULL, &used, err);
    }
    *ret = full + used;
    return r;
}
