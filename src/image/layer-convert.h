/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer from its stream to data and index (layer-index.h), in one pass: each content is written
 * once, and no name of the tar is ever given to the host's file system.
 */
#ifndef IMAGE_LAYER_CONVERT_H
#define IMAGE_LAYER_CONVERT_H

#include "image/budget.h"
#include "image/layer-stream.h"

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
