/* SPDX-License-Identifier: Apache-2.0 */
/* A disk image in a folder that keeps them: under a name of its own, beside a hidden file that
 * says what it is (".NAME.json"). */
#ifndef IMAGE_DISK_IMAGE_H
#define IMAGE_DISK_IMAGE_H

#include "base/digest.h"
#include "image/image.h"

/* Inflated or not, unless the caller says otherwise: cloud images have 2 to 40 GiB. */
#define DISK_MAX_DEFAULT (UINT64_C(64) << 30)
/* Most characters that a name takes over from its URL. */
#define DISK_BASE_MAX 100

struct disk_fetch { /* all borrowed */
    const char *url;
    const char *dir;             /* absolute */
    const struct digest *sha256; /* of the file as the server has it; NULL: not compared */
    uint64_t max_bytes;
    image_progress_fn *progress;
    void *progress_user;
    const struct log *log;
};
/* *ret is the image's path, owned by the caller. */
int disk_image_fetch(const struct disk_fetch *fetch, char **ret, mvm_error **err);

/* "<16 hex of the URL's sha256>-<last component of its path, without .gz, .bz2, .xz, .zst>". */
int disk_image_name(const char *url, char **ret, mvm_error **err);

#endif
