/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer-convert-internal.h"

/* A piece of a file's content. The pieces of an honest sparse file are in order. */
struct piece {
    const void *data; /* borrowed from the reader until it is asked for the next one */
    size_t len;
    uint64_t offset;
};

/* 1, 0 at the end or a negative code. @done: up to where the content is known. */
static int next_piece(struct convert *c, const struct tar_entry *e, uint64_t done, struct piece *p,
                      mvm_error **err)
{
    int r = tar_reader_data(c->tar, &p->data, &p->len, &p->offset, err);

    if (r <= 0)
        return r;
    if (p->len > e->size || p->offset > e->size - p->len)
        return mvm_fail(err, MVM_E_FORMAT, 0, "content beyond the size of %llu bytes",
                        (unsigned long long) e->size);
    if (p->offset < done)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the parts of a sparse file are not in order");
    return 1;
}

static int keep_small(struct convert *c, const struct tar_entry *e, mvm_error **err)
{
    uint64_t done = 0;
    struct piece p;
    int r;

    memset(c->small, 0, (size_t) e->size);
    while ((r = next_piece(c, e, done, &p, err)) > 0) {
        if (p.len > 0)
            memcpy(c->small + p.offset, p.data, p.len);
        done = p.offset + p.len;
    }
    return r;
}

static int write_large(struct convert *c, const struct tar_entry *e, mvm_error **err)
{
    uint64_t done = 0;
    struct piece p;
    int r;

    while ((r = next_piece(c, e, done, &p, err)) > 0) {
        r = layer_data_add_zeros(&c->data, p.offset - done, err);
        if (r == 0)
            r = layer_data_add(&c->data, p.data, p.len, err);
        if (r < 0)
            return r;
        done = p.offset + p.len;
    }
    if (r == 0)
        r = layer_data_add_zeros(&c->data, e->size - done, err);
    return r < 0 ? r : layer_data_end(&c->data, err);
}

int convert_content(struct convert *c, const struct tar_entry *e, struct layer_record *record,
                    mvm_error **err)
{
    const uint64_t max = c->budget->limits.file_bytes;

    if (!image_budget_take(&c->budget->file_bytes, e->size, max))
        return mvm_fail(err, MVM_E_LIMIT, 0,
                        "the files of the image exceed the limit of %llu bytes",
                        (unsigned long long) max);
    c->file_bytes += e->size;
    record->size = e->size;
    if (e->size <= LAYER_INLINE_MAX) {
        record->content = c->small;
        return keep_small(c, e, err);
    }
    record->data_block = layer_data_block(&c->data);
    return write_large(c, e, err);
}
