/* SPDX-License-Identifier: Apache-2.0 */
/* Content digests: "sha256:<64 hex>" and "sha512:<128 hex>" (OCI image-spec, descriptor.md,
 * Digests). */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

enum digest_algorithm {
    DIGEST_SHA256 = 0,
    DIGEST_SHA512 = 1
};
#define DIGEST_BYTES_MAX 64
#define DIGEST_TEXT_MAX (7 + 2 * DIGEST_BYTES_MAX)

struct digest {
    enum digest_algorithm algorithm;
    uint8_t bytes[DIGEST_BYTES_MAX];
};
struct digest_text {
    char text[DIGEST_TEXT_MAX + 1];
};

/* MVM_E_FORMAT for bad grammar, MVM_E_UNSUPPORTED (naming it) for another algorithm. */
int digest_parse(const char *text, struct digest *ret, mvm_error **err);
struct digest_text digest_format(const struct digest *d); /* with the algorithm */
const char *digest_hex(const struct digest_text *t);      /* the part after the colon, borrowed */
bool digest_equal(const struct digest *a, const struct digest *b);
int digest_of(enum digest_algorithm algorithm, const void *data, size_t len, struct digest *ret,
              mvm_error **err);

struct digest_stream;
int digest_stream_new(enum digest_algorithm algorithm, struct digest_stream **ret, mvm_error **err);
void digest_stream_update(struct digest_stream *s, const void *data,
                          size_t len); /* a failure shows at the end */
/* Once: a second call fails. */
int digest_stream_finish(struct digest_stream *s, struct digest *ret, mvm_error **err);
void digest_stream_free(struct digest_stream *s);
MVM_DEFINE_AUTO(digest_stream, digest_stream_free)

#endif
