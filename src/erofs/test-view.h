/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests and fuzz targets: reads an image by what erofs_fs.h and the kernel's code say, without
 * any of the writer's, and compares it with the tree that it was made of.
 */
#ifndef EROFS_TEST_VIEW_H
#define EROFS_TEST_VIEW_H

#include "base/le.h"
#include "erofs/writer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct view { /* the metadata image */
    const unsigned char *p;
    uint64_t size;
};
struct view_inode {
    uint64_t at;
    bool extended;
    unsigned layout;
    uint32_t mode, uid, gid, links, address;
    uint64_t size;
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint64_t xattrs_at, xattrs_len, inline_at;
};

/* The sum that the kernel computes over the super block: bit by bit, so that it is nobody's table.
 */
static inline uint32_t view_crc32c(const unsigned char *p, size_t len)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < len; i++) {
        /* The four bytes of the sum itself count as 0. */
        crc ^= i >= 4 && i < 8 ? 0 : p[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return crc;
}

static inline const char *view_check_super(const struct view *v, const struct tree *t)
{
    const unsigned char *s = v->p + 1024;
    uint64_t blocks = v->size / 4096;

    for (uint32_t i = 0; i < tree_n_layers(t); i++)
        blocks += layer_index_totals(tree_layer(t, i))->data_blocks;
    if (v->size < 4096 || v->size % 4096 != 0 || le32_get(s) != 0xe0f5e1e2 || s[12] != 12)
        return "no image of 4 KiB blocks";
    if (le32_get(s + 8) != 3 || le32_get(s + 4) != view_crc32c(s, 3072))
        return "wrong features or checksum";
    if (le64_get(s + 16) != tree_n_inodes(t) || le32_get(s + 36) != blocks)
        return "wrong counts";
    return NULL;
}

static inline const char *view_inode(const struct view *v, uint64_t nid, struct view_inode *ret)
{
    const unsigned char *s = v->p + 1024;
    const uint64_t at = nid * 32;
    const unsigned char *p = v->p + at;
    struct view_inode n = { .at = at };
    uint64_t head;

    if (nid >= v->size / 32)
        return "an inode beyond the end";
    /* A compact inode may be the last thing of the image. */
    n.extended = le16_get(p) & 1;
    head = n.extended ? 64 : 32;
    if (at % 4096 + head > 4096)
        return "an inode across two blocks";
    n.layout = le16_get(p) >> 1;
    n.mode = le16_get(p + 4);
    n.address = le32_get(p + 16);
    n.size = n.extended ? le64_get(p + 8) : le32_get(p + 8);
    n.uid = n.extended ? le32_get(p + 24) : le16_get(p + 24);
    n.gid = n.extended ? le32_get(p + 28) : le16_get(p + 26);
    n.links = n.extended ? le32_get(p + 44) : le16_get(p + 6);
    n.mtime_s = (int64_t) le64_get(n.extended ? p + 32 : s + 24);
    n.mtime_ns = le32_get(n.extended ? p + 40 : s + 32);
    n.xattrs_at = at + head;
    n.xattrs_len = le16_get(p + 2) ? 12 + (le16_get(p + 2) - 1u) * UINT64_C(4) : 0;
    n.inline_at = n.xattrs_at + n.xattrs_len;
    if (n.inline_at > v->size || (n.layout != 0 && n.layout != 2))
        return "attributes beyond the end, or a wrong layout";
    if (n.layout == 2 && n.inline_at % 4096 + n.size % 4096 > 4096)
        return "inline data across two blocks";
    *ret = n;
    return NULL;
}

/* The data of an inode that has all of it in the metadata image, from a block's beginning on: NULL
 * beyond the end. */
static inline const unsigned char *view_data(const struct view *v, const struct view_inode *n,
                                             uint64_t offset, size_t *ret_len)
{
    const uint64_t left = n->size - offset;
    const size_t len = left < 4096 ? (size_t) left : 4096;
    uint64_t at = (uint64_t) n->address * 4096 + offset;

    if (n->layout == 2 && left < 4096)
        at = n->inline_at;
    *ret_len = len;
    return at > v->size || len > v->size - at ? NULL : v->p + at;
}

static inline bool view_data_equals(const struct view *v, const struct view_inode *n,
                                    const void *data, size_t size)
{
    if (n->size != size)
        return false;
    for (uint64_t offset = 0; offset < size; offset += 4096) {
        size_t len;
        const unsigned char *p = view_data(v, n, offset, &len);

        if (!p || memcmp(p, (const char *) data + offset, len) != 0)
            return false;
    }
    return true;
}

static inline const char *view_xattr_prefix(unsigned index)
{
    static const char *const prefixes[] = {
        "", "user.",    "system.posix_acl_access", "system.posix_acl_default", "trusted.",
        "", "security."
    };

    return index < ARRAY_SIZE(prefixes) ? prefixes[index] : "";
}

/* Whether the entry at @at is @want; its length in any case, 0 when it is none. */
static inline uint64_t view_xattr_entry(const struct view *v, uint64_t at,
                                        const struct layer_xattr *want, bool *ret_equal)
{
    const unsigned char *p = v->p + at;
    const char *prefix;
    size_t prefix_len;
    uint64_t len;

    if (at % 4 != 0 || at > v->size || v->size - at < 4)
        return 0;
    len = 4u + p[0] + le16_get(p + 2);
    prefix = view_xattr_prefix(p[1]);
    prefix_len = strlen(prefix);
    if (len > v->size - at || prefix_len == 0)
        return 0;
    *ret_equal = strncmp(want->name, prefix, prefix_len) == 0 &&
                 strlen(want->name) == prefix_len + p[0] &&
                 memcmp(want->name + prefix_len, p + 4, p[0]) == 0 &&
                 want->value_len == le16_get(p + 2) &&
                 (want->value_len == 0 || memcmp(want->value, p + 4 + p[0], want->value_len) == 0);
    return (len + 3) / 4 * 4;
}

/* How often the inode has the attribute @want; *ret_n: how many it has in all. -1: malformed. */
static inline int view_find_xattr(const struct view *v, const struct view_inode *n,
                                  const struct layer_xattr *want, unsigned *ret_n)
{
    const uint64_t shared_at = le32_get(v->p + 1024 + 44) * UINT64_C(4096);
    const unsigned shared = n->xattrs_len ? v->p[n->xattrs_at + 4] : 0;
    uint64_t at = n->xattrs_at + 12 + shared * 4;
    bool equal = false;
    int found = 0;

    *ret_n = shared;
    if (n->xattrs_len == 0)
        return 0;
    if (n->xattrs_len == 12 || at > n->inline_at)
        return -1;
    for (unsigned i = 0; i < shared; i++) {
        const uint32_t id = le32_get(v->p + n->xattrs_at + 12 + i * 4);

        if (view_xattr_entry(v, shared_at + id * UINT64_C(4), want, &equal) == 0)
            return -1;
        found += equal;
    }
    for (; at < n->inline_at; ++*ret_n) {
        const uint64_t len = view_xattr_entry(v, at, want, &equal);

        if (len == 0 || len > n->inline_at - at)
            return -1;
        found += equal;
        at += len;
    }
    return found;
}

static inline bool view_xattr_known(const char *name)
{
    return (strncmp(name, "user.", 5) == 0 && name[5]) ||
           (strncmp(name, "trusted.", 8) == 0 && name[8]) ||
           (strncmp(name, "security.", 9) == 0 && name[9]) ||
           strcmp(name, "system.posix_acl_access") == 0 ||
           strcmp(name, "system.posix_acl_default") == 0;
}

static inline const char *view_check_xattrs(const struct view *v, const struct view_inode *n,
                                            const struct layer_record *record)
{
    static const struct layer_xattr none = { .name = "" };
    unsigned known = 0, has = 0;

    for (uint16_t i = 0; i < record->n_xattrs; i++) {
        if (!view_xattr_known(record->xattrs[i].name))
            continue;
        known++;
        if (view_find_xattr(v, n, &record->xattrs[i], &has) != 1)
            return "an extended attribute is missing";
    }
    if (view_find_xattr(v, n, &none, &has) != 0 || has != known)
        return "an extended attribute too many";
    return NULL;
}

static inline const char *view_check_content(const struct view *v, const struct view_inode *n,
                                             const struct tree *t, uint32_t layer,
                                             const struct layer_record *record)
{
    uint64_t block = v->size / 4096;

    switch (record->kind) {
    case LAYER_FILE:
        if (record->content)
            return view_data_equals(v, n, record->content, record->size) ? NULL : "wrong content";
        for (uint32_t i = 0; i < layer; i++)
            block += layer_index_totals(tree_layer(t, i))->data_blocks;
        return n->size == record->size &&
                       (n->size == 0 ||
                        (n->layout == 0 && n->address == block + record->data_block))
                   ? NULL
                   : "wrong size or place of the content";
    case LAYER_SYMLINK:
        return view_data_equals(v, n, record->link, record->link_len) ? NULL : "wrong target";
    case LAYER_CHAR:
    case LAYER_BLOCK_DEVICE: /* new_decode_dev() of linux/kdev_t.h */
        return makedev((n->address & 0xfff00) >> 8,
                       (n->address & 0xff) | (n->address >> 12 & 0xfff00)) == record->device
                   ? NULL
                   : "wrong device number";
    default:
        return NULL;
    }
}

static inline const char *view_check_inode(const struct view *v, const struct view_inode *n,
                                           const struct tree *t, tree_inode inode)
{
    static const uint32_t types[] = {
        [LAYER_FILE] = S_IFREG, [LAYER_DIR] = S_IFDIR,  [LAYER_SYMLINK] = S_IFLNK,
        [LAYER_CHAR] = S_IFCHR, [LAYER_FIFO] = S_IFIFO, [LAYER_BLOCK_DEVICE] = S_IFBLK,
    };
    mvm_autovalue(layer_cursor) c = { .place = 0 };
    const struct layer_record *record = &c.record;
    const char *wrong;
    uint32_t layer;

    if (tree_get_inode(t, inode, &c, &layer, NULL) < 0)
        return "the tree has no such inode";
    if (n->mode != (types[record->kind] | (record->kind == LAYER_SYMLINK ? 0777 : record->mode)) ||
        n->uid != record->uid || n->gid != record->gid || n->links != tree_inode_links(t, inode))
        return "wrong mode, owner or count of links";
    if (n->mtime_s != record->mtime_s || n->mtime_ns != record->mtime_ns)
        return "wrong time";
    wrong = view_check_xattrs(v, n, record);
    return wrong ? wrong : view_check_content(v, n, t, layer, record);
}

struct view_walk {
    const struct view *v;
    const struct tree *t;
    uint64_t *nids; /* of each inode; 0: not seen yet */
    tree_inode self, parent;
    tree_entry child; /* the next one to be found */
    unsigned dots;    /* 1: "." was seen, 2: ".." */
    char last[256];
    size_t last_len;
};

static inline const char *view_check_entry(struct view_walk *w, uint64_t nid, unsigned type,
                                           const char *name, size_t len)
{
    static const unsigned types[] = {
        [LAYER_FILE] = 1, [LAYER_DIR] = 2,     [LAYER_CHAR] = 3,
        [LAYER_FIFO] = 5, [LAYER_SYMLINK] = 7, [LAYER_BLOCK_DEVICE] = 4
    };
    const size_t shorter = len < w->last_len ? len : w->last_len;
    const int order = memcmp(w->last, name, shorter);
    tree_inode inode = w->self;

    if (len == 0 || len > 255)
        return "an empty or long name";
    if (order > 0 || (order == 0 && w->last_len >= len))
        return "names out of order";
    memcpy(w->last, name, len);
    w->last_len = len;
    if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'))) {
        w->dots |= (unsigned) len;
        inode = len == 1 ? w->self : w->parent;
    } else {
        size_t want_len = 0;
        const char *want = w->child == TREE_NONE ? "" : tree_entry_name(w->t, w->child, &want_len);

        if (want_len != len || memcmp(want, name, len) != 0)
            return "a wrong name";
        inode = tree_entry_inode(w->t, w->child);
        w->child = tree_next_sibling(w->t, w->child);
    }
    if (w->nids[inode] == 0)
        w->nids[inode] = nid;
    return w->nids[inode] == nid && type == types[tree_inode_kind(w->t, inode)]
               ? NULL
               : "a name leads to a wrong inode";
}

static inline const char *view_check_block(struct view_walk *w, const unsigned char *p, size_t len)
{
    const size_t names = len >= 12 ? le16_get(p + 8) : 0;

    if (names < 12 || names % 12 != 0 || names >= len)
        return "a malformed directory block";
    for (size_t i = 0; i < names; i += 12) {
        const size_t from = le16_get(p + i + 8);
        const size_t to = i + 12 < names ? le16_get(p + i + 20) : len;
        const char *wrong;

        if (from < names || from >= to || to > len)
            return "a malformed directory block";
        wrong = view_check_entry(w, le64_get(p + i), p[i + 10], (const char *) p + from,
                                 strnlen((const char *) p + from, to - from));
        if (wrong)
            return wrong;
    }
    return NULL;
}

static inline const char *view_check_dir(struct view_walk *w, const struct view_inode *n)
{
    const tree_entry entry = tree_inode_entry(w->t, w->self);

    w->parent = tree_entry_inode(w->t, tree_parent(w->t, entry));
    w->child = tree_first_child(w->t, entry);
    w->dots = 0;
    w->last_len = 0;
    for (uint64_t offset = 0; offset < n->size; offset += 4096) {
        size_t len;
        const unsigned char *p = view_data(w->v, n, offset, &len);
        const char *wrong = p ? view_check_block(w, p, len) : "a directory beyond the end";

        if (wrong)
            return wrong;
    }
    return w->dots == 3 && w->child == TREE_NONE ? NULL : "a name is missing";
}

/* NULL: the image is that tree. Else what is wrong, and where. */
static inline const char *view_compare(const struct view *v, const struct tree *t,
                                       tree_inode *ret_where)
{
    const uint32_t count = tree_n_inodes(t);
    mvm_autofree uint64_t *nids = mem_array(count, sizeof(*nids));
    struct view_walk w = { .v = v, .t = t, .nids = nids };
    const char *wrong = nids ? view_check_super(v, t) : "out of memory";

    if (!wrong)
        nids[0] = le16_get(v->p + 1024 + 14);
    for (*ret_where = 0; *ret_where < count && !wrong; ++*ret_where) {
        struct view_inode n;

        w.self = *ret_where;
        wrong = nids[w.self] ? view_inode(v, nids[w.self], &n) : "nothing leads to an inode";
        if (!wrong)
            wrong = view_check_inode(v, &n, t, w.self);
        if (!wrong && S_ISDIR(n.mode))
            wrong = view_check_dir(&w, &n);
    }
    return wrong;
}

#endif
