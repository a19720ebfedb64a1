/* SPDX-License-Identifier: Apache-2.0 */
/* Reading text with a length: no call here reads past text + len, skips blanks or accepts a sign.
 */
#ifndef BASE_SCAN_H
#define BASE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All of the text is a decimal number of at most @max. */
bool scan_u64(const char *text, size_t len, uint64_t max, uint64_t *ret);
/* A number with an optional b, k, m, g or t (either case, an "i" or "b" may follow: "512m", "2G",
 * "1GiB"), powers of 1024; a bare number counts @unit bytes. Gives bytes. */
bool scan_size(const char *text, size_t len, uint64_t unit, uint64_t *ret);
/* A time span such as "90", "1.5s", "200ms", "5m", "1h30m"; a number alone counts seconds. Gives
 * milliseconds. */
bool scan_duration_ms(const char *text, size_t len, uint64_t *ret);
/* Length in bytes of the well-formed character (RFC 3629, 4) that the text starts with; 0 for none,
 * for a NUL and for a character that is cut off. */
size_t scan_utf8_char(const char *text, size_t len);
bool scan_has_prefix(const char *text, const char *prefix);
bool scan_is_utf8(const char *text, size_t len); /* well-formed UTF-8 (RFC 3629) without NUL */

#endif
