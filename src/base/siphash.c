/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"

#include "base/le.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

uint64_t siphash(const struct siphash_key *key, const void *data, size_t len)
{
    struct sip s = { .v0 = key->k0 ^ UINT64_C(0x736f6d6570736575),
                     .v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d),
                     .v2 = key->k0 ^ UINT64_C(0x6c7967656e657261),
                     .v3 = key->k1 ^ UINT64_C(0x7465646279746573) };
    const unsigned char *p = data;
    uint64_t last = (uint64_t) len << 56;
    size_t words = len / 8;

    for (size_t i = 0; i < words; i++, p += 8)
        sip_word(&s, le64_get(p));
    for (size_t i = 0; i < len % 8; i++)
        last |= (uint64_t) p[i] << (8 * i);
    sip_word(&s, last);
    s.v2 ^= 0xff;
    for (unsigned i = 0; i < 4; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
