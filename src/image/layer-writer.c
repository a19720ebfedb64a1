/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a layer's index. */
#include "base/crc64.h"
#include "base/io.h"
#include "base/le.h"
#include "image/layer-record.h"

#include <assert.h>

/* Records are gathered to writes of this size; the longest one must fit. */
#define WRITER_BUFFER (512u << 10)
static_assert(WRITER_BUFFER >= LAYER_RECORD_MAX, "a record must fit");
/* What the system is given at once. A page cache with large folios makes one of each call's bytes,
 * and Linux 6.18 maps a whole one at its first touch: a reader's LAYER_WINDOW has to hold it. */
#define WRITER_PIECE LAYER_WINDOW

struct layer_writer {
    int fd;                /* borrowed */
    unsigned char *buffer; /* owned: WRITER_BUFFER */
    size_t used;
    uint64_t at; /* where the buffer belongs in the file */
    uint64_t records, records_crc;
    uint64_t data_end; /* in LAYER_BLOCK: behind the last content that a record points at */
    struct layer_xattr *xattrs; /* owned: sorted ones of the record at hand */
    size_t xattrs_cap;
    uint64_t file_size, file_crc; /* once finished */
};

int layer_writer_new(int fd, struct layer_writer **ret, mvm_error **err)
{
    mvm_auto(layer_writer) w = calloc(1, sizeof(*w));

    if (!w)
        return mvm_fail_nomem(err);
    w->fd = fd;
    w->at = LAYER_HEADER_LEN;
    w->buffer = malloc(WRITER_BUFFER);
    if (!w->buffer)
        return mvm_fail_nomem(err);
    *ret = steal_ptr(&w);
    return 0;
}

void layer_writer_free(struct layer_writer *w)
{
    if (!w)
        return;
    free(w->buffer);
    free(w->xattrs);
    free(w);
}

static int writer_flush(struct layer_writer *w, mvm_error **err)
{
    for (size_t done = 0; done < w->used;) {
        size_t room = WRITER_PIECE - (size_t) ((w->at + done) % WRITER_PIECE);
        size_t n = w->used - done < room ? w->used - done : room;
        int r = io_pwrite_all(w->fd, w->buffer + done, n, w->at + done, err);

        if (r < 0)
            return mvm_context(err, r, "the layer's index");
        done += n;
    }
    w->records_crc = crc64_add(w->records_crc, w->buffer, w->used);
    w->at += w->used;
    w->used = 0;
    return 0;
}

static int compare_xattrs(const void *a, const void *b)
{
    const struct layer_xattr *x = a, *y = b;

    return strcmp(x->name, y->name);
}

/* Points *@r at sorted attributes. */
static int sort_xattrs(struct layer_writer *w, struct layer_record *r, mvm_error **err)
{
    if (r->n_xattrs == 0)
        return 0;
    if (mem_grow(&w->xattrs, &w->xattrs_cap, r->n_xattrs - 1u, sizeof(*w->xattrs)) < 0)
        return mvm_fail_nomem(err);
    memcpy(w->xattrs, r->xattrs, r->n_xattrs * sizeof(*w->xattrs));
    qsort(w->xattrs, r->n_xattrs, sizeof(*w->xattrs), compare_xattrs);
    r->xattrs = w->xattrs;
    return 0;
}

int layer_writer_add(struct layer_writer *w, const struct layer_record *record, mvm_error **err)
{
    struct layer_record made = *record;
    int r = sort_xattrs(w, &made, err);
    const char *flaw;
    size_t len;

    if (r < 0)
        return r;
    flaw = layer_record_flaw(&made, LAYER_DATA_BLOCKS_MAX);
    if (flaw)
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s", flaw);
    len = layer_record_length(&made);
    if (len > LAYER_RECORD_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "the entry takes %zu bytes, the limit is %u", len,
                        LAYER_RECORD_MAX);
    if (len > WRITER_BUFFER - w->used)
        r = writer_flush(w, err);
    if (r == 0 && len > LAYER_INDEX_MAX - w->at - w->used)
        r = mvm_fail(err, MVM_E_LIMIT, 0, "the layer's index exceeds %llu bytes",
                     (unsigned long long) LAYER_INDEX_MAX);
    if (r < 0)
        return r;
    layer_record_encode(&made, w->buffer + w->used, len);
    w->used += len;
    w->records++;
    if (layer_blocks(made.size) > 0 && made.data_block + layer_blocks(made.size) > w->data_end)
        w->data_end = made.data_block + layer_blocks(made.size);
    return 0;
}

int layer_writer_finish(struct layer_writer *w, const struct layer_totals *totals, mvm_error **err)
{
    unsigned char h[LAYER_HEADER_LEN] = LAYER_MAGIC;
    int r = writer_flush(w, err);
    uint64_t length;

    if (r < 0)
        return r;
    if (w->data_end > totals->data_blocks || totals->data_blocks > LAYER_DATA_BLOCKS_MAX)
        return mvm_fail(err, MVM_E_FORMAT, 0, "content beyond the end of the layer's data");
    length = w->at - LAYER_HEADER_LEN;
    le64_put(h + LAYER_HEADER_RECORDS, w->records);
    le64_put(h + LAYER_HEADER_DATA_BLOCKS, totals->data_blocks);
    le64_put(h + LAYER_HEADER_PLAIN_BYTES, totals->plain_bytes);
    le64_put(h + LAYER_HEADER_FILE_BYTES, totals->file_bytes);
    le64_put(h + LAYER_HEADER_LENGTH, length);
    le64_put(h + LAYER_HEADER_SUM, w->records_crc);
    le64_put(h + LAYER_HEADER_OWN_SUM, crc64_add(0, h, LAYER_HEADER_OWN_SUM));
    r = io_pwrite_all(w->fd, h, sizeof(h), 0, err);
    if (r < 0)
        return mvm_context(err, r, "the layer's index");
    w->file_size = w->at;
    w->file_crc = crc64_join(crc64_add(0, h, sizeof(h)), w->records_crc, length);
    return 0;
}

void layer_writer_sum(const struct layer_writer *w, uint64_t *ret_size, uint64_t *ret_crc)
{
    *ret_size = w->file_size;
    *ret_crc = w->file_crc;
}
