/* SPDX-License-Identifier: Apache-2.0 */
#include "base/le.h"
#include "erofs/writer-internal.h"

#include <assert.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Linux gives every symlink all permissions, whatever a tar says. */
static mode_t mode_of(const struct layer_record *record)
{
    static const mode_t types[] = {
        [LAYER_FILE] = S_IFREG, [LAYER_DIR] = S_IFDIR,  [LAYER_SYMLINK] = S_IFLNK,
        [LAYER_CHAR] = S_IFCHR, [LAYER_FIFO] = S_IFIFO, [LAYER_BLOCK_DEVICE] = S_IFBLK,
    };

    return types[record->kind] | (record->kind == LAYER_SYMLINK ? 0777 : record->mode);
}

/* new_encode_dev() of linux/kdev_t.h. */
static_assert(LAYER_DEVICE_MAJOR_MAX == 0xfff && LAYER_DEVICE_MINOR_MAX == 0xfffff, "12 + 20 bits");
static uint32_t device_encode(dev_t device)
{
    const uint32_t minor = minor(device);

    return (minor & 0xff) | major(device) << 8 | (minor & ~0xffu) << 12;
}

static bool fits_compact(const struct plan *p, tree_inode inode, uint64_t size)
{
    const struct layer_record *record = &p->cursor.record;

    return record->uid <= UINT16_MAX && record->gid <= UINT16_MAX && size <= UINT32_MAX &&
           tree_inode_links(p->tree, inode) <= UINT16_MAX && record->mtime_s == p->time_s &&
           record->mtime_ns == p->time_ns;
}

/* Size, and where the data is when it is not the image's to hold. 1 for data that is. */
static int shape_data(struct plan *p, tree_inode inode, uint32_t layer, struct shape *s,
                      mvm_error **err)
{
    const struct layer_record *record = &p->cursor.record;

    switch (record->kind) {
    case LAYER_FILE:
        s->size = record->size;
        if (record->content || record->size == 0)
            return 1;
        s->address = p->layers[layer] + (uint32_t) record->data_block;
        return 0;
    case LAYER_DIR: {
        int r = dir_measure(p, inode, &s->size, err);

        return r < 0 ? r : 1;
    }
    case LAYER_SYMLINK:
        s->size = record->link_len;
        return 1;
    case LAYER_CHAR:
    case LAYER_BLOCK_DEVICE:
        s->address = device_encode(record->device);
        return 0;
    default:
        return 0;
    }
}

/* Data of more than a block has nothing inline: the end of a great directory would be found only by
 * going through all of it. */
int shape_of(struct plan *p, tree_inode inode, uint32_t layer, struct shape *ret, mvm_error **err)
{
    struct shape s = { .xattrs = xattr_measure(&p->pool, &p->cursor.record) };
    const int own = shape_data(p, inode, layer, &s, err);

    if (own < 0)
        return own;
    s.head = fits_compact(p, inode, s.size) ? EROFS_COMPACT_LEN : EROFS_EXTENDED_LEN;
    if (own && s.size < EROFS_BLOCK && s.head + s.xattrs + s.size <= EROFS_BLOCK)
        s.tail = (uint32_t) s.size;
    else if (own)
        s.blocks = s.size / EROFS_BLOCK + (s.size % EROFS_BLOCK > 0);
    *ret = s;
    return 0;
}

/* The kernel wants what is kept inline in one block, and reads an inode that lies across two of
 * them by a slower way. What is longer than a block (attributes) has nothing inline. */
uint64_t shape_place(const struct shape *s, uint64_t at)
{
    const uint64_t len = (uint64_t) s->head + s->xattrs + s->tail;

    at = (at + EROFS_SLOT - 1) / EROFS_SLOT * EROFS_SLOT;
    if (at % EROFS_BLOCK + (len < EROFS_BLOCK ? len : EROFS_BLOCK) > EROFS_BLOCK)
        at = (at / EROFS_BLOCK + 1) * EROFS_BLOCK;
    return at;
}

static void inode_head(const struct plan *p, tree_inode inode, const struct shape *s,
                       uint32_t address, unsigned char ret[EROFS_EXTENDED_LEN])
{
    const struct layer_record *record = &p->cursor.record;
    const unsigned layout = s->tail > 0 ? EROFS_LAYOUT_INLINE : EROFS_LAYOUT_PLAIN;
    const unsigned form = s->head == EROFS_EXTENDED_LEN ? EROFS_EXTENDED : 0;
    const uint32_t links = tree_inode_links(p->tree, inode);

    memset(ret, 0, EROFS_EXTENDED_LEN);
    le16_put(ret, (uint16_t) (layout << EROFS_LAYOUT_BIT | form));
    if (s->xattrs > 0)
        le16_put(ret + EROFS_INODE_XATTRS,
                 (uint16_t) ((s->xattrs - EROFS_XATTR_HEADER) / EROFS_XATTR_UNIT + 1));
    le16_put(ret + EROFS_INODE_MODE, (uint16_t) mode_of(record));
    le32_put(ret + EROFS_INODE_ADDRESS, address);
    le32_put(ret + EROFS_INODE_INO, inode + 1);
    if (!form) {
        le32_put(ret + EROFS_INODE_SIZE, (uint32_t) s->size);
        le16_put(ret + EROFS_COMPACT_LINKS, (uint16_t) links);
        le16_put(ret + EROFS_COMPACT_UID, (uint16_t) record->uid);
        le16_put(ret + EROFS_COMPACT_GID, (uint16_t) record->gid);
        return;
    }
    le64_put(ret + EROFS_INODE_SIZE, s->size);
    le32_put(ret + EROFS_EXTENDED_UID, record->uid);
    le32_put(ret + EROFS_EXTENDED_GID, record->gid);
    le64_put(ret + EROFS_EXTENDED_TIME, (uint64_t) record->mtime_s);
    le32_put(ret + EROFS_EXTENDED_TIME_NS, record->mtime_ns);
    le32_put(ret + EROFS_EXTENDED_LINKS, links);
}

static int dir_write_blocks(struct plan *p, tree_inode inode, struct output *o, mvm_error **err)
{
    unsigned char block[EROFS_BLOCK];
    struct dir_blocks d;
    size_t used;
    int r = 0;

    dir_blocks_begin(&d, p, inode);
    while (d.name && r == 0) {
        r = dir_blocks_next(&d, block, &used, err);
        if (r == 0)
            r = output_put(o, block, EROFS_BLOCK, err);
    }
    return r;
}

static int dir_write_tail(struct plan *p, tree_inode inode, struct output *o, mvm_error **err)
{
    unsigned char block[EROFS_BLOCK];
    struct dir_blocks d;
    size_t used;
    int r;

    dir_blocks_begin(&d, p, inode);
    r = dir_blocks_next(&d, block, &used, err);
    return r < 0 ? r : output_put(o, block, used, err);
}

/* The next multiple of a block's length. */
static uint64_t blocks_end(uint64_t at)
{
    return (at + EROFS_BLOCK - 1) / EROFS_BLOCK * EROFS_BLOCK;
}

static int data_write(const struct plan *p, struct output *o, mvm_error **err)
{
    const struct layer_record *record = &p->cursor.record;

    if (record->kind == LAYER_SYMLINK)
        return output_put(o, record->link, record->link_len, err);
    return output_put(o, record->content, (size_t) record->size, err);
}

int inode_write(struct plan *p, tree_inode inode, const struct shape *s, uint64_t block,
                struct output *o, mvm_error **err)
{
    unsigned char head[EROFS_EXTENDED_LEN];
    int r;

    inode_head(p, inode, s, s->blocks > 0 ? (uint32_t) block : s->address, head);
    r = output_put(o, head, s->head, err);
    if (r == 0 && s->xattrs > 0)
        r = xattr_write(&p->pool, &p->cursor.record, o, err);
    if (r < 0 || s->tail == 0)
        return r;
    return p->cursor.record.kind == LAYER_DIR ? dir_write_tail(p, inode, o, err)
                                              : data_write(p, o, err);
}

int inode_write_blocks(struct plan *p, tree_inode inode, struct output *o, mvm_error **err)
{
    int r;

    if (p->cursor.record.kind == LAYER_DIR)
        return dir_write_blocks(p, inode, o, err);
    r = data_write(p, o, err);
    return r < 0 ? r : output_fill(o, blocks_end(output_at(o)), err);
}
