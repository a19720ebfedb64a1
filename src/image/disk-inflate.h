/* SPDX-License-Identifier: Apache-2.0 */
/* What a disk image is compressed with, and its plain bytes into a sparse file. */
#ifndef IMAGE_DISK_INFLATE_H
#define IMAGE_DISK_INFLATE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum disk_kind {
    DISK_PLAIN = 0,
    DISK_GZIP,
    DISK_BZIP2,
    DISK_XZ,
    DISK_ZSTD
};
/* Bytes that tell the kinds apart. */
#define DISK_MAGIC_LEN 10
/* @len may be less when that is all there is. */
enum disk_kind disk_detect(const void *data, size_t len);

struct disk_input {
    /* Up to @len compressed bytes; 0 at the end; a negative code. */
    ssize_t (*read)(void *user, void *data, size_t len, mvm_error **err);
    void *user;
};

/* A file with holes where there are zeros; its bytes come in order. */
struct disk_output {
    int fd; /* borrowed; empty at first */
    uint64_t size, max;
};
int disk_output_add(struct disk_output *out, const void *data, size_t len, mvm_error **err);
/* The size is right, also where the file ends in a hole. */
int disk_output_end(struct disk_output *out, mvm_error **err);

/* All of the input, which ends where the compressed data does. Not for DISK_PLAIN. */
int disk_inflate(enum disk_kind kind, const struct disk_input *input, struct disk_output *out,
                 mvm_error **err);

#endif
