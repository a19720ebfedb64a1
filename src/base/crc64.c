/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc64.h"

#include <isa-l/crc64.h>

/* ECMA-182's polynomial, its bits reversed: bit 63 is x^0. */
#define CRC64_POLYNOMIAL UINT64_C(0xc96c5795d7870f42)
#define CRC64_ONE (UINT64_C(1) << 63)
/* x^8: one byte of zeros. */
#define CRC64_BYTE (CRC64_ONE >> 8)
/* Fewer zeros than this are added as bytes, which is faster. */
#define CRC64_ZEROS_DIRECT 4096u

uint64_t crc64_add(uint64_t crc, const void *data, size_t len)
{
    return len > 0 ? crc64_ecma_refl(crc, data, len) : crc;
}

/* a * b modulo the polynomial. */
static uint64_t multiply(uint64_t a, uint64_t b)
{
    uint64_t product = 0;

    for (uint64_t bit = CRC64_ONE; bit; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = (b >> 1) ^ (CRC64_POLYNOMIAL & -(b & 1));
    }
    return product;
}

/* @crc * x^(8 * n): what appending @n zeros makes of a remainder. */
static uint64_t shift(uint64_t crc, uint64_t n)
{
    for (uint64_t power = CRC64_BYTE; n; n >>= 1, power = multiply(power, power))
        if (n & 1)
            crc = multiply(crc, power);
    return crc;
}

uint64_t crc64_add_zeros(uint64_t crc, uint64_t n)
{
    static const unsigned char zeros[CRC64_ZEROS_DIRECT];

    if (n <= sizeof(zeros))
        return crc64_add(crc, zeros, (size_t) n);
    /* The sum is the remainder inverted before and after. */
    return ~shift(~crc, n);
}

uint64_t crc64_join(uint64_t first, uint64_t second, uint64_t len)
{
    return shift(first, len) ^ second;
}
