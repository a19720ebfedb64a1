/* SPDX-License-Identifier: Apache-2.0 */
#include "base/scan.h"
#include "image/layer-convert-internal.h"

/* Only what has a meaning inside the guest is carried over (image.md I-230): an image has no
 * business with the labels of a host's security modules, nor with the notes of the overlayfs that
 * the guest's root is. No program sees these, and one that an image brings makes a file unreadable
 * ("metacopy"). */
static bool xattr_is_wanted(const char *name)
{
    if (scan_has_prefix(name, "trusted.overlay."))
        return false;
    return scan_has_prefix(name, "user.") || scan_has_prefix(name, "trusted.") ||
           strcmp(name, "security.capability") == 0 ||
           strcmp(name, "system.posix_acl_access") == 0 ||
           strcmp(name, "system.posix_acl_default") == 0;
}

static int check_xattr(const struct tar_xattr *x, mvm_error **err)
{
    size_t len = strlen(x->name);

    if (strcmp(x->name, "user.") == 0 || strcmp(x->name, "trusted.") == 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "an extended attribute '%s' without a name", x->name);
    if (len > LAYER_XATTR_NAME_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0,
                        "the name of an extended attribute has %zu bytes, the limit is %u", len,
                        LAYER_XATTR_NAME_MAX);
    if (x->size > LAYER_XATTR_VALUE_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0,
                        "the extended attribute '%.256s' has %zu bytes, the limit is %u", x->name,
                        x->size, LAYER_XATTR_VALUE_MAX);
    return 0;
}

/* By name; of equal ones the one that counts first. */
static int compare_found(const void *a, const void *b)
{
    const struct convert_xattr *x = a, *y = b;
    int order = strcmp(x->x.name, y->x.name);

    return order ? order : x->order < y->order ? -1 : 1;
}

static int find_xattrs(struct convert *c, size_t *ret_n, mvm_error **err)
{
    const size_t max = c->budget->limits.xattr_bytes;
    struct tar_xattr x = { 0 };
    size_t used = 0, n = 0;

    while (tar_reader_next_xattr(c->tar, &x)) {
        size_t len = strlen(x.name);
        int r;

        if (len > max - used || x.size > max - used - len)
            return mvm_fail(err, MVM_E_LIMIT, 0, "more than %zu bytes of extended attributes", max);
        used += len + x.size;
        if (!xattr_is_wanted(x.name))
            continue;
        r = check_xattr(&x, err);
        if (r < 0)
            return r;
        if (mem_grow(&c->found, &c->found_cap, n, sizeof(*c->found)) < 0)
            return mvm_fail_nomem(err);
        c->found[n] = (struct convert_xattr){
            .x = { .name = x.name, .value = x.value, .value_len = (uint32_t) x.size }, .order = n
        };
        n++;
    }
    *ret_n = n;
    return 0;
}

int convert_xattrs(struct convert *c, struct layer_record *record, mvm_error **err)
{
    size_t n = 0, kept = 0;
    int r = find_xattrs(c, &n, err);

    if (r < 0 || n == 0)
        return r;
    qsort(c->found, n, sizeof(*c->found), compare_found);
    if (mem_grow(&c->xattrs, &c->xattrs_cap, n - 1, sizeof(*c->xattrs)) < 0)
        return mvm_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(c->found[i - 1].x.name, c->found[i].x.name) != 0)
            c->xattrs[kept++] = c->found[i].x;
    if (kept > UINT16_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%zu extended attributes, the limit is %u", kept,
                        UINT16_MAX);
    record->xattrs = c->xattrs;
    record->n_xattrs = (uint16_t) kept;
    return 0;
}
