/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of a registry's answers, beside the challenge. */
#ifndef IMAGE_REGISTRY_HEADERS_H
#define IMAGE_REGISTRY_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

/* "bytes 5-9/10", with an asterisk for a total that is not known (RFC 9110, 14.4), with first <=
 * last < total. */
struct content_range {
    uint64_t first, last;
    uint64_t total; /* UINT64_MAX: not told */
};
bool content_range_parse(const char *value, struct content_range *ret);

/* The text of `299 AGENT "TEXT"` (RFC 7234, 5.5; distribution-spec, Warnings), unescaped; owned by
 * the caller. NULL for another code or form, and when out of memory. */
char *warning_text(const char *value);

/* Milliseconds to wait for a Retry-After of seconds or a date (RFC 9110, 10.2.3), at most
 * @max_ms; @otherwise_ms for what is neither. */
uint64_t retry_after_ms(const char *value, uint64_t max_ms, uint64_t otherwise_ms);

/* An entity tag that may stand in If-Range: a strong one (RFC 9110, 13.1.5). */
bool etag_is_strong(const char *value);

#endif
