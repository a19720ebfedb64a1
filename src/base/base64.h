/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648, 4), padded or not. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* *ret is owned by the caller and NUL-ended besides. False for other characters, for a length that
 * cannot be, and when out of memory. */
bool base64_decode(const char *text, size_t len, char **ret, size_t *ret_len);
/* Padded; owned by the caller; NULL when out of memory. */
char *base64_encode(const char *data, size_t len);

#endif
