/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer that has its maximum from birth and remembers a failure, so that ten
 * additions need one check: strbuf_check(), or strbuf_take() at the end. Always NUL-ended, may hold
 * NUL bytes.
 */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include "base/error.h"
#include "base/mem.h"

struct strbuf {
    char *data; /* owned; NULL while nothing was added */
    size_t len;
    size_t cap;
    size_t max; /* most bytes of content, without the NUL */
    int failed; /* 0, MVM_E_NOMEM or MVM_E_LIMIT */
};
#define STRBUF_INIT(maximum) \
    {                        \
        .max = (maximum)     \
    }

void strbuf_add(struct strbuf *sb, const void *data, size_t len);
void strbuf_adds(struct strbuf *sb, const char *text);
void strbuf_addc(struct strbuf *sb, char c);
void strbuf_addf(struct strbuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_reset(struct strbuf *sb); /* empties, keeps the memory, forgets a failure */
void strbuf_deinit(struct strbuf *sb);
/* "" while empty. */
const char *strbuf_str(const struct strbuf *sb);
/* 0, or the remembered failure with @what in the message. */
int strbuf_check(const struct strbuf *sb, const char *what, mvm_error **err);
/* Hands the memory over (a NUL-ended string); the buffer is empty afterwards. NULL when out of
 * memory or failed. */
char *strbuf_take(struct strbuf *sb);
MVM_DEFINE_AUTOVALUE(strbuf, strbuf_deinit)

#endif
