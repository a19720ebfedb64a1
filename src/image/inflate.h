/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression of a layer piece by piece. What it is compressed with is told by its first bytes
 * and never by a media type. Several gzip members, several zstd frames and skippable frames are one
 * stream; anything else behind the last of them is an error.
 */
#ifndef IMAGE_INFLATE_H
#define IMAGE_INFLATE_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>

/* A zstd frame may ask for a window of so many bytes: 2^27 (image.md I-140). */
#define INFLATE_ZSTD_WINDOW_LOG 27
/* Bytes that tell the kinds apart. */
#define INFLATE_MAGIC_LEN 4

enum inflate_kind {
    INFLATE_PLAIN = 0,
    INFLATE_GZIP,
    INFLATE_ZSTD
};
/* @len may be less than INFLATE_MAGIC_LEN when that is all there is. */
enum inflate_kind inflate_detect(const void *data, size_t len);

struct inflate_io {
    const unsigned char *in;
    size_t in_len; /* both move on by what was consumed */
    unsigned char *out;
    size_t out_size;
    size_t out_len; /* bytes written to out */
};

struct inflate;
int inflate_new(enum inflate_kind kind, struct inflate **ret,
                mvm_error **err); /* not for INFLATE_PLAIN */
void inflate_free(struct inflate *z);
MVM_DEFINE_AUTO(inflate, inflate_free)
/* Neither consuming nor writing anything means that more input is needed. */
int inflate_step(struct inflate *z, struct inflate_io *io, mvm_error **err);
/* The stream may end here. */
bool inflate_is_complete(const struct inflate *z);
const char *inflate_name(const struct inflate *z);

#endif
