/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the conversion: one layer into two files in memory, and what is in them. */
#ifndef IMAGE_TEST_LAYER_CONVERT_H
#define IMAGE_TEST_LAYER_CONVERT_H

#include "base/crc64.h"
#include "image/layer-convert.h"
#include "image/layer-index.h"
#include "image/test-layer.h"

#include <sys/mman.h>

struct converted {
    int data_fd, index_fd;
    struct layer_sums sums;
    struct layer_index *index; /* owned; NULL after a failure */
};

#define CONVERTED_INIT                        \
    {                                         \
        .data_fd = -EBADF, .index_fd = -EBADF \
    }

static inline void converted_deinit(struct converted *c)
{
    layer_index_close(steal_ptr(&c->index));
    autoclose_run(&c->data_fd);
    autoclose_run(&c->index_fd);
    *c = (struct converted) CONVERTED_INIT;
}
MVM_DEFINE_AUTOVALUE(converted, converted_deinit)

static inline int memory_file(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* The sum of a file by reading it. */
static inline uint64_t file_sum(int fd, uint64_t *ret_size)
{
    mvm_autofree unsigned char *block = malloc(1u << 20);
    uint64_t at = 0, crc = 0;
    ssize_t n;

    assert_non_null(block);
    while ((n = pread(fd, block, 1u << 20, (off_t) at)) > 0) {
        crc = crc64_add(crc, block, (size_t) n);
        at += (uint64_t) n;
    }
    assert_int_equal(n, 0);
    *ret_size = at;
    return crc;
}

/* Converts a stream; on success what its sums and totals say has been compared with the files. */
static inline int convert_stream_to(struct layer_stream *s, struct image_budget *budget,
                                    struct converted *ret, mvm_error **err)
{
    struct layer_output out;
    uint64_t size;
    int r;

    converted_deinit(ret);
    *ret = (struct converted){ .data_fd = memory_file("data"), .index_fd = memory_file("index") };
    out = (struct layer_output){ .data_fd = ret->data_fd, .index_fd = ret->index_fd };
    r = layer_convert(s, &out, budget, NULL, &ret->sums, err);
    if (r < 0)
        return r;
    assert_int_equal(file_sum(ret->data_fd, &size), ret->sums.data_crc);
    assert_int_equal(size, ret->sums.data_size);
    assert_int_equal(size % LAYER_BLOCK, 0);
    assert_int_equal(file_sum(ret->index_fd, &size), ret->sums.index_crc);
    assert_int_equal(size, ret->sums.index_size);
    assert_int_equal(layer_index_open(ret->index_fd, NULL, &ret->index, NULL), 0);
    assert_int_equal(layer_index_totals(ret->index)->data_blocks,
                     ret->sums.data_size / LAYER_BLOCK);
    return 0;
}

/* One uncompressed tar. @budget NULL: one with the default limits. */
static inline int convert_tar(const struct strbuf *tar, struct image_budget *budget,
                              struct converted *ret, mvm_error **err)
{
    struct memory_reader m = memory_reader(strbuf_str(tar), tar->len, SIZE_MAX);
    struct image_budget own = { .limits = IMAGE_LIMITS_DEFAULT };
    mvm_auto(layer_stream) s = NULL;
    struct layer_truth t;

    layer_truth_init(&t, tar, tar);
    t.expect.budget = budget ? budget : &own;
    assert_int_equal(layer_stream_new(&m.base, &t.expect, &s, NULL), 0);
    return convert_stream_to(s, budget ? budget : &own, ret, err);
}

/* Entries, ended by a name of NULL. */
static inline int convert_specs(const struct tar_spec *specs, struct image_budget *budget,
                                struct converted *ret, mvm_error **err)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);

    for (; specs->name; specs++)
        tar_add(&tar, specs);
    tar_end(&tar);
    return convert_tar(&tar, budget, ret, err);
}

/* The record of this path, the last of several; *c holds it. */
static inline const struct layer_record *record_find(const struct converted *x, const char *path,
                                                     struct layer_cursor *c)
{
    mvm_autovalue(layer_cursor) at = { 0 };
    layer_place found = 0;
    int r;

    while ((r = layer_index_next(x->index, &at, NULL)) > 0)
        if (strcmp(at.record.path, path) == 0)
            found = at.place;
    assert_int_equal(r, 0);
    if (!found)
        fail_msg("'%s' is missing", path);
    assert_int_equal(layer_index_get(x->index, found, c, NULL), 0);
    return &c->record;
}

/* "KIND path -> link" of each record, one a line. */
static inline void records_list(const struct converted *x, struct strbuf *to)
{
    static const char *const kinds[] = { "?",    "file",  "dir",  "symlink",  "hardlink",
                                         "char", "block", "fifo", "whiteout", "opaque" };
    mvm_autovalue(layer_cursor) c = { 0 };

    while (layer_index_next(x->index, &c, NULL) > 0)
        strbuf_addf(to, "%s %s%s%s\n", kinds[c.record.kind], c.record.path,
                    c.record.link_len > 0 ? " -> " : "", c.record.link);
}

/* Content of a record, wherever it lies. */
static inline void expect_content(const struct converted *x, const struct layer_record *r,
                                  const void *want, size_t len)
{
    mvm_autofree char *got = malloc(len + 1);

    assert_int_equal(r->size, len);
    if (r->content) {
        assert_true(len <= LAYER_INLINE_MAX);
        assert_memory_equal(r->content, want, len);
        return;
    }
    assert_true(len > LAYER_INLINE_MAX);
    assert_int_equal(pread(x->data_fd, got, len, (off_t) (r->data_block * LAYER_BLOCK)), len);
    assert_memory_equal(got, want, len);
}

#endif
