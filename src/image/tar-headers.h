/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be known of the raw headers of an entry beside what libarchive tells: it ends a name
 * at its first NUL, and takes a time that grows with the square of an ACL's length. */
#ifndef IMAGE_TAR_HEADERS_H
#define IMAGE_TAR_HEADERS_H

#include "base/error.h"

#include <stddef.h>

#define TAR_HEADER_LEN 512u
/* Most bytes of headers of one entry, the map of a sparse file included: a pax header of 1 MiB
 * (image.md I-190), and names and the entry itself beside it. libarchive keeps 80 bytes for each
 * part of a sparse file, which may take 4 bytes here. */
#define TAR_HEADERS_MAX ((1u << 20) + (64u << 10))

/* Most bytes of the ACLs of one entry, as what an entry's attributes may have (image.md I-202). */
#define TAR_HEADERS_ACL_MAX (64u << 10)

/* @raw: the headers of one entry, its own header the last. A name or a link target with a NUL
 * inside is MVM_E_FORMAT (image.md I-196), a global header that changes entries
 * MVM_E_UNSUPPORTED. */
int tar_headers_check(const unsigned char *raw, size_t len, mvm_error **err);
/* The same before libarchive reads them, as far as they are there: what is cut is no error, and
 * what follows them may be there too. */
int tar_headers_check_begun(const unsigned char *raw, size_t len, mvm_error **err);

#endif
