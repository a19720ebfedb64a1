/* SPDX-License-Identifier: Apache-2.0 */
/* The names of tar entries. */
#include "image/unpack-internal.h"

#include <limits.h>

static int check_component(const char *c, size_t n, mvm_error **err)
{
    if (n == 2 && c[0] == '.' && c[1] == '.')
        return mvm_fail(err, MVM_E_FORMAT, 0, "the name climbs out of the image with '..'");
    if (n > NAME_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0,
                        "a component of the name has %zu bytes, the limit is %d", n, NAME_MAX);
    return 0;
}

int unpack_normal_name(const char *name, size_t depth_max, char **ret, mvm_error **err)
{
    size_t len = strlen(name), out = 0, depth = 0;
    mvm_autofree char *made = NULL;

    if (len == 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the name is empty");
    if (len > WALK_NAME_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "the name has %zu bytes, the limit is %d", len,
                        WALK_NAME_MAX);
    /* "/" alone is the root, which some builders write so; any other absolute name wants to leave
     * it. */
    if (name[0] == '/' && strspn(name, "/") < len)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the name is absolute");
    made = malloc(len + 1);
    if (!made)
        return mvm_fail_nomem(err);
    for (const char *c = name; *c;) {
        size_t n = strcspn(c, "/");
        int r = check_component(c, n, err);

        if (r < 0)
            return r;
        if (n > 0 && !(n == 1 && c[0] == '.')) {
            if (++depth > depth_max)
                return mvm_fail(err, MVM_E_LIMIT, 0, "the name has more than %zu components",
                                depth_max);
            if (out > 0)
                made[out++] = '/';
            memcpy(made + out, c, n);
            out += n;
        }
        c += n + (c[n] == '/' ? 1 : 0);
    }
    made[out] = '\0';
    *ret = steal_ptr(&made);
    return 0;
}

int unpack_split(const char *path, char **ret_parent, const char **ret_name, mvm_error **err)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash ? strndup(path, (size_t) (slash - path)) : strdup("");

    if (!parent)
        return mvm_fail_nomem(err);
    *ret_parent = parent;
    *ret_name = slash ? slash + 1 : *path ? path : NULL;
    return 0;
}
