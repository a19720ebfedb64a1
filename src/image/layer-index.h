/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer on disk: "<diffid>.data" holds the content of its larger files, "<diffid>.index" all
 * else, in the order of the tar. This is the one encoder and the one decoder of the index.
 *
 * The index, little-endian throughout: a header of 64 bytes, then records, each a multiple of 8
 * bytes long. The header has the counts and the sums and is written last. Content of a file lies in
 * the data file from a multiple of 4096 bytes on, the last block filled up with zeros, so that a
 * file system image can point at it; a file of at most LAYER_INLINE_MAX bytes lies in its record
 * instead, since a block of its own would waste most of it. Holes are holes of the data file.
 *
 * No name of an index is ever a name on the host.
 */
#ifndef IMAGE_LAYER_INDEX_H
#define IMAGE_LAYER_INDEX_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LAYER_BLOCK 4096u
/* Largest file that is kept in the index. */
#define LAYER_INLINE_MAX 2048u
/* Longest name and longest link target (image.md I-196: longer than 4096 bytes is an error). */
#define LAYER_PATH_MAX 4096u
/* Longest component of a path (NAME_MAX of Linux), and longest target of a symlink, which Linux
 * hands out with a NUL in a page of 4096 bytes. */
#define LAYER_NAME_MAX 255u
#define LAYER_SYMLINK_MAX 4095u
/* Longest name and value of an extended attribute (XATTR_NAME_MAX of Linux; EROFS counts a value's
 * bytes in 16 bits). */
#define LAYER_XATTR_NAME_MAX 255u
#define LAYER_XATTR_VALUE_MAX 65535u
/* Device numbers that Linux and EROFS can say: 12 and 20 bits. */
#define LAYER_DEVICE_MAJOR_MAX 0xfffu
#define LAYER_DEVICE_MINOR_MAX 0xfffffu

enum layer_kind {
    LAYER_FILE = 1,
    LAYER_DIR,
    LAYER_SYMLINK,
    LAYER_HARDLINK,
    LAYER_CHAR,
    LAYER_BLOCK_DEVICE,
    LAYER_FIFO,
    LAYER_WHITEOUT, /* hides what lower layers have at path */
    LAYER_OPAQUE    /* hides what lower layers have below the directory path */
};

struct layer_xattr {
    const char *name; /* with its prefix: "security.capability"; NUL-ended */
    const void *value;
    uint32_t value_len;
};

/* When decoded: all pointers are borrowed from the index. */
struct layer_record {
    enum layer_kind kind;
    /* Normal: components without "." and "..", one slash between them, none at either end; "" is
     * the root. At most 255 bytes a component. Of a whiteout: the name that it hides. */
    const char *path;
    uint16_t path_len;
    const char *link; /* target of a symlink, as it is; normal path of a hard link; else "" */
    uint16_t link_len;
    uint16_t mode; /* 12 bits */
    uint32_t uid, gid;
    int64_t mtime_s;
    uint32_t mtime_ns;
    dev_t device;
    uint64_t size;       /* of a file: bytes, holes included; else 0 */
    const void *content; /* of a file of at most LAYER_INLINE_MAX bytes; else NULL */
    uint64_t data_block; /* of a larger file: where it begins in the data file, in LAYER_BLOCK */
    const struct layer_xattr *xattrs;
    uint16_t n_xattrs; /* the names differ from each other; when decoded, they are sorted */
};

/* What the header says of the whole layer. */
struct layer_totals {
    uint64_t records;
    uint64_t data_blocks; /* length of the data file in LAYER_BLOCK; 0: there is no content in it */
    uint64_t plain_bytes; /* of the tar */
    uint64_t file_bytes;  /* of all files, holes included */
};

/* Writing: records in the order of the tar, then the totals (their records are counted here). A
 * record that is not as struct layer_record says is refused: MVM_E_FORMAT. */
struct layer_writer;
/* @fd: an empty file, opened for reading and writing; borrowed. */
int layer_writer_new(int fd, struct layer_writer **ret, mvm_error **err);
int layer_writer_add(struct layer_writer *w, const struct layer_record *record, mvm_error **err);
int layer_writer_finish(struct layer_writer *w, const struct layer_totals *totals, mvm_error **err);
/* After layer_writer_finish(): length and CRC-64 (base/crc64.h) of the file. */
void layer_writer_sum(const struct layer_writer *w, uint64_t *ret_size, uint64_t *ret_crc);
void layer_writer_free(struct layer_writer *w);
MVM_DEFINE_AUTO(layer_writer, layer_writer_free)

/* Reading, from a map of the file. Every record is checked when it is decoded: whatever the bytes
 * are, what comes out is as struct layer_record says, and data_block and size lie within
 * data_blocks. */
struct layer_index;
struct image_tick;
/* @fd is borrowed, and need not stay open. Checks header, length and the sum over all records,
 * which takes its time where the index is long; MVM_E_FORMAT. */
int layer_index_open(int fd, struct image_tick *tick, struct layer_index **ret, mvm_error **err);
void layer_index_close(struct layer_index *x);
MVM_DEFINE_AUTO(layer_index, layer_index_close)
const struct layer_totals *layer_index_totals(const struct layer_index *x);
/* The place of a record: its offset in units of 8 bytes. 0 is before the first one. */
typedef uint32_t layer_place;
/* Most bytes of an index: what a place can say, and far beyond what the limits of an image allow.
 */
#define LAYER_INDEX_MAX (UINT64_C(8) << 32)

struct layer_cursor { /* for one record at a time; keeps the memory for its xattrs */
    struct layer_record record;
    layer_place place;          /* of record */
    struct layer_xattr *xattrs; /* owned */
    size_t xattrs_cap;
};
void layer_cursor_deinit(struct layer_cursor *c);
MVM_DEFINE_AUTOVALUE(layer_cursor, layer_cursor_deinit)
/* The first record after the cursor's place: 1; 0 at the end; a negative code. @c starts zeroed. */
int layer_index_next(const struct layer_index *x, struct layer_cursor *c, mvm_error **err);
/* The record at @place, which layer_index_next() has given before. */
int layer_index_get(const struct layer_index *x, layer_place place, struct layer_cursor *c,
                    mvm_error **err);
/* The path of the record at @place, without the rest of it; NUL-ended. @place: as above. */
const char *layer_index_path(const struct layer_index *x, layer_place place);
/* Gives the memory of the map back to the kernel; reading goes on as before. For big indexes, every
 * few MiB. */
void layer_index_drop(const struct layer_index *x);

/* What the kernel maps at once when a byte is looked at, and how many of these are to be mapped at
 * most: 1.5 MiB. */
#define LAYER_WINDOW 65536u
#define LAYER_WINDOWS_MAX 24u
/* The windows that were looked at lately, of all indexes of a tree; starts zeroed. */
struct layer_touch {
    uintptr_t seen[64];
    unsigned n;
};
/* @at, in an index, is looked at. True: they are enough, and all indexes are to be dropped. */
bool layer_touch(struct layer_touch *t, const void *at);

#endif
