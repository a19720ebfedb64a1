/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data file of a layer, written once from its beginning to its end: contents begin at multiples
 * of LAYER_BLOCK and are gathered to large writes, whole files and parts of files alike. The sum
 * over the file is made from what is written; nothing is read back.
 */
#ifndef IMAGE_LAYER_DATA_H
#define IMAGE_LAYER_DATA_H

#include "base/error.h"
#include "base/mem.h"

#include <stdint.h>

/* One write: large enough that calls cost nothing, small enough that its sum is made from a cache.
 * A multiple of LAYER_BLOCK. */
#define LAYER_DATA_BUFFER (256u << 10)
/* A shorter run of zeros is written, since a call of its own costs more. */
#define LAYER_DATA_HOLE_MIN (64u << 10)

struct layer_data {
    int fd;                /* borrowed */
    unsigned char *buffer; /* owned: LAYER_DATA_BUFFER */
    size_t used;
    uint64_t at; /* where the buffer belongs in the file: a multiple of LAYER_BLOCK */
    uint64_t crc;
    uint64_t calls; /* writes so far */
};
int layer_data_init(struct layer_data *d, int fd, mvm_error **err);
void layer_data_deinit(struct layer_data *d);
MVM_DEFINE_AUTOVALUE(layer_data, layer_data_deinit)

/* The block at which what is added next begins; after layer_data_end() alone. */
uint64_t layer_data_block(const struct layer_data *d);
int layer_data_add(struct layer_data *d, const void *bytes, size_t len, mvm_error **err);
/* Zeros: a hole where there are many. */
int layer_data_add_zeros(struct layer_data *d, uint64_t n, mvm_error **err);
/* The end of one content: fills its last block. */
int layer_data_end(struct layer_data *d, mvm_error **err);
/* Writes what is left and gives the file its length, d->at. */
int layer_data_finish(struct layer_data *d, mvm_error **err);

#endif
