/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keymap.h"

#define KEYMAP_SLOTS_MIN 256

/* The finalizer of MurmurHash3: each input bit changes each output bit with probability one half.
 */
uint64_t keymap_mix(uint64_t key)
{
    key ^= key >> 33;
    key *= UINT64_C(0xff51afd7ed558ccd);
    key ^= key >> 33;
    key *= UINT64_C(0xc4ceb9fe1a85ec53);
    return key ^ (key >> 33);
}

uint64_t keymap_hash(uint64_t seed, const char *name, size_t len)
{
    uint64_t h = seed ^ len;

    for (size_t i = 0; i < len; i++)
        h = keymap_mix(h ^ (unsigned char) name[i]) + seed;
    return h;
}

static struct keymap_slot *find(struct keymap_slot *slots, size_t n_slots, uint64_t key)
{
    size_t i = (size_t) keymap_mix(key) & (n_slots - 1);

    while (slots[i].used && slots[i].key != key)
        i = (i + 1) & (n_slots - 1);
    return &slots[i];
}

static int grow(struct keymap *map)
{
    size_t n = map->n_slots ? 2 * map->n_slots : KEYMAP_SLOTS_MIN;
    struct keymap_slot *slots = mem_array(n, sizeof(*slots));

    if (!slots)
        return -1;
    for (size_t i = 0; i < map->n_slots; i++)
        if (map->slots[i].used)
            *find(slots, n, map->slots[i].key) = map->slots[i];
    free(map->slots);
    map->slots = slots;
    map->n_slots = n;
    return 0;
}

int keymap_set(struct keymap *map, uint64_t key, uint32_t value)
{
    struct keymap_slot *slot;

    /* At most two thirds full, so that a search ends soon. */
    if (map->n_used + 1 > map->n_slots / 3 * 2 && grow(map) < 0)
        return -1;
    slot = find(map->slots, map->n_slots, key);
    map->n_used += slot->used ? 0 : 1;
    *slot = (struct keymap_slot){ .key = key, .value = value, .used = 1 };
    return 0;
}

bool keymap_get(const struct keymap *map, uint64_t key, uint32_t *ret)
{
    const struct keymap_slot *slot = map->n_slots ? find(map->slots, map->n_slots, key) : NULL;

    if (!slot || !slot->used)
        return false;
    *ret = slot->value;
    return true;
}

void keymap_deinit(struct keymap *map)
{
    free(map->slots);
    *map = (struct keymap){ 0 };
}
