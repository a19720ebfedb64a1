/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table from 64-bit keys to 32-bit values, for up to millions of entries. Keys are never
 * removed alone. */
#ifndef AGENT_KEYMAP_H
#define AGENT_KEYMAP_H

#include "base/mem.h"

#include <stdbool.h>

struct keymap_slot {
    uint64_t key;
    uint32_t value;
    uint32_t used;
};
struct keymap {
    struct keymap_slot *slots; /* owned */
    size_t n_slots;            /* 0 or a power of two */
    size_t n_used;
};

/* 0, or -1 when out of memory; an existing key gets the new value. */
int keymap_set(struct keymap *map, uint64_t key, uint32_t value);
bool keymap_get(const struct keymap *map, uint64_t key, uint32_t *ret);
void keymap_deinit(struct keymap *map); /* empties it; twice is fine */
/* Mixes all bits, so that keys such as inode numbers spread. */
uint64_t keymap_mix(uint64_t key);
/* A hash of @name with @seed, which an enemy who chooses the names must not know. */
uint64_t keymap_hash(uint64_t seed, const char *name, size_t len);

#endif
