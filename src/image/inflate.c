/* SPDX-License-Identifier: Apache-2.0 */
#include "image/inflate.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>
#include <zstd_errors.h>

struct inflate {
    enum inflate_kind kind;
    bool complete;
    struct inflate_state gzip;
    ZSTD_DCtx *zstd; /* owned */
};

enum inflate_kind inflate_detect(const void *data, size_t len)
{
    static const unsigned char zstd_magic[] = { 0x28, 0xb5, 0x2f, 0xfd };
    const unsigned char *p = data;

    if (len >= 2 && p[0] == 0x1f && p[1] == 0x8b)
        return INFLATE_GZIP;
    if (len < 4)
        return INFLATE_PLAIN;
    /* RFC 8878, 3.1.2: skippable frames have sixteen magic numbers, and may come first
     * (zstd:chunked). */
    if (memcmp(p, zstd_magic, 4) == 0 ||
        ((p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18))
        return INFLATE_ZSTD;
    return INFLATE_PLAIN;
}

int inflate_new(enum inflate_kind kind, struct inflate **ret, mvm_error **err)
{
    mvm_auto(inflate) z = calloc(1, sizeof(*z));

    if (!z)
        return mvm_fail_nomem(err);
    z->kind = kind;
    if (kind == INFLATE_GZIP) {
        isal_inflate_init(&z->gzip);
        z->gzip.crc_flag = ISAL_GZIP;
    } else {
        z->zstd = ZSTD_createDCtx();
        if (!z->zstd)
            return mvm_fail_nomem(err);
        if (ZSTD_isError(
                ZSTD_DCtx_setParameter(z->zstd, ZSTD_d_windowLogMax, INFLATE_ZSTD_WINDOW_LOG)))
            return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "zstd: this library knows no window limit");
    }
    *ret = steal_ptr(&z);
    return 0;
}

void inflate_free(struct inflate *z)
{
    if (!z)
        return;
    (void) ZSTD_freeDCtx(z->zstd);
    free(z);
}

static int gzip_fail(int code, mvm_error **err)
{
    const char *why = code == ISAL_INVALID_WRAPPER      ? "no gzip header where one belongs"
                      : code == ISAL_UNSUPPORTED_METHOD ? "unknown compression method"
                      : code == ISAL_INCORRECT_CHECKSUM ? "wrong checksum"
                                                        : "malformed data";

    return mvm_fail(err, MVM_E_FORMAT, 0, "gzip: %s", why);
}

static int gzip_step(struct inflate *z, struct inflate_io *io, mvm_error **err)
{
    struct inflate_state *s = &z->gzip;
    int code;

    if (z->complete) {
        if (io->in_len == 0)
            return 0;
        isal_inflate_reset(s);
        s->crc_flag = ISAL_GZIP;
        z->complete = false;
    }
    s->next_in = (uint8_t *) io->in; /* the library does not write there */
    s->avail_in = (uint32_t) io->in_len;
    s->next_out = io->out;
    s->avail_out = (uint32_t) io->out_size;
    code = isal_inflate(s);
    if (code < 0)
        return gzip_fail(code, err);
    if (code == ISAL_NEED_DICT)
        return gzip_fail(ISAL_INVALID_WRAPPER, err);
    io->in += io->in_len - s->avail_in;
    io->in_len = s->avail_in;
    io->out_len = io->out_size - s->avail_out;
    z->complete = s->block_state == ISAL_BLOCK_FINISH;
    return 0;
}

static int zstd_step(struct inflate *z, struct inflate_io *io, mvm_error **err)
{
    ZSTD_inBuffer in = { .src = io->in, .size = io->in_len };
    ZSTD_outBuffer out = { .dst = io->out, .size = io->out_size };
    size_t left;

    if (z->complete && io->in_len == 0)
        return 0;
    left = ZSTD_decompressStream(z->zstd, &out, &in);
    if (ZSTD_getErrorCode(left) == ZSTD_error_frameParameter_windowTooLarge)
        return mvm_fail(err, MVM_E_LIMIT, 0, "zstd: asks for a window above the limit of %u MiB",
                        (1u << INFLATE_ZSTD_WINDOW_LOG) >> 20);
    if (ZSTD_isError(left))
        return mvm_fail(err, MVM_E_FORMAT, 0, "zstd: %s", ZSTD_getErrorName(left));
    io->in += in.pos;
    io->in_len -= in.pos;
    io->out_len = out.pos;
    /* 0 tells the end of a frame; whatever follows begins another one. */
    z->complete = left == 0;
    return 0;
}

int inflate_step(struct inflate *z, struct inflate_io *io, mvm_error **err)
{
    io->out_len = 0;
    return z->kind == INFLATE_GZIP ? gzip_step(z, io, err) : zstd_step(z, io, err);
}

bool inflate_is_complete(const struct inflate *z)
{
    return z->complete;
}

const char *inflate_name(const struct inflate *z)
{
    return z->kind == INFLATE_GZIP ? "gzip" : "zstd";
}
