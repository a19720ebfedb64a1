/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of this folder: tars made by hand, so that they can be wrong in any way, and readers
 * over memory. */
#ifndef IMAGE_TEST_LAYER_H
#define IMAGE_TEST_LAYER_H

#include "base/strbuf.h"
#include "base/test-sandbox.h"
#include "image/layer-convert.h"

#include <sys/mman.h>

struct tar_spec {
    const char *name;
    char type; /* '0' when 0 */
    const char *link;
    const char *data;
    size_t size;   /* of data; 0: its length as a string */
    unsigned mode; /* 0: 0644 */
    unsigned uid, gid;
    uint64_t mtime;
    unsigned major, minor;
    const char *pax; /* pax records that go before; NULL: none */
    size_t pax_len;  /* 0: their length as a string */
};

static inline void tar_pad(struct strbuf *t)
{
    static const char zeros[512];

    strbuf_add(t, zeros, (512 - t->len % 512) % 512);
}

static inline void tar_octal(char *field, int digits, uint64_t value)
{
    while (digits-- > 0) {
        field[digits] = (char) ('0' + value % 8);
        value /= 8;
    }
}

static inline void tar_header(struct strbuf *t, const struct tar_spec *s, size_t size)
{
    char h[513] = "";
    unsigned sum = 0;

    memcpy(h, s->name, strnlen(s->name, 100));
    tar_octal(h + 100, 7, s->mode ? s->mode : 0644);
    tar_octal(h + 108, 7, s->uid);
    tar_octal(h + 116, 7, s->gid);
    tar_octal(h + 124, 11, size);
    tar_octal(h + 136, 11, s->mtime);
    h[156] = s->type ? s->type : '0';
    if (s->link)
        memcpy(h + 157, s->link, strnlen(s->link, 100));
    memcpy(h + 257, "ustar\00000", 8);
    tar_octal(h + 329, 7, s->major);
    tar_octal(h + 337, 7, s->minor);
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char) h[i];
    tar_octal(h + 148, 6, sum);
    h[154] = '\0';
    strbuf_add(t, h, 512);
}

static inline void tar_pax(struct strbuf *t, const char *records, size_t len)
{
    tar_header(t, &(struct tar_spec){ .name = "pax", .type = 'x' }, len);
    strbuf_add(t, records, len);
    tar_pad(t);
}

/* "LEN key=value\n", where LEN counts itself. */
static inline void pax_record(struct strbuf *p, const char *key, const void *value, size_t len)
{
    size_t n = strlen(key) + len + 3, total = n + 1;
    char digits[24];

    while (n + (size_t) snprintf(digits, sizeof(digits), "%zu", total) != total)
        total = n + strlen(digits);
    strbuf_addf(p, "%zu %s=", total, key);
    strbuf_add(p, value, len);
    strbuf_addc(p, '\n');
}

static inline void tar_add(struct strbuf *t, const struct tar_spec *s)
{
    size_t size = s->data ? (s->size ? s->size : strlen(s->data)) : 0;

    if (s->pax)
        tar_pax(t, s->pax, s->pax_len ? s->pax_len : strlen(s->pax));
    tar_header(t, s, size);
    strbuf_add(t, s->data, size);
    tar_pad(t);
}

static inline void tar_end(struct strbuf *t)
{
    static const char zeros[1024];

    strbuf_add(t, zeros, sizeof(zeros));
}

struct memory_reader {
    struct blob_reader base;
    const char *data;      /* borrowed */
    size_t len, at, piece; /* at most piece bytes a read */
};
static inline ssize_t memory_read(struct blob_reader *base, void *out, size_t len, mvm_error **err)
{
    struct memory_reader *m = (struct memory_reader *) base;
    size_t n = m->len - m->at;

    (void) err;
    n = n < len ? n : len;
    n = n < m->piece ? n : m->piece;
    if (n > 0)
        memcpy(out, m->data + m->at, n);
    m->at += n;
    return (ssize_t) n;
}
static inline void memory_free(struct blob_reader *base)
{
    (void) base;
}
static inline struct memory_reader memory_reader(const void *data, size_t len, size_t piece)
{
    return (struct memory_reader){ .base = { .read = memory_read, .free = memory_free },
                                   .data = data,
                                   .len = len,
                                   .piece = piece };
}

/* What is right for @blob with the content @plain. */
struct layer_truth {
    struct oci_descriptor blob;
    struct digest diff_id;
    struct image_budget budget;
    struct layer_expect expect;
};
static inline void layer_truth_init(struct layer_truth *t, const struct strbuf *blob,
                                    const struct strbuf *plain)
{
    *t = (struct layer_truth){ .blob = { .size = blob->len },
                               .budget = { .limits = IMAGE_LIMITS_DEFAULT } };
    assert_int_equal(digest_of(DIGEST_SHA256, strbuf_str(blob), blob->len, &t->blob.digest, NULL),
                     0);
    assert_int_equal(digest_of(DIGEST_SHA256, strbuf_str(plain), plain->len, &t->diff_id, NULL), 0);
    t->expect = (struct layer_expect){ .blob = &t->blob,
                                       .diff_id = &t->diff_id,
                                       .budget = &t->budget };
}

/* Converts what @s gives, into files that nobody looks at. */
static inline int layer_convert_only(struct layer_stream *s, struct image_budget *budget,
                                     mvm_error **err)
{
    mvm_autoclose int data = memfd_create("data", MFD_CLOEXEC);
    mvm_autoclose int index = memfd_create("index", MFD_CLOEXEC);
    const struct layer_output out = { .data_fd = data, .index_fd = index };
    struct layer_sums sums;

    return layer_convert(s, &out, budget, NULL, &sums, err);
}

#define SANDBOX_TEST(fn) cmocka_unit_test_setup_teardown(fn, sandbox_setup, sandbox_teardown)
#define TAR_MAX (64u << 20)

#define DIR(path)                                 \
    {                                             \
        .name = (path), .type = '5', .mode = 0755 \
    }
#define FILE_OF(path, text)            \
    {                                  \
        .name = (path), .data = (text) \
    }
#define SYMLINK(path, to)                         \
    {                                             \
        .name = (path), .type = '2', .link = (to) \
    }
#define HARDLINK(path, to)                        \
    {                                             \
        .name = (path), .type = '1', .link = (to) \
    }

#endif
