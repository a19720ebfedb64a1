/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/root-extents.h"

#define KEY "root_extents"

void root_extents_deinit(struct root_extents *e)
{
    for (size_t i = 0; i < e->n; i++)
        free(e->items[i].path);
    free(e->items);
    *e = (struct root_extents){ .items = NULL };
}

bool root_extents_encode(const struct root_extents *e, json_t *j)
{
    json_t *array;

    if (e->n == 0)
        return true;
    array = json_array();
    for (size_t i = 0; i < e->n; i++)
        if (json_array_append_new(array, json_pack("{s:s,s:I}", "path", e->items[i].path, "size",
                                                   (json_int_t) e->items[i].size)) < 0) {
            json_decref(array);
            return false;
        }
    return json_object_set_new(j, KEY, array) == 0;
}

static int decode_one(const json_t *j, struct machine_extent *ret, mvm_error **err)
{
    const char *path = NULL;
    uint64_t size = 0;
    int r;

    if (!json_is_object(j))
        return mvm_fail(err, MVM_E_FORMAT, 0, "not an object");
    r = json_need_str(j, "path", &path, err);
    if (r == 0)
        r = json_get_u64(j, "size", INT64_MAX, &size, err);
    if (r < 0)
        return r;
    if (size == 0 || size % MACHINE_EXTENT_ALIGN != 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "size %llu is not a multiple of %d above 0",
                        (unsigned long long) size, MACHINE_EXTENT_ALIGN);
    ret->path = strdup(path);
    ret->size = size;
    return ret->path ? 0 : mvm_fail_nomem(err);
}

static int decode_array(const json_t *array, struct root_extents *e, mvm_error **err)
{
    size_t n = json_array_size(array);
    uint64_t total = 0;

    if (n < 2 || n > MACHINE_EXTENTS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "key '" KEY "' has %zu entries: 2 to %d are possible",
                        n, MACHINE_EXTENTS_MAX);
    e->items = mem_array(n, sizeof(*e->items));
    if (!e->items)
        return mvm_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        int r = decode_one(json_array_get(array, i), &e->items[i], err);

        if (r == 0 && e->items[i].size > INT64_MAX - total)
            r = mvm_fail(err, MVM_E_LIMIT, 0, "the disk has more bytes than a file can have");
        e->n = i + 1;
        if (r < 0)
            return mvm_context(err, r, "key '" KEY "', entry %zu", i + 1);
        total += e->items[i].size;
    }
    return 0;
}

int root_extents_decode(const json_t *j, const char *root_path, struct root_extents *ret,
                        mvm_error **err)
{
    mvm_autovalue(root_extents) e = { .items = NULL };
    json_t *array = NULL;
    int r = json_get_array(j, KEY, &array, err);

    if (r == 0 && array)
        r = decode_array(array, &e, err);
    if (r < 0)
        return r;
    if (e.n > 0 && strcmp(e.items[0].path, root_path) != 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "key '" KEY "' begins with '%s', not with '%s'",
                        e.items[0].path, root_path);
    *ret = e;
    e = (struct root_extents){ .items = NULL };
    return 0;
}
