/* SPDX-License-Identifier: Apache-2.0 */
#include "image/archive-name.h"

#include "image/archive-index.h"

#include <stdbool.h>

/* Appends the components of @name to @out, which has room; false: "..", beyond the top. */
static bool add_components(char *out, size_t *len, const char *name)
{
    while (*name) {
        size_t n = strcspn(name, "/");

        if (n == 2 && name[0] == '.' && name[1] == '.') {
            if (*len == 0)
                return false;
            while (*len > 0 && out[--*len] != '/')
                ;
        } else if (n > 0 && !(n == 1 && name[0] == '.')) {
            if (*len > 0)
                out[(*len)++] = '/';
            memcpy(out + *len, name, n);
            *len += n;
        }
        name += n + (name[n] == '/');
    }
    return true;
}

int archive_name_resolve(const char *from, const char *name, char **ret, mvm_error **err)
{
    const char *slash = from ? strrchr(from, '/') : NULL;
    size_t folder = slash ? (size_t) (slash - from) : 0;
    size_t len = strlen(name);
    mvm_autofree char *out = NULL;

    if (len > ARCHIVE_NAME_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "'%.64s...': a name of %zu bytes, the limit is %d",
                        name, len, ARCHIVE_NAME_MAX);
    out = malloc(folder + len + 2);
    if (!out)
        return mvm_fail_nomem(err);
    if (folder > 0)
        memcpy(out, from, folder);
    if (name[0] == '/')
        folder = 0;
    if (!add_components(out, &folder, name))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%.256s' leads out of the archive", name);
    out[folder] = '\0';
    *ret = steal_ptr(&out);
    return 0;
}
