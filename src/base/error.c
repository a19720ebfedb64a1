/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mvm_error {
    int code;
    int errnum;
    bool constant;
    char *message; /* owned unless constant */
};

/* What stands in for an error that cannot be allocated; never freed, never changed. */
static char no_memory_text[] = "out of memory";
static struct mvm_error no_memory = {
    .code = MVM_E_NOMEM, .errnum = ENOMEM, .constant = true, .message = no_memory_text
};

int mvm_error_code(const mvm_error *err)
{
    return err ? err->code : 0;
}

int mvm_error_errno(const mvm_error *err)
{
    return err ? err->errnum : 0;
}

const char *mvm_error_message(const mvm_error *err)
{
    return err ? err->message : "";
}

void mvm_error_free(mvm_error *err)
{
    int saved = errno;

    if (err && !err->constant) {
        free(err->message);
        free(err);
    }
    errno = saved;
}

/* "PREFIX: REST" or PREFIX alone, control characters escaped; NULL when out of memory. */
static char *message_build(const char *rest, const char *fmt, va_list ap)
{
    char prefix[1024];
    char *raw = NULL, *out = NULL;
    int n;

    n = vsnprintf(prefix, sizeof(prefix), fmt, ap);
    if (n < 0)
        return NULL;
    if (asprintf(&raw, rest ? "%s: %s" : "%s", prefix, rest ? rest : "") < 0)
        return NULL;
    out = malloc(ERROR_MESSAGE_MAX);
    if (out)
        log_escape(raw, out, ERROR_MESSAGE_MAX);
    free(raw);
    return out;
}

int error_fail(mvm_error **err, int code, int errnum, const char *fmt, ...)
{
    struct mvm_error *e;
    va_list ap;

    if (!err)
        return code;
    mvm_error_free(*err);
    *err = &no_memory;
    e = calloc(1, sizeof(*e));
    if (!e)
        return code;
    va_start(ap, fmt);
    e->message = message_build(errnum ? strerrordesc_np(errnum) : NULL, fmt, ap);
    va_end(ap);
    if (!e->message) {
        free(e);
        return code;
    }
    e->code = code;
    e->errnum = errnum;
    *err = e;
    return code;
}

int error_context(mvm_error **err, int r, const char *fmt, ...)
{
    va_list ap;
    char *message;

    if (!err || !*err || (*err)->constant)
        return r;
    va_start(ap, fmt);
    message = message_build((*err)->message, fmt, ap);
    va_end(ap);
    if (message) {
        free((*err)->message);
        (*err)->message = message;
    }
    return r;
}

void error_move(mvm_error **to, mvm_error *from)
{
    if (!to) {
        mvm_error_free(from);
        return;
    }
    mvm_error_free(*to);
    *to = from;
}
