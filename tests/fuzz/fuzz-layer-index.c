/* SPDX-License-Identifier: Apache-2.0 */
/* A layer's index: the file as it is, and again with its length and its sums made right, so that
 * the records themselves are reached. What is decoded, encoded again, is the same. */
#include "base/crc64.h"
#include "base/io.h"
#include "base/le.h"
#include "image/layer-record.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(const struct layer_record *r, uint64_t data_blocks)
{
    size_t len = layer_record_length(r);
    mvm_autofree unsigned char *again = malloc(len);
    mvm_autovalue(layer_cursor) c = { 0 };
    size_t decoded = 0;

    assert(again);
    layer_record_encode(r, again, len);
    assert(layer_record_decode(again, len, data_blocks, &c, &decoded) == NULL);
    assert(decoded == len && c.record.kind == r->kind && strcmp(c.record.path, r->path) == 0 &&
           strcmp(c.record.link, r->link) == 0 && c.record.n_xattrs == r->n_xattrs);
    assert(strlen(r->path) == r->path_len && strlen(r->link) == r->link_len);
    assert(!r->content || c.record.size <= LAYER_INLINE_MAX);
    if (r->content)
        assert(memcmp(c.record.content, r->content, (size_t) r->size) == 0);
}

static void read_index(const uint8_t *data, size_t size)
{
    mvm_autoclose int fd = -EBADF;
    mvm_auto(layer_index) x = NULL;
    mvm_autovalue(layer_cursor) c = { 0 };
    uint64_t records = 0;
    int r;

    assert(io_memfd("index", data, size, false, &fd, NULL) == 0);
    if (layer_index_open(fd, NULL, &x, NULL) < 0)
        return;
    while ((r = layer_index_next(x, &c, NULL)) > 0) {
        mvm_autovalue(layer_cursor) same = { 0 };

        check_record(&c.record, layer_index_totals(x)->data_blocks);
        assert(layer_index_get(x, c.place, &same, NULL) == 0);
        assert(same.record.path == c.record.path);
        records++;
    }
    if (r == 0)
        assert(records == layer_index_totals(x)->records);
    layer_index_drop(x);
    (void) layer_index_get(x, UINT32_MAX, &c, NULL);
}

/* Lengths and sums of what is there; a record whose length leads nowhere takes the rest. */
static void mend(uint8_t *data, size_t size)
{
    uint64_t records = 0;

    for (size_t at = LAYER_HEADER_LEN; at < size; records++) {
        size_t len = le32_get(data + at);

        if (len < LAYER_RECORD_FIXED || len % LAYER_RECORD_ALIGN != 0 || len > size - at) {
            len = size - at;
            le32_put(data + at, (uint32_t) len);
        }
        at += len;
    }
    memcpy(data, LAYER_MAGIC, strlen(LAYER_MAGIC));
    le64_put(data + LAYER_HEADER_RECORDS, records);
    le64_put(data + LAYER_HEADER_LENGTH, size - LAYER_HEADER_LEN);
    le64_put(data + LAYER_HEADER_SUM,
             crc64_add(0, data + LAYER_HEADER_LEN, size - LAYER_HEADER_LEN));
    le64_put(data + LAYER_HEADER_OWN_SUM, crc64_add(0, data, LAYER_HEADER_OWN_SUM));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t whole = size - size % LAYER_RECORD_ALIGN;
    mvm_autofree uint8_t *mended = NULL;

    read_index(data, size);
    if (whole < LAYER_HEADER_LEN)
        return 0;
    mended = malloc(whole);
    assert(mended);
    memcpy(mended, data, whole);
    mend(mended, whole);
    read_index(mended, whole);
    return 0;
}
