/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for what one layer adds to a message. */
#define ERROR_PREFIX_MAX 1024

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

/* Long enough for every text of the guest's C library. */
#define ERRNO_TEXT_MAX 128

/* In English whatever the locale: glibc has a call for that, and the C library of the guest, which
 * lacks it, knows nothing else there. */
static const char *errno_text(int errnum, char buffer[ERRNO_TEXT_MAX])
{
#ifdef __GLIBC__
    const char *text = strerrordesc_np(errnum);

    (void) buffer;
    return text ? text : "unknown error";
#else
    return strerror_r(errnum, buffer, ERRNO_TEXT_MAX) == 0 ? buffer : "unknown error";
#endif
}

/* "PREFIX: REST" or PREFIX alone, escaped; NULL when out of memory. The prefix is cut first, so
 * that a long name from outside cannot push the reason out of the message. */
static char *message_build(const char *rest, const char *fmt, va_list ap)
{
    char *raw = NULL, *out = NULL;
    size_t at;

    if (vasprintf(&raw, fmt, ap) < 0)
        return NULL;
    out = malloc(ERROR_MESSAGE_MAX);
    if (out) {
        log_escape(raw, out, ERROR_PREFIX_MAX);
        at = strlen(out);
        if (rest) {
            out[at++] = ':';
            out[at++] = ' ';
            log_escape(rest, out + at, ERROR_MESSAGE_MAX - at);
        }
    }
    free(raw);
    return out;
}

int error_fail(mvm_error **err, int code, int errnum, const char *fmt, ...)
{
    char reason[ERRNO_TEXT_MAX];
    struct mvm_error *e;
    va_list ap;

    if (!err)
        return code;
    e = calloc(1, sizeof(*e));
    if (e) {
        e->code = code;
        e->errnum = errnum;
        va_start(ap, fmt);
        e->message = message_build(errnum ? errno_text(errnum, reason) : NULL, fmt, ap);
        va_end(ap);
    }
    if (e && !e->message) {
        free(e);
        e = NULL;
    }
    /* The old error goes last: the new message may quote it. */
    mvm_error_free(*err);
    *err = e ? e : &no_memory;
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
