/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making errors: mvm_fail() where the failure happened, mvm_context() on the way up.
 *
 * A context names what this layer was doing, with the name that only it knows, once. Lower case, no
 * "failed to", no full stop: "pull alpine:3.20: layer 2 of 3: sha256:9f1c...: 812 bytes, manifest
 * says 3623807".
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <microvm/error.h>

/* Longest message that is kept; longer ones are cut, never refused. */
#define ERROR_MESSAGE_MAX 4096

/* The functions behind the macros. error_fail() replaces an error that *err already holds. */
int error_fail(mvm_error **err, int code, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
int error_context(mvm_error **err, int r, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Tells the compiler that the result is negative: without it gcc 12 and clang's analyser take the
 * outputs of the failing function for used uninitialised. @errnum is 0 or an errno, whose text is
 * appended. */
#define mvm_fail(err, code, errnum, ...)                           \
    ({                                                             \
        int r_ = error_fail((err), (code), (errnum), __VA_ARGS__); \
        if (r_ >= 0)                                               \
            __builtin_unreachable();                               \
        r_;                                                        \
    })
#define mvm_context(err, r, ...)                         \
    ({                                                   \
        int r_ = error_context((err), (r), __VA_ARGS__); \
        if (r_ >= 0)                                     \
            __builtin_unreachable();                     \
        r_;                                              \
    })
#define mvm_fail_nomem(err) mvm_fail((err), MVM_E_NOMEM, 0, "out of memory")

static inline void autoerror_run(mvm_error **err)
{
    mvm_error_free(*err);
}
/* For an error that the scope itself consumes. */
#define mvm_autoerror __attribute__((cleanup(autoerror_run)))

/* Moves @from to *@to, or frees it where the caller wants none. */
void error_move(mvm_error **to, mvm_error *from);

#endif
