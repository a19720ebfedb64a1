/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mvm_error: one failure, with a code, a saved errno and a chain of contexts.
 *
 * Every fallible call of the library takes `mvm_error **err` as its last argument and returns a
 * negative MVM_E_* code on failure. A NULL `err` means that the caller wants the code alone. On
 * success `*err` is left as it was. The caller releases a received error with mvm_error_free().
 *
 * Thread-safety: an mvm_error belongs to one thread at a time; no call here touches global state.
 */
#ifndef MICROVM_ERROR_H
#define MICROVM_ERROR_H

#if defined(__GNUC__)
#define MVM_PUBLIC __attribute__((visibility("default")))
#else
#define MVM_PUBLIC
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** What went wrong, for programs. Nobody should compare message text. The list is closed: a new
 * release adds at its end only. */
enum mvm_error_code {
    MVM_E_ARG = -1,          /* the caller's argument or option is wrong */
    MVM_E_SYS = -2,          /* a system call failed; mvm_error_errno() says how */
    MVM_E_NOMEM = -3,        /* out of memory */
    MVM_E_FORMAT = -4,       /* data from outside does not follow its format */
    MVM_E_LIMIT = -5,        /* data from outside exceeds a documented maximum */
    MVM_E_NOT_FOUND = -6,    /* the named thing does not exist */
    MVM_E_EXISTS = -7,       /* the named thing exists already */
    MVM_E_BUSY = -8,         /* in use by somebody else */
    MVM_E_TIMEOUT = -9,      /* a deadline passed */
    MVM_E_CANCELLED = -10,   /* the caller asked to stop */
    MVM_E_STATE = -11,       /* the object is in a state that does not allow this */
    MVM_E_UNSUPPORTED = -12, /* known, but not available on this machine or in this release */
    MVM_E_DIGEST = -13,      /* content differs from its digest, size or diffID */
    MVM_E_AUTH = -14,        /* a registry wants credentials, or refuses the ones given */
    MVM_E_NET = -15,         /* a peer cannot be reached, or broke off */
    MVM_E_CHILD = -16,       /* a helper process failed */
    MVM_E_GUEST = -17        /* the guest failed before the program was started */
};

typedef struct mvm_error mvm_error;

/**
 * mvm_error_code - the code of an error
 * @err: an error, or NULL
 *
 * Returns: a negative enum mvm_error_code; 0 for NULL.
 * Since:   0.1
 */
MVM_PUBLIC int mvm_error_code(const mvm_error *err);

/**
 * mvm_error_errno - the saved errno of an error
 * @err: an error, or NULL
 *
 * Returns: errno of the system call that failed, 0 if none did, 0 for NULL.
 * Since:   0.1
 */
MVM_PUBLIC int mvm_error_errno(const mvm_error *err);

/**
 * mvm_error_message - the whole chain as one line, outermost context first
 * @err: an error, or NULL
 *
 * Text that came from outside (a registry, an image, a guest) has its control characters escaped.
 *
 * Returns:   a UTF-8 string without newline, "" for NULL; owned by @err, valid until it is freed.
 * Since:     0.1
 */
MVM_PUBLIC const char *mvm_error_message(const mvm_error *err);

/**
 * mvm_error_free - release an error
 * @err: an error, or NULL
 *
 * errno is left as it was.
 * Since: 0.1
 */
MVM_PUBLIC void mvm_error_free(mvm_error *err);

#ifdef __cplusplus
}
#endif

#endif
