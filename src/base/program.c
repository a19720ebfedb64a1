/* SPDX-License-Identifier: Apache-2.0 */
#include "base/program.h"

#include "base/mem.h"
#include "base/path.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The folder of the running program, with a slash at its end; "" when unknown. */
static void own_folder(char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    char *slash;

    out[n > 0 ? n : 0] = '\0';
    slash = strrchr(out, '/');
    out[slash ? slash - out : 0] = '\0';
}

int program_find(const char *env, const char *name, const char *installed, char **ret,
                 mvm_error **err)
{
    mvm_autofree char *beside = NULL;
    mvm_autofree char *there = NULL;
    const char *given = getenv(env);
    char folder[PATH_MAX / 2];

    if (given && *given) {
        if (!is_file(given))
            return mvm_fail(err, MVM_E_NOT_FOUND, 0, "%s: '%s' (from $%s) is not a file", name,
                            given, env);
        *ret = strdup(given);
        return *ret ? 0 : mvm_fail_nomem(err);
    }
    own_folder(folder, sizeof(folder));
    beside = path_join(folder, name);
    there = path_join(installed, name);
    if (!beside || !there)
        return mvm_fail_nomem(err);
    if (is_file(beside))
        *ret = steal_ptr(&beside);
    else if (is_file(there))
        *ret = steal_ptr(&there);
    else
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "%s is neither in '%s' nor in '%s'", name, folder,
                        installed);
    return 0;
}
