/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer-index.h"

#include "base/crc64.h"
#include "base/le.h"
#include "image/layer-record.h"
#include "image/tick.h"

#include <assert.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* How much of an index is looked at before its memory is given back, while it is checked. */
#define INDEX_STEP (UINT64_C(1) << 20)

struct layer_index {
    const unsigned char *map; /* owned */
    size_t size;
    struct layer_totals totals;
};

void layer_index_close(struct layer_index *x)
{
    if (!x)
        return;
    if (x->map)
        (void) munmap((void *) x->map, x->size);
    free(x);
}

const struct layer_totals *layer_index_totals(const struct layer_index *x)
{
    return &x->totals;
}

static int fail_index(const char *what, mvm_error **err)
{
    return mvm_fail(err, MVM_E_FORMAT, 0, "the layer's index is damaged: %s", what);
}

static int map_file(struct layer_index *x, int fd, mvm_error **err)
{
    struct stat st;
    void *map;

    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at the layer's index");
    if (!S_ISREG(st.st_mode) || st.st_size < LAYER_HEADER_LEN ||
        st.st_size % LAYER_RECORD_ALIGN != 0 || (uint64_t) st.st_size > LAYER_INDEX_MAX)
        return fail_index("its length is out of range", err);
    map = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return mvm_fail(err, MVM_E_SYS, errno, "map the layer's index");
    x->map = map;
    x->size = (size_t) st.st_size;
    return 0;
}

static int check_header(struct layer_index *x, mvm_error **err)
{
    const unsigned char *h = x->map;

    if (memcmp(h, LAYER_MAGIC, strlen(LAYER_MAGIC)) != 0)
        return fail_index("it does not begin as one", err);
    if (le64_get(h + LAYER_HEADER_OWN_SUM) != crc64_add(0, h, LAYER_HEADER_OWN_SUM))
        return fail_index("the header's checksum is wrong", err);
    x->totals = (struct layer_totals){ .records = le64_get(h + LAYER_HEADER_RECORDS),
                                       .data_blocks = le64_get(h + LAYER_HEADER_DATA_BLOCKS),
                                       .plain_bytes = le64_get(h + LAYER_HEADER_PLAIN_BYTES),
                                       .file_bytes = le64_get(h + LAYER_HEADER_FILE_BYTES) };
    if (le64_get(h + LAYER_HEADER_LENGTH) != x->size - LAYER_HEADER_LEN ||
        x->totals.data_blocks > LAYER_DATA_BLOCKS_MAX)
        return fail_index("its length is out of range", err);
    return 0;
}

/* The sum over all records, and that their lengths lead from each to the next and to the end. */
static int check_records(const struct layer_index *x, struct image_tick *tick, mvm_error **err)
{
    uint64_t crc = 0, records = 0;
    size_t at = LAYER_HEADER_LEN;

    for (size_t from = LAYER_HEADER_LEN; from < x->size;) {
        size_t n = x->size - from < INDEX_STEP ? x->size - from : INDEX_STEP;
        int r = image_tick(tick, err);

        if (r < 0)
            return r;
        crc = crc64_add(crc, x->map + from, n);
        from += n;
        while (at < from) {
            size_t len = le32_get(x->map + at + LAYER_RECORD_LENGTH);

            if (len < LAYER_RECORD_FIXED || len % LAYER_RECORD_ALIGN != 0 || len > x->size - at)
                return fail_index("the length of a record is out of range", err);
            at += len;
            records++;
        }
        layer_index_drop(x);
    }
    if (crc != le64_get(x->map + LAYER_HEADER_SUM))
        return fail_index("the checksum is wrong", err);
    return records == x->totals.records ? 0 : fail_index("the number of records is wrong", err);
}

int layer_index_open(int fd, struct image_tick *tick, struct layer_index **ret, mvm_error **err)
{
    mvm_auto(layer_index) x = calloc(1, sizeof(*x));
    int r;

    if (!x)
        return mvm_fail_nomem(err);
    r = map_file(x, fd, err);
    if (r == 0)
        r = check_header(x, err);
    if (r == 0)
        r = check_records(x, tick, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&x);
    return 0;
}

void layer_cursor_deinit(struct layer_cursor *c)
{
    free(c->xattrs);
    *c = (struct layer_cursor){ 0 };
}

static int decode_at(const struct layer_index *x, size_t at, struct layer_cursor *c,
                     mvm_error **err)
{
    const char *flaw = "it lies beyond the end";
    size_t len;

    if (at >= LAYER_HEADER_LEN && at < x->size)
        flaw = layer_record_decode(x->map + at, x->size - at, x->totals.data_blocks, c, &len);
    if (flaw == layer_record_no_memory)
        return mvm_fail_nomem(err);
    if (flaw)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the layer's index is damaged: record at %zu: %s", at,
                        flaw);
    c->place = (layer_place) (at / LAYER_RECORD_ALIGN);
    return 0;
}

int layer_index_next(const struct layer_index *x, struct layer_cursor *c, mvm_error **err)
{
    size_t at = LAYER_HEADER_LEN;
    int r;

    if (c->place > 0) {
        at = (size_t) c->place * LAYER_RECORD_ALIGN;
        if (at < x->size)
            at += le32_get(x->map + at + LAYER_RECORD_LENGTH);
    }
    if (at == x->size)
        return 0;
    r = decode_at(x, at, c, err);
    return r < 0 ? r : 1;
}

int layer_index_get(const struct layer_index *x, layer_place place, struct layer_cursor *c,
                    mvm_error **err)
{
    return decode_at(x, (size_t) place * LAYER_RECORD_ALIGN, c, err);
}

const char *layer_index_path(const struct layer_index *x, layer_place place)
{
    size_t at = (size_t) place * LAYER_RECORD_ALIGN;

    assert(at >= LAYER_HEADER_LEN && at < x->size); /* the caller has decoded it */
    return (const char *) x->map + at + LAYER_RECORD_FIXED;
}

void layer_index_drop(const struct layer_index *x)
{
    /* Of a shared map of a file: the pages stay in the page cache and come back when touched. */
    (void) madvise((void *) x->map, x->size, MADV_DONTNEED);
}

bool layer_touch(struct layer_touch *t, const void *at)
{
    uintptr_t window = (uintptr_t) at / LAYER_WINDOW;
    uintptr_t *seen = &t->seen[window % ARRAY_SIZE(t->seen)];

    if (*seen == window)
        return false;
    *seen = window;
    if (++t->n < LAYER_WINDOWS_MAX)
        return false;
    *t = (struct layer_touch){ .n = 0 };
    return true;
}
