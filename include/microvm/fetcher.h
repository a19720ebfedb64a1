/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mvm_fetcher: a program's own source of images, in place of registries and container engines.
 *
 * What it gives is verified like everything else: a manifest that was asked for by digest, every
 * blob's size and digest, the layers' diffIDs. It cannot make the library take wrong content for
 * right; it can only fail.
 */
#ifndef MICROVM_FETCHER_H
#define MICROVM_FETCHER_H

#include <microvm/error.h>
#include <microvm/options.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One call of a fetcher's function; valid until that function returns. */
typedef struct mvm_fetch mvm_fetch;

/**
 * struct mvm_fetcher - the functions; each returns 0 or a negative MVM_E_*
 * @user:      handed to each of them
 * @manifest:  gives, with mvm_fetch_set_manifest(), the manifest or the index that @reference
 *             names: fully qualified, "docker.io/library/alpine:latest" or, for what an index
 *             leads to, "docker.io/library/alpine@sha256:...". @platform is "linux/amd64".
 * @open_blob: begins to read the blob (config or layer) @digest of @reference, which has @size
 *             bytes; *ret_blob goes to the next two
 * @read_blob: up to @len bytes of it into @data; their count, 0 at its end
 * @close_blob: ends a reading, complete or not
 *
 * Thread-safety: @manifest is called by the thread that is inside mvm_run() or mvm_pull(). The
 * others are called by that thread and by threads of the library, several at a time, each blob by
 * one thread at a time; all of them have returned when mvm_run() or mvm_pull() returns.
 *
 *     static int manifest(void *user, mvm_fetch *call, const char *reference, const char *platform)
 *     {
 *         struct my_store *store = user;
 *         const struct my_file *file = my_store_find(store, reference);
 *
 *         (void) platform;
 *         if (!file)
 *             return mvm_fetch_fail(call, MVM_E_NOT_FOUND, "my store has no such image");
 *         return mvm_fetch_set_manifest(call, file->data, file->size, file->media_type);
 *     }
 *
 *     mvm_options_set_fetcher(options, &MVM_FETCHER(.user = store, .manifest = manifest,
 *                                                   .open_blob = open_blob,
 *                                                   .read_blob = read_blob,
 *                                                   .close_blob = close_blob));
 */
typedef struct mvm_fetcher {
    uint32_t struct_size; /* set by MVM_FETCHER(); never by hand */
    uint32_t reserved;    /* 0 */
    void *user;
    int (*manifest)(void *user, mvm_fetch *call, const char *reference, const char *platform);
    int (*open_blob)(void *user, mvm_fetch *call, const char *reference, const char *digest,
                     uint64_t size, void **ret_blob);
    int64_t (*read_blob)(void *user, mvm_fetch *call, void *blob, void *data, size_t len);
    void (*close_blob)(void *user, void *blob);
} mvm_fetcher;
#define MVM_FETCHER(...) \
    ((mvm_fetcher){ .struct_size = sizeof(mvm_fetcher), .reserved = 0, __VA_ARGS__ })

/**
 * mvm_fetch_set_manifest - the document that was asked for, as it is
 * @media_type: of the document; NULL where it is not known, so that the document speaks for itself
 *
 * Copies both. Returns: 0; MVM_E_ARG; MVM_E_LIMIT above 8 MiB; MVM_E_NOMEM. Since: 0.1
 */
MVM_PUBLIC int mvm_fetch_set_manifest(mvm_fetch *call, const void *data, size_t size,
                                      const char *media_type);
/** mvm_fetch_fail - says why a function fails, in one line without a full stop. Returns: @code, or
 * MVM_E_ARG where that is no negative MVM_E_*. Since: 0.1 */
MVM_PUBLIC int mvm_fetch_fail(mvm_fetch *call, int code, const char *message);

/**
 * mvm_options_set_fetcher - where references come from
 * @fetcher: copied, but what @user points at stays the caller's, and must live as long as the
 *           options are used; NULL: registries and engines again
 *
 * Names with a transport ("oci:DIR", "docker-archive:FILE", ...) have that alone, as before.
 *
 * Returns: 0; MVM_E_ARG where a function is missing; MVM_E_UNSUPPORTED for a longer struct whose
 * tail is not zero.
 * Since:   0.1
 */
MVM_PUBLIC int mvm_options_set_fetcher(mvm_options *options, const mvm_fetcher *fetcher);

#ifdef __cplusplus
}
#endif

#endif
