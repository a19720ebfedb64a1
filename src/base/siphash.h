/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4 (Aumasson and Bernstein, 2012): a hash whose collisions nobody finds who does not
 * know the key, for tables whose names an enemy may choose. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
    uint64_t k0, k1;
};
uint64_t siphash(const struct siphash_key *key, const void *data, size_t len);

#endif
