/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-64 (ECMA-182, reflected; "CRC-64/XZ"): tells a damaged file, and is no defence against one
 * that was made to deceive. The sum of nothing is 0.
 */
#ifndef BASE_CRC64_H
#define BASE_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* The sum of what @crc is the sum of, and @len more bytes. */
uint64_t crc64_add(uint64_t crc, const void *data, size_t len);
/* The same for @n zeros, in logarithmic time: holes of sparse files. */
uint64_t crc64_add_zeros(uint64_t crc, uint64_t n);
/* The sum of two pieces after each other, the second @len long. */
uint64_t crc64_join(uint64_t first, uint64_t second, uint64_t len);

#endif
