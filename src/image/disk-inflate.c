/* SPDX-License-Identifier: Apache-2.0 */
#include "image/disk-inflate.h"

#include "image/inflate.h"

#include <bzlib.h>
#include <lzma.h>

#define INFLATE_BLOCK (256u << 10)
/* `xz -9` needs 65 MiB to be inflated. */
#define XZ_MEMORY_MAX (UINT64_C(128) << 20)
/* What a hole of a file is made of. */
#define HOLE_BLOCK 4096u

enum disk_kind disk_detect(const void *data, size_t len)
{
    static const unsigned char xz[] = { 0xfd, '7', 'z', 'X', 'Z', 0 };
    /* The first block, or the end of a stream without any. */
    static const unsigned char bzip2_block[] = { 0x31, 0x41, 0x59, 0x26, 0x53, 0x59 };
    static const unsigned char bzip2_end[] = { 0x17, 0x72, 0x45, 0x38, 0x50, 0x90 };
    const unsigned char *p = data;

    if (len >= sizeof(xz) && memcmp(p, xz, sizeof(xz)) == 0)
        return DISK_XZ;
    if (len >= 10 && memcmp(p, "BZh", 3) == 0 && p[3] >= '1' && p[3] <= '9' &&
        (memcmp(p + 4, bzip2_block, 6) == 0 || memcmp(p + 4, bzip2_end, 6) == 0))
        return DISK_BZIP2;
    switch (inflate_detect(data, len)) {
    case INFLATE_GZIP:
        return DISK_GZIP;
    case INFLATE_ZSTD:
        return DISK_ZSTD;
    default:
        return DISK_PLAIN;
    }
}

static bool is_zero(const unsigned char *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static int write_at(int fd, const unsigned char *data, size_t len, uint64_t offset, mvm_error **err)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t) offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "write the disk image");
        data += n;
        len -= (size_t) n;
        offset += (uint64_t) n;
    }
    return 0;
}

/* Bytes up to the next border of a block. */
static size_t block_len(uint64_t offset, size_t len)
{
    size_t n = HOLE_BLOCK - (size_t) (offset % HOLE_BLOCK);

    return n < len ? n : len;
}

/* Runs of blocks that are not zero are written as one. */
int disk_output_add(struct disk_output *out, const void *data, size_t len, mvm_error **err)
{
    const unsigned char *p = data;
    size_t run = 0, at = 0;
    int r = 0;

    if (len > out->max - out->size)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than the limit of %llu bytes inflated",
                        (unsigned long long) out->max);
    while (r == 0 && at < len) {
        size_t n = block_len(out->size + at, len - at);

        if (is_zero(p + at, n)) {
            r = write_at(out->fd, p + run, at - run, out->size + run, err);
            run = at + n;
        }
        at += n;
    }
    if (r == 0)
        r = write_at(out->fd, p + run, at - run, out->size + run, err);
    out->size += r == 0 ? len : 0;
    return r;
}

int disk_output_end(struct disk_output *out, mvm_error **err)
{
    return ftruncate(out->fd, (off_t) out->size) < 0
               ? mvm_fail(err, MVM_E_SYS, errno, "set the size of the disk image")
               : 0;
}

struct stream {
    enum disk_kind kind;
    struct inflate *z; /* owned: of gzip and zstd */
    lzma_stream xz;
    bz_stream bz;
    bool bz_open;
    bool complete; /* the data may end here */
};

static void stream_deinit(struct stream *s)
{
    inflate_free(s->z);
    lzma_end(&s->xz);
    if (s->bz_open)
        (void) BZ2_bzDecompressEnd(&s->bz);
}
MVM_DEFINE_AUTOVALUE(stream, stream_deinit)

static int bz_open(struct stream *s, mvm_error **err)
{
    if (s->bz_open)
        (void) BZ2_bzDecompressEnd(&s->bz);
    s->bz = (bz_stream){ 0 };
    s->bz_open = BZ2_bzDecompressInit(&s->bz, 0, 0) == BZ_OK;
    s->complete = false;
    return s->bz_open ? 0 : mvm_fail_nomem(err);
}

static int stream_open(struct stream *s, mvm_error **err)
{
    switch (s->kind) {
    case DISK_GZIP:
        return inflate_new(INFLATE_GZIP, &s->z, err);
    case DISK_ZSTD:
        return inflate_new(INFLATE_ZSTD, &s->z, err);
    case DISK_BZIP2:
        return bz_open(s, err);
    default:
        return lzma_stream_decoder(&s->xz, XZ_MEMORY_MAX, LZMA_CONCATENATED) == LZMA_OK
                   ? 0
                   : mvm_fail_nomem(err);
    }
}

/* Several streams are one, as with bunzip2(1). */
static int bz_step(struct stream *s, struct inflate_io *io, mvm_error **err)
{
    int code, r = 0;

    if (s->complete && io->in_len > 0)
        r = bz_open(s, err);
    if (r < 0 || s->complete)
        return r;
    s->bz.next_in = (char *) (uintptr_t) io->in; /* the library does not write there */
    s->bz.avail_in = (unsigned) io->in_len;
    s->bz.next_out = (char *) io->out;
    s->bz.avail_out = (unsigned) io->out_size;
    code = BZ2_bzDecompress(&s->bz);
    if (code == BZ_MEM_ERROR)
        return mvm_fail_nomem(err);
    if (code != BZ_OK && code != BZ_STREAM_END)
        return mvm_fail(err, MVM_E_FORMAT, 0, "bzip2: %s",
                        code == BZ_DATA_ERROR_MAGIC ? "no header where one belongs"
                                                    : "malformed data");
    io->in += io->in_len - s->bz.avail_in;
    io->in_len = s->bz.avail_in;
    io->out_len = io->out_size - s->bz.avail_out;
    s->complete = code == BZ_STREAM_END;
    return 0;
}

static int xz_fail(lzma_ret code, mvm_error **err)
{
    if (code == LZMA_MEM_ERROR)
        return mvm_fail_nomem(err);
    if (code == LZMA_MEMLIMIT_ERROR)
        return mvm_fail(err, MVM_E_LIMIT, 0, "xz: needs more memory than the limit of %llu MiB",
                        (unsigned long long) (XZ_MEMORY_MAX >> 20));
    return mvm_fail(err, MVM_E_FORMAT, 0, "xz: %s",
                    code == LZMA_FORMAT_ERROR    ? "no header where one belongs"
                    : code == LZMA_OPTIONS_ERROR ? "unknown options"
                                                 : "malformed data");
}

/* No input means that there will be none: only then does the library say whether the data is
 * complete. */
static int xz_step(struct stream *s, struct inflate_io *io, mvm_error **err)
{
    lzma_ret code;

    if (s->complete)
        return 0;
    s->xz.next_in = io->in;
    s->xz.avail_in = io->in_len;
    s->xz.next_out = io->out;
    s->xz.avail_out = io->out_size;
    code = lzma_code(&s->xz, io->in_len == 0 ? LZMA_FINISH : LZMA_RUN);
    if (code != LZMA_OK && code != LZMA_STREAM_END && code != LZMA_BUF_ERROR)
        return xz_fail(code, err);
    io->in = s->xz.next_in;
    io->in_len = s->xz.avail_in;
    io->out_len = io->out_size - s->xz.avail_out;
    s->complete = code == LZMA_STREAM_END;
    return 0;
}

static int stream_step(struct stream *s, struct inflate_io *io, mvm_error **err)
{
    int r;

    io->out_len = 0;
    if (s->kind == DISK_BZIP2)
        return bz_step(s, io, err);
    if (s->kind == DISK_XZ)
        return xz_step(s, io, err);
    r = inflate_step(s->z, io, err);
    s->complete = r == 0 && inflate_is_complete(s->z);
    return r;
}

/* What one block of input gives; an empty one: the end is here. */
static int stream_block(struct stream *s, struct inflate_io *io, struct disk_output *out,
                        mvm_error **err)
{
    const bool last = io->in_len == 0;
    size_t before;
    int r;

    do {
        before = io->in_len;
        if (before == 0 && !last && s->kind == DISK_XZ)
            return 0; /* an empty step would tell it that this was all */
        r = stream_step(s, io, err);
        if (r == 0)
            r = disk_output_add(out, io->out, io->out_len, err);
    } while (r == 0 && (io->in_len != before || io->out_len > 0));
    if (r == 0 && io->in_len > 0)
        r = mvm_fail(err, MVM_E_FORMAT, 0, "the decompressor stands still");
    return r;
}

int disk_inflate(enum disk_kind kind, const struct disk_input *input, struct disk_output *out,
                 mvm_error **err)
{
    static const char *const names[] = { "plain", "gzip", "bzip2", "xz", "zstd" };
    mvm_autovalue(stream) s = { .kind = kind, .xz = LZMA_STREAM_INIT };
    mvm_autofree unsigned char *in = malloc(INFLATE_BLOCK);
    mvm_autofree unsigned char *buffer = malloc(INFLATE_BLOCK);
    ssize_t n = 1;
    int r;

    if (!in || !buffer)
        return mvm_fail_nomem(err);
    r = stream_open(&s, err);
    while (r == 0 && n > 0) {
        n = input->read(input->user, in, INFLATE_BLOCK, err);
        if (n < 0)
            return (int) n;
        struct inflate_io io = {
            .in = in, .in_len = (size_t) n, .out = buffer, .out_size = INFLATE_BLOCK
        };

        r = stream_block(&s, &io, out, err);
    }
    if (r == 0 && !s.complete)
        r = mvm_fail(err, MVM_E_FORMAT, 0, "%s: the data ends too early", names[kind]);
    return r < 0 ? r : disk_output_end(out, err);
}
