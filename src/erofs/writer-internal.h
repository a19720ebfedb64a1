/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image is laid out as
 *
 *   block 0    the super block
 *   block 1    the inodes in the order of their numbers, the root first, each followed by its
 *              extended attributes and by what is kept inline
 *   then       extended attributes that several inodes share
 *   then       blocks of directories, and what did not fit beside its inode
 *   beyond     the layers' data files
 *
 * and made in three walks over the inodes. The first (writer-survey.c) finds the commonest time and
 * the attributes that repeat; the second (writer.c) gives each inode its place; the third writes,
 * from the first byte to the last. What an inode takes (struct shape) follows from its record, so
 * that nothing but its place is kept.
 */
#ifndef EROFS_WRITER_INTERNAL_H
#define EROFS_WRITER_INTERNAL_H

#include "erofs/format.h"
#include "erofs/writer.h"

#include <stdbool.h>

/* Output: a file from its beginning on, through a buffer, with its CRC. */
struct output {
    int fd;             /* borrowed */
    unsigned char *buf; /* owned */
    size_t len;         /* filled of buf */
    uint64_t flushed;   /* bytes in the file */
    uint64_t crc;       /* of those */
};
int output_init(struct output *o, int fd, mvm_error **err);
void output_deinit(struct output *o);
MVM_DEFINE_AUTOVALUE(output, output_deinit)
int output_put(struct output *o, const void *data, size_t len, mvm_error **err);
/* Zeros up to @offset, which is not before the end. */
int output_fill(struct output *o, uint64_t offset, mvm_error **err);
uint64_t output_at(const struct output *o);
int output_flush(struct output *o, mvm_error **err);

/* Extended attributes as Linux names them: an index for the prefix, and the rest. */
struct xattr_name {
    unsigned index;
    const char *rest;
    size_t len;
};
/* false: Linux has no such attribute. */
bool xattr_name_split(const char *name, struct xattr_name *ret);

/* What repeats is kept once. At most so many different attributes, none longer than that: what
 * repeats in earnest are security labels and ACLs, a few dozen of them in a whole distribution; the
 * table is a fixed part of our memory. */
#define XATTR_POOL_MAX 1024u
#define XATTR_POOL_ENTRY_MAX 256u
/* Places where one attribute may stand in the table; an attacker chooses its hash. */
#define XATTR_POOL_PROBES 16u
struct xattr_pool {
    struct xattr_pool_item {
        uint32_t count;  /* inodes that have it; 0: free */
        uint32_t number; /* what inodes call it */
        uint16_t len;    /* of entry */
        unsigned char entry[XATTR_POOL_ENTRY_MAX];
    } * items;      /* owned: XATTR_POOL_MAX */
    uint32_t bytes; /* of all that are shared, once numbered */
};
int xattr_pool_init(struct xattr_pool *p, mvm_error **err);
void xattr_pool_deinit(struct xattr_pool *p);
void xattr_pool_count(struct xattr_pool *p, const struct layer_xattr *xattr);
/* Numbers those that came twice. */
void xattr_pool_number(struct xattr_pool *p);
int xattr_pool_write(const struct xattr_pool *p, struct output *o, mvm_error **err);
/* Bytes of all attributes of a record behind its inode. */
uint32_t xattr_measure(const struct xattr_pool *p, const struct layer_record *record);
int xattr_write(const struct xattr_pool *p, const struct layer_record *record, struct output *o,
                mvm_error **err);

/* All that is known of the image. */
struct plan {
    const struct tree *tree;
    struct image_tick *tick;
    struct layer_cursor cursor;
    struct layer_touch touch; /* of the layers' indexes */
    int64_t time_s;           /* the time of compact inodes */
    uint32_t time_ns;
    struct xattr_pool pool;
    uint32_t *nids;    /* owned: place of each inode, and PLAN_BLOCKS */
    uint32_t *layers;  /* owned: first block of each layer's data */
    uint64_t xattrs;   /* first block of the shared attributes */
    uint64_t blocks;   /* first block of the blocks of directories and others */
    uint64_t metadata; /* blocks of the image without the layers */
    uint64_t total;    /* with them */
};
/* In plan.nids: the inode has blocks of its own behind the inodes. */
#define PLAN_BLOCKS (UINT32_C(1) << 31)
#define PLAN_NID_MAX (PLAN_BLOCKS - 1)

/* The record of an inode, in p->cursor until the next call. */
int plan_get(struct plan *p, tree_inode inode, uint32_t *ret_layer, mvm_error **err);
/* Something of a layer's index is about to be read at @at. */
void plan_touch(struct plan *p, const void *at);
/* Sets time and pool. */
int plan_survey(struct plan *p, mvm_error **err);

/* A directory block by block. */
struct dir_blocks {
    struct plan *plan; /* borrowed */
    tree_inode self, parent;
    tree_entry child; /* the next one; TREE_NONE: none is left */
    unsigned dots;    /* of "." and "..", how many are done */
    /* The next entry: before the first, and after the last, its name is NULL. */
    const char *name;
    size_t len;
    tree_inode inode;
};
void dir_blocks_begin(struct dir_blocks *d, struct plan *p, tree_inode dir);
/* The next block, zeros at its end, and how much of it is used. @block NULL: measures. */
int dir_blocks_next(struct dir_blocks *d, unsigned char *block, size_t *ret_used, mvm_error **err);
/* Its size. */
int dir_measure(struct plan *p, tree_inode dir, uint64_t *ret, mvm_error **err);

/* What an inode takes. */
struct shape {
    uint32_t head;    /* the inode itself */
    uint32_t xattrs;  /* bytes behind it */
    uint32_t tail;    /* bytes of its data behind those */
    uint32_t address; /* block in a layer, or the device number */
    uint64_t blocks;  /* of its own */
    uint64_t size;
};
/* Of the inode in p->cursor. */
int shape_of(struct plan *p, tree_inode inode, uint32_t layer, struct shape *ret, mvm_error **err);
/* Where an inode of that shape goes, that is to follow @at. */
uint64_t shape_place(const struct shape *s, uint64_t at);
/* @block: the first of its own ones. */
int inode_write(struct plan *p, tree_inode inode, const struct shape *s, uint64_t block,
                struct output *o, mvm_error **err);
int inode_write_blocks(struct plan *p, tree_inode inode, struct output *o, mvm_error **err);

#endif
