/* SPDX-License-Identifier: Apache-2.0 */
/* What libarchive passes over in the raw headers of an entry: it ends a name at its first NUL. */
#ifndef IMAGE_TAR_HEADERS_H
#define IMAGE_TAR_HEADERS_H

#include "base/error.h"

#include <stddef.h>

#define TAR_HEADER_LEN 512u
/* Most bytes of headers of one entry, the map of a sparse file included: a pax header of 1 MiB
 * (image.md I-190), and names and the entry itself beside it. libarchive keeps 80 bytes for each
 * part of a sparse file, which may take 4 bytes here. */
#define TAR_HEADERS_MAX ((1u << 20) + (64u << 10))

/* @raw: the headers of one entry, which libarchive has accepted, its own header the last. A name or
 * a link target with a NUL inside is MVM_E_FORMAT (image.md I-196). */
int tar_headers_check(const unsigned char *raw, size_t len, mvm_error **err);

#endif
