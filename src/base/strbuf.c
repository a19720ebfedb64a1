/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

/* Room for @len more bytes and the NUL; false when the buffer has failed, now or before. */
static bool strbuf_reserve(struct strbuf *sb, size_t len)
{
    size_t want = sb->cap ? sb->cap : 64;
    char *grown;

    if (sb->failed)
        return false;
    if (len > sb->max - sb->len) {
        sb->failed = MVM_E_LIMIT;
        return false;
    }
    if (sb->data && len < sb->cap - sb->len)
        return true;
    while (want - sb->len <= len)
        if (__builtin_mul_overflow(want, 2, &want)) {
            sb->failed = MVM_E_NOMEM;
            return false;
        }
    grown = realloc(sb->data, want);
    if (!grown) {
        sb->failed = MVM_E_NOMEM;
        return false;
    }
    sb->data = grown;
    sb->cap = want;
    return true;
}

void strbuf_add(struct strbuf *sb, const void *data, size_t len)
{
    if (!strbuf_reserve(sb, len))
        return;
    if (len > 0)
        memcpy(sb->data + sb->len, data, len);
    sb->len += len;
    sb->data[sb->len] = '\0';
}

void strbuf_adds(struct strbuf *sb, const char *text)
{
    strbuf_add(sb, text, strlen(text));
}

void strbuf_addc(struct strbuf *sb, char c)
{
    strbuf_add(sb, &c, 1);
}

void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
{
    mvm_autofree char *text = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0) {
        text = NULL;
        sb->failed = sb->failed ? sb->failed : MVM_E_NOMEM;
        return;
    }
    strbuf_add(sb, text, (size_t) n);
}

void strbuf_reset(struct strbuf *sb)
{
    sb->len = 0;
    sb->failed = 0;
    if (sb->data)
        sb->data[0] = '\0';
}

void strbuf_deinit(struct strbuf *sb)
{
    free(sb->data);
    *sb = (struct strbuf) STRBUF_INIT(sb->max);
}

const char *strbuf_str(const struct strbuf *sb)
{
    return sb->data ? sb->data : "";
}

int strbuf_check(const struct strbuf *sb, const char *what, mvm_error **err)
{
    if (sb->failed == MVM_E_LIMIT)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%s: more than %zu bytes", what, sb->max);
    if (sb->failed)
        return mvm_fail_nomem(err);
    return 0;
}

char *strbuf_take(struct strbuf *sb)
{
    char *data;

    strbuf_add(sb, "", 0);
    if (sb->failed)
        return NULL;
    data = sb->data;
    *sb = (struct strbuf) STRBUF_INIT(sb->max);
    return data;
}
