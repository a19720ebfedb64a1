/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian numbers at any address: wire formats are read and written with these. */
#ifndef BASE_LE_H
#define BASE_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t le16_get(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return le16toh(v);
}

static inline uint32_t le32_get(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static inline uint64_t le64_get(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static inline void le16_put(void *p, uint16_t value)
{
    uint16_t v = htole16(value);

    memcpy(p, &v, sizeof(v));
}

static inline void le32_put(void *p, uint32_t value)
{
    uint32_t v = htole32(value);

    memcpy(p, &v, sizeof(v));
}

static inline void le64_put(void *p, uint64_t value)
{
    uint64_t v = htole64(value);

    memcpy(p, &v, sizeof(v));
}

#endif
