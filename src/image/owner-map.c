/* SPDX-License-Identifier: Apache-2.0 */
#include "image/owner-map.h"

int owner_map_set(struct owner_map *map, uint64_t ino, const struct owner_record *record)
{
    uint32_t index;

    if (keymap_get(&map->index, ino, &index)) {
        map->records[index] = *record;
        return 0;
    }
    if (mem_grow(&map->records, &map->cap, map->n_records, sizeof(*map->records)) < 0 ||
        keymap_set(&map->index, ino, (uint32_t) map->n_records) < 0)
        return -1;
    map->records[map->n_records++] = *record;
    return 0;
}

struct owner_record owner_map_get(const struct owner_map *map, uint64_t ino)
{
    uint32_t index;

    return keymap_get(&map->index, ino, &index) ? map->records[index] : (struct owner_record){ 0 };
}

void owner_map_deinit(struct owner_map *map)
{
    keymap_deinit(&map->index);
    free(map->records);
    *map = (struct owner_map){ 0 };
}
