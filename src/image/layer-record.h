/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one record of a layer's index, between layer-index.c and layer-writer.c.
 *
 * A record: 56 bytes as below, then path and link, each with a NUL behind it, then the extended
 * attributes in ascending order of their names, each as the length of its value (4 bytes) and of
 * its name (2), the name, a NUL and the value, then the content of a small file, then zeros up to a
 * multiple of 8. A record has one encoding.
 */
#ifndef IMAGE_LAYER_RECORD_H
#define IMAGE_LAYER_RECORD_H

#include "image/layer-index.h"

#define LAYER_MAGIC "MVMLAYR1"
enum layer_header_field {
    LAYER_HEADER_MAGIC = 0,
    LAYER_HEADER_RECORDS = 8,
    LAYER_HEADER_DATA_BLOCKS = 16,
    LAYER_HEADER_PLAIN_BYTES = 24,
    LAYER_HEADER_FILE_BYTES = 32,
    LAYER_HEADER_LENGTH = 40,  /* of all records together */
    LAYER_HEADER_SUM = 48,     /* CRC-64 of all records */
    LAYER_HEADER_OWN_SUM = 56, /* CRC-64 of the header up to here */
    LAYER_HEADER_LEN = 64
};

enum layer_record_field {
    LAYER_RECORD_LENGTH = 0, /* 4 bytes */
    LAYER_RECORD_KIND = 4,   /* 1 byte, and one that is zero */
    LAYER_RECORD_MODE = 6,   /* 2 bytes */
    LAYER_RECORD_UID = 8,
    LAYER_RECORD_GID = 12,
    LAYER_RECORD_MTIME = 16,    /* 8 bytes */
    LAYER_RECORD_MTIME_NS = 24, /* 4 bytes */
    LAYER_RECORD_PATH_LEN = 28, /* 2 bytes */
    LAYER_RECORD_LINK_LEN = 30, /* 2 bytes */
    LAYER_RECORD_SIZE = 32,     /* 8 bytes */
    LAYER_RECORD_PLACE = 40,    /* 8 bytes: data_block, or minor number and major number << 32 */
    LAYER_RECORD_XATTRS = 48,   /* 2 bytes, and six that are zero */
    LAYER_RECORD_FIXED = 56
};
#define LAYER_RECORD_ALIGN 8u
/* Longest record: two paths, a small file, and attributes of four times what an entry may have by
 * default (image.md I-202). */
#define LAYER_RECORD_MAX (256u << 10)
/* Most blocks of a data file: its length is an off_t. */
#define LAYER_DATA_BLOCKS_MAX ((uint64_t) INT64_MAX / LAYER_BLOCK)

/* Blocks of a file's content in the data file. */
static inline uint64_t layer_blocks(uint64_t size)
{
    return size <= LAYER_INLINE_MAX ? 0 : size / LAYER_BLOCK + (size % LAYER_BLOCK != 0);
}

/* What of a record is not as struct layer_record says, the order of the attributes included; NULL:
 * nothing. */
const char *layer_record_flaw(const struct layer_record *r, uint64_t data_blocks);
/* Its encoded length. */
size_t layer_record_length(const struct layer_record *r);
/* Writes a record without a flaw; @out has @len = layer_record_length() bytes. */
void layer_record_encode(const struct layer_record *r, unsigned char *out, size_t len);
/* Decodes the record at @in, of which @room bytes are there. What is wrong, or NULL and *ret_len. A
 * failed allocation is told as such. */
const char *layer_record_decode(const unsigned char *in, size_t room, uint64_t data_blocks,
                                struct layer_cursor *c, size_t *ret_len);
/* What is returned then. */
extern const char layer_record_no_memory[];

#endif
