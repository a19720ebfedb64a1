/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer from its stream to data and index (layer-index.h), in one pass: each content is written
 * once, and no name of the tar is ever given to the host's file system.
 */
#ifndef IMAGE_LAYER_CONVERT_H
#define IMAGE_LAYER_CONVERT_H

#include "image/layer-stream.h"

/* What an image may hold (image.md I-198 to I-202). */
struct image_limits {
    uint64_t plain_bytes; /* tar of all layers together */
    uint64_t entries;     /* tar entries of all layers together */
    uint64_t file_bytes;  /* content of all files, holes included */
    uint64_t path_bytes;  /* names and link targets of all entries */
    size_t depth;         /* components of a name */
    size_t xattr_bytes;   /* names and values of one entry */
};
#define IMAGE_LIMITS_DEFAULT                                                               \
    {                                                                                      \
        .plain_bytes = LAYER_PLAIN_MAX, .entries = 1000000, .file_bytes = LAYER_PLAIN_MAX, \
        .path_bytes = UINT64_C(1) << 30, .depth = 256, .xattr_bytes = 64u << 10            \
    }

/* What the layers of one image have used so far. Layers are converted by several threads at once:
 * every field is an atomic counter of its own, and nothing else is read through them. */
struct image_budget {
    struct image_limits limits; /* set once */
    _Atomic uint64_t plain_bytes, entries, file_bytes, path_bytes;
};

struct layer_output {
    int data_fd;  /* an empty file, for writing; borrowed */
    int index_fd; /* an empty file, for reading and writing; borrowed */
};
/* What is in them, for the record that tells a damaged file later: CRC-64 (ECMA-182, reflected) and
 * length of each. */
struct layer_sums {
    uint64_t data_size, data_crc;
    uint64_t index_size, index_crc;
};

/* On success all of @stream was read and is what the image promised. Nothing is synced. After a
 * failure the files are of no use. The error names the entry, not the layer. */
int layer_convert(struct layer_stream *stream, const struct layer_output *out,
                  struct image_budget *budget, struct image_tick *tick, struct layer_sums *ret,
                  mvm_error **err);

#endif
