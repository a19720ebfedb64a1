/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer-data.h"

#include "base/crc64.h"
#include "base/io.h"
#include "image/layer-index.h"

#include <assert.h>

static_assert(LAYER_DATA_BUFFER % LAYER_BLOCK == 0, "the buffer holds whole blocks");

int layer_data_init(struct layer_data *d, int fd, mvm_error **err)
{
    *d = (struct layer_data){ .fd = fd, .buffer = malloc(LAYER_DATA_BUFFER) };
    return d->buffer ? 0 : mvm_fail_nomem(err);
}

void layer_data_deinit(struct layer_data *d)
{
    free(d->buffer);
    d->buffer = NULL;
}

uint64_t layer_data_block(const struct layer_data *d)
{
    return (d->at + d->used) / LAYER_BLOCK;
}

static int flush(struct layer_data *d, mvm_error **err)
{
    int r = io_pwrite_all(d->fd, d->buffer, d->used, d->at, err);

    if (r < 0)
        return mvm_context(err, r, "the layer's data");
    d->crc = crc64_add(d->crc, d->buffer, d->used);
    d->calls += d->used > 0;
    d->at += d->used;
    d->used = 0;
    return 0;
}

int layer_data_add(struct layer_data *d, const void *bytes, size_t len, mvm_error **err)
{
    const unsigned char *from = bytes;

    while (len > 0) {
        size_t room = LAYER_DATA_BUFFER - d->used;
        size_t n = len < room ? len : room;

        memcpy(d->buffer + d->used, from, n);
        d->used += n;
        from += n;
        len -= n;
        if (d->used == LAYER_DATA_BUFFER) {
            int r = flush(d, err);

            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int add_few_zeros(struct layer_data *d, size_t n, mvm_error **err)
{
    static const unsigned char zeros[LAYER_BLOCK];
    int r = 0;

    for (; n > sizeof(zeros) && r == 0; n -= sizeof(zeros))
        r = layer_data_add(d, zeros, sizeof(zeros), err);
    return r < 0 ? r : layer_data_add(d, zeros, n, err);
}

int layer_data_end(struct layer_data *d, mvm_error **err)
{
    return add_few_zeros(d, (LAYER_BLOCK - d->used % LAYER_BLOCK) % LAYER_BLOCK, err);
}

int layer_data_add_zeros(struct layer_data *d, uint64_t n, mvm_error **err)
{
    uint64_t tail = (d->used + n) % LAYER_BLOCK;
    uint64_t hole;
    int r;

    if (n < LAYER_DATA_HOLE_MIN)
        return add_few_zeros(d, (size_t) n, err);
    if (n > (uint64_t) INT64_MAX - d->at - LAYER_DATA_BUFFER)
        return mvm_fail(err, MVM_E_LIMIT, 0, "the layer's data exceeds the largest file");
    /* Up to the end of a block, whole blocks, and the beginning of one. */
    hole = n - tail - (LAYER_BLOCK - d->used % LAYER_BLOCK) % LAYER_BLOCK;
    r = layer_data_end(d, err);
    if (r == 0)
        r = flush(d, err);
    if (r < 0)
        return r;
    d->crc = crc64_add_zeros(d->crc, hole);
    d->at += hole;
    return add_few_zeros(d, (size_t) tail, err);
}

int layer_data_finish(struct layer_data *d, mvm_error **err)
{
    int r = layer_data_end(d, err);

    if (r == 0)
        r = flush(d, err);
    if (r < 0)
        return r;
    /* It may end with a hole. */
    if (ftruncate(d->fd, (off_t) d->at) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "the layer's data: set its length");
    return 0;
}
