/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer's bytes on their way from the source to the unpacker: counted, hashed, inflated, hashed
 * again.
 *
 * Nothing of what is read may be believed before layer_stream_finish() has said 0: only then have
 * the compressed size, the compressed digest, the checksums of gzip or zstd and the diffID all been
 * compared, up to the very last byte (OCI image-spec, descriptor.md, Verification; config.md, Layer
 * DiffID).
 */
#ifndef IMAGE_LAYER_STREAM_H
#define IMAGE_LAYER_STREAM_H

#include "image/budget.h"
#include "image/source.h"

struct layer_stream;
struct layer_expect {
    const struct oci_descriptor *blob; /* compressed size and digest; borrowed */
    const struct digest *diff_id;      /* borrowed */
    struct image_budget *budget;       /* bytes of tar are taken from it; borrowed */
    struct image_tick *tick;           /* told the compressed bytes; may be NULL; borrowed */
};

/* @reader is borrowed. */
int layer_stream_new(struct blob_reader *reader, const struct layer_expect *expect,
                     struct layer_stream **ret, mvm_error **err);
void layer_stream_free(struct layer_stream *s);
MVM_DEFINE_AUTO(layer_stream, layer_stream_free)

/* The next plain bytes, valid until the next call; their count, 0 at the end, a negative code. */
ssize_t layer_stream_read(struct layer_stream *s, const void **ret_data, mvm_error **err);
/* How many plain bytes have been read. */
uint64_t layer_stream_plain_bytes(const struct layer_stream *s);
/* Reads what is left and says whether all of it was what the image promised. */
int layer_stream_finish(struct layer_stream *s, mvm_error **err);
/* After the content turned out to be malformed: whether the blob is the one that the manifest means
 * at all. 0 when it is, else the error that is the true reason. */
int layer_stream_check_blob(struct layer_stream *s, mvm_error **err);

#endif
