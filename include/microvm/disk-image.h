/* SPDX-License-Identifier: Apache-2.0 */
/* Disk images: one file from the network, for whoever boots a disk of their own. */
#ifndef MICROVM_DISK_IMAGE_H
#define MICROVM_DISK_IMAGE_H

#include <microvm/error.h>
#include <microvm/options.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a disk image is fetched; zero means default. */
typedef struct mvm_disk_image_options {
    uint32_t struct_size; /* set by MVM_DISK_IMAGE_OPTIONS(); never by hand */
    uint32_t reserved;    /* 0 */
    const char *sha256;   /* of the file as the server has it: 64 hex digits; NULL: not compared */
    uint64_t max_bytes;   /* of the file as the server has it, and again of what it inflates to;
                           * 0: 64 GiB */
    mvm_progress_fn *progress; /* phase 3; a non-zero result cancels */
    void *progress_user;
    mvm_log_fn *log; /* warnings: a file in the cache that is not what it should be */
    void *log_user;
} mvm_disk_image_options;
#define MVM_DISK_IMAGE_OPTIONS(...) \
    ((mvm_disk_image_options){      \
        .struct_size = sizeof(mvm_disk_image_options), .reserved = 0, __VA_ARGS__ })

/**
 * mvm_disk_image_fetch - download a disk image, or find it downloaded
 * @url:      http or https; redirects are followed, but not from https to http
 * @dir:      absolute path of the folder that keeps images; made with mode 0700 where it is missing
 * @options:  NULL for the defaults
 * @ret_path: on success, the image's path, for free()
 * @err:      receives the reason of a failure; may be NULL
 *
 * What arrives is inflated meanwhile when its first bytes say gzip, bzip2, xz or zstd; blocks of
 * zeros become holes. The file appears under its name, made of the whole URL's hash and its last
 * component, only once all of it is there, was compared with @sha256, and is on the disk. A file
 * that is there already is returned at once; with @sha256 it is read again first, and fetched anew
 * if it was changed.
 *
 * A download that breaks off goes on where it ended, in this call after a while (status 408, 429
 * and 5xx, failures of the network: five times without a single byte more), in a later call even
 * after this process was killed, as long as the server still has the same file. Two processes that
 * fetch the same image do it once: the second waits.
 *
 * Returns: 0; MVM_E_ARG; MVM_E_NET: no answer, or a status that is none of success; MVM_E_NOT_FOUND
 *          for status 404 and 410; MVM_E_DIGEST; MVM_E_FORMAT: it cannot be inflated; MVM_E_LIMIT;
 *          MVM_E_CANCELLED; MVM_E_SYS; MVM_E_NOMEM.
 * Thread-safety: any thread, several at a time.
 * Since:   0.1
 */
MVM_PUBLIC int mvm_disk_image_fetch(const char *url, const char *dir,
                                    const mvm_disk_image_options *options, char **ret_path,
                                    mvm_error **err);

#ifdef __cplusplus
}
#endif

#endif
