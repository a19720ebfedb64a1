/* SPDX-License-Identifier: Apache-2.0 */
/* A layer as it comes from a source: decompression, tar and conversion into two files in memory.
 * Limits are low, so that no input takes long. What is written can be read, and its sums are right.
 */
#include "base/crc64.h"
#include "image/layer-convert.h"
#include "image/layer-index.h"

#include <assert.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define FUZZ_FILE_BYTES (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_reader {
    struct blob_reader base;
    const uint8_t *data;
    size_t len, at;
};

static ssize_t fuzz_read(struct blob_reader *base, void *out, size_t len, mvm_error **err)
{
    struct fuzz_reader *r = (struct fuzz_reader *) base;
    size_t n = r->len - r->at < len ? r->len - r->at : len;

    (void) err;
    if (n > 0)
        memcpy(out, r->data + r->at, n);
    r->at += n;
    return (ssize_t) n;
}

static void fuzz_free(struct blob_reader *base)
{
    (void) base;
}

/* Learns the digest of the plain bytes, so that the end of a conversion is reached; an input that
 * has none gets any. */
static struct digest learn_diff_id(const struct oci_descriptor *blob, const uint8_t *data,
                                   size_t size)
{
    struct fuzz_reader reader = { .base = { .read = fuzz_read, .free = fuzz_free },
                                  .data = data,
                                  .len = size };
    struct image_budget budget = { .limits = { .plain_bytes = 4 * FUZZ_FILE_BYTES } };
    struct digest diff_id = { 0 };
    const struct layer_expect expect = { .blob = blob, .diff_id = &diff_id, .budget = &budget };
    mvm_auto(layer_stream) s = NULL;
    mvm_auto(digest_stream) plain = NULL;
    const void *piece;
    ssize_t n;

    assert(digest_stream_new(DIGEST_SHA256, &plain, NULL) == 0);
    assert(layer_stream_new(&reader.base, &expect, &s, NULL) == 0);
    while ((n = layer_stream_read(s, &piece, NULL)) > 0)
        digest_stream_update(plain, piece, (size_t) n);
    assert(digest_stream_finish(plain, &diff_id, NULL) == 0);
    return diff_id;
}

static uint64_t sum_file(int fd, uint64_t *ret_size)
{
    mvm_autofree unsigned char *all = NULL;
    struct stat st;

    assert(fstat(fd, &st) == 0);
    all = malloc(st.st_size > 0 ? (size_t) st.st_size : 1);
    assert(all && pread(fd, all, (size_t) st.st_size, 0) == st.st_size);
    *ret_size = (uint64_t) st.st_size;
    return crc64_add(0, all, (size_t) st.st_size);
}

static void check_output(const struct layer_output *out, const struct layer_sums *sums)
{
    mvm_auto(layer_index) x = NULL;
    mvm_autovalue(layer_cursor) c = { 0 };
    uint64_t size, file_bytes = 0;
    int r;

    assert(sum_file(out->data_fd, &size) == sums->data_crc && size == sums->data_size);
    assert(size % LAYER_BLOCK == 0 && size <= 2 * FUZZ_FILE_BYTES);
    assert(sum_file(out->index_fd, &size) == sums->index_crc && size == sums->index_size);
    assert(layer_index_open(out->index_fd, NULL, &x, NULL) == 0);
    assert(layer_index_totals(x)->data_blocks == sums->data_size / LAYER_BLOCK);
    while ((r = layer_index_next(x, &c, NULL)) > 0) {
        assert(!strchr(c.record.path, '\n'));
        file_bytes += c.record.size;
    }
    assert(r == 0 && file_bytes == layer_index_totals(x)->file_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_reader reader = { .base = { .read = fuzz_read, .free = fuzz_free },
                                  .data = data,
                                  .len = size };
    struct image_budget budget = { .limits = { .plain_bytes = 4 * FUZZ_FILE_BYTES,
                                               .entries = 200,
                                               .file_bytes = FUZZ_FILE_BYTES,
                                               .path_bytes = 1u << 16,
                                               .depth = 16,
                                               .xattr_bytes = 4096 } };
    struct oci_descriptor blob = { .size = size };
    struct digest diff_id;
    const struct layer_expect expect = { .blob = &blob, .diff_id = &diff_id, .budget = &budget };
    mvm_autoclose int data_fd = memfd_create("data", MFD_CLOEXEC);
    mvm_autoclose int index_fd = memfd_create("index", MFD_CLOEXEC);
    const struct layer_output out = { .data_fd = data_fd, .index_fd = index_fd };
    struct layer_sums sums;
    mvm_auto(layer_stream) s = NULL;

    assert(data_fd >= 0 && index_fd >= 0);
    assert(digest_of(DIGEST_SHA256, data, size, &blob.digest, NULL) == 0);
    diff_id = learn_diff_id(&blob, data, size);
    assert(layer_stream_new(&reader.base, &expect, &s, NULL) == 0);
    if (layer_convert(s, &out, &budget, NULL, &sums, NULL) == 0)
        check_output(&out, &sums);
    return 0;
}
