/* SPDX-License-Identifier: Apache-2.0 */
#include "erofs/writer.h"

#include "base/le.h"
#include "erofs/writer-internal.h"

#include <assert.h>
#include <isa-l/crc.h>

/* The root's number has 16 bits; it comes first. */
#define INODES_AT EROFS_BLOCK
static_assert(INODES_AT / EROFS_SLOT <= UINT16_MAX, "s_root_nid");
static_assert(EROFS_BLOCK == LAYER_BLOCK, "content of layers is addressed in blocks of the image");

static void plan_deinit(struct plan *p)
{
    layer_cursor_deinit(&p->cursor);
    xattr_pool_deinit(&p->pool);
    free(p->nids);
    free(p->layers);
}
MVM_DEFINE_AUTOVALUE(plan, plan_deinit)

static uint64_t blocks_of(uint64_t bytes)
{
    return bytes / EROFS_BLOCK + (bytes % EROFS_BLOCK > 0);
}

void plan_touch(struct plan *p, const void *at)
{
    if (!layer_touch(&p->touch, at))
        return;
    for (uint32_t i = 0; i < tree_n_layers(p->tree); i++)
        layer_index_drop(tree_layer(p->tree, i));
}

int plan_get(struct plan *p, tree_inode inode, uint32_t *ret_layer, mvm_error **err)
{
    const struct layer_record *record = &p->cursor.record;
    int r = image_tick(p->tick, err);

    if (r == 0)
        r = tree_get_inode(p->tree, inode, &p->cursor, ret_layer, err);
    if (r < 0)
        return r;
    plan_touch(p, record->path);
    for (uint16_t i = 0; i < record->n_xattrs; i++)
        plan_touch(p, record->xattrs[i].value);
    return 0;
}

static int plan_init(struct plan *p, mvm_error **err)
{
    p->nids = mem_array(tree_n_inodes(p->tree), sizeof(*p->nids));
    p->layers = mem_array(tree_n_layers(p->tree), sizeof(*p->layers));
    if (!p->nids || !p->layers)
        return mvm_fail_nomem(err);
    return xattr_pool_init(&p->pool, err);
}

/* Gives each inode its place, and counts in p->metadata the blocks that some have of their own. */
static int place_inodes(struct plan *p, uint64_t *ret_end, mvm_error **err)
{
    const uint32_t n = tree_n_inodes(p->tree);
    uint64_t at = INODES_AT;

    for (tree_inode i = 0; i < n; i++) {
        struct shape s;
        uint32_t layer;
        int r = plan_get(p, i, &layer, err);

        if (r < 0)
            return r;
        r = shape_of(p, i, layer, &s, err);
        if (r < 0)
            return r;
        at = shape_place(&s, at);
        if (at / EROFS_SLOT > PLAN_NID_MAX)
            return mvm_fail(err, MVM_E_LIMIT, 0, "the inodes of the image take more than %llu GiB",
                            (unsigned long long) PLAN_BLOCKS * EROFS_SLOT >> 30);
        p->nids[i] = (uint32_t) (at / EROFS_SLOT) | (s.blocks > 0 ? PLAN_BLOCKS : 0);
        p->metadata += s.blocks;
        at += s.head + s.xattrs + s.tail;
    }
    *ret_end = at;
    return 0;
}

static int place_layers(struct plan *p, mvm_error **err)
{
    p->total = p->metadata;
    for (uint32_t i = 0; i < tree_n_layers(p->tree); i++) {
        p->layers[i] = (uint32_t) p->total;
        if (__builtin_add_overflow(
                p->total, layer_index_totals(tree_layer(p->tree, i))->data_blocks, &p->total) ||
            p->total > UINT32_MAX)
            return mvm_fail(err, MVM_E_LIMIT, 0, "the image takes more than %u blocks of %u bytes",
                            UINT32_MAX, EROFS_BLOCK);
    }
    return 0;
}

static int plan_place(struct plan *p, mvm_error **err)
{
    uint64_t end;
    int r = place_inodes(p, &end, err);

    if (r < 0)
        return r;
    p->xattrs = blocks_of(end);
    p->blocks = p->xattrs + blocks_of(p->pool.bytes);
    p->metadata += p->blocks;
    return place_layers(p, err);
}

static int write_super(const struct plan *p, struct output *o, mvm_error **err)
{
    unsigned char block[EROFS_BLOCK] = { 0 };
    unsigned char *super = block + EROFS_SUPER_AT;

    le32_put(super, EROFS_MAGIC);
    le32_put(super + EROFS_SUPER_COMPAT, EROFS_COMPAT_CHECKSUM | EROFS_COMPAT_MTIME);
    super[EROFS_SUPER_BLOCK_BITS] = EROFS_BLOCK_BITS;
    le16_put(super + EROFS_SUPER_ROOT, (uint16_t) (INODES_AT / EROFS_SLOT));
    le64_put(super + EROFS_SUPER_INODES, tree_n_inodes(p->tree));
    le64_put(super + EROFS_SUPER_TIME, (uint64_t) p->time_s);
    le32_put(super + EROFS_SUPER_TIME_NS, p->time_ns);
    le32_put(super + EROFS_SUPER_BLOCKS, (uint32_t) p->total);
    le32_put(super + EROFS_SUPER_XATTRS, (uint32_t) p->xattrs);
    /* CRC-32C of the rest of the block, its own field 0, and not inverted at the end:
     * erofs_superblock_csum_verify() of Linux. */
    le32_put(super + EROFS_SUPER_CHECKSUM,
             crc32_iscsi(super, EROFS_BLOCK - EROFS_SUPER_AT, UINT32_MAX));
    return output_put(o, block, sizeof(block), err);
}

static int write_inodes(struct plan *p, struct output *o, mvm_error **err)
{
    const uint32_t n = tree_n_inodes(p->tree);
    uint64_t block = p->blocks;
    int r = 0;

    for (tree_inode i = 0; i < n && r == 0; i++) {
        struct shape s;
        uint32_t layer;

        r = plan_get(p, i, &layer, err);
        if (r < 0)
            return r;
        r = shape_of(p, i, layer, &s, err);
        if (r == 0)
            r = output_fill(o, (uint64_t) (p->nids[i] & PLAN_NID_MAX) * EROFS_SLOT, err);
        if (r == 0)
            r = inode_write(p, i, &s, block, o, err);
        block += s.blocks;
    }
    return r;
}

static int write_blocks(struct plan *p, struct output *o, mvm_error **err)
{
    const uint32_t n = tree_n_inodes(p->tree);
    int r = output_fill(o, p->blocks * EROFS_BLOCK, err);

    for (tree_inode i = 0; i < n && r == 0; i++) {
        uint32_t layer;

        if (!(p->nids[i] & PLAN_BLOCKS))
            continue;
        r = plan_get(p, i, &layer, err);
        if (r == 0)
            r = inode_write_blocks(p, i, o, err);
    }
    return r;
}

static int plan_write(struct plan *p, struct output *o, mvm_error **err)
{
    int r = write_super(p, o, err);

    if (r == 0)
        r = write_inodes(p, o, err);
    if (r == 0)
        r = output_fill(o, p->xattrs * EROFS_BLOCK, err);
    if (r == 0)
        r = xattr_pool_write(&p->pool, o, err);
    if (r == 0)
        r = write_blocks(p, o, err);
    return r < 0 ? r : output_flush(o, err);
}

int erofs_write(int fd, const struct tree *tree, struct image_tick *tick, struct erofs_sum *ret,
                mvm_error **err)
{
    mvm_autovalue(plan) p = { .tree = tree, .tick = tick };
    mvm_autovalue(output) o = { .fd = -EBADF };
    int r = plan_init(&p, err);

    if (r == 0)
        r = output_init(&o, fd, err);
    if (r == 0)
        r = plan_survey(&p, err);
    if (r == 0)
        r = plan_place(&p, err);
    if (r == 0)
        r = plan_write(&p, &o, err);
    if (r < 0)
        return r;
    *ret = (struct erofs_sum){ .size = o.flushed, .crc = o.crc };
    return 0;
}
