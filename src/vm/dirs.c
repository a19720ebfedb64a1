/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/dirs.h"

#include "base/path.h"
#include "base/program.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sys/stat.h>

/* Room for getpwuid_r()'s strings. */
#define PASSWD_BUFFER 4096

void dirs_deinit(struct dirs *d)
{
    free(d->cache);
    free(d->vms);
    *d = (struct dirs){ .cache = NULL };
}

static const char *env_absolute(const char *name)
{
    const char *value = getenv(name);

    return value && value[0] == '/' ? value : NULL;
}

static int home_dir(char **ret, mvm_error **err)
{
    const char *home = env_absolute("HOME");
    char buffer[PASSWD_BUFFER];
    struct passwd entry, *found = NULL;

    if (!home && getpwuid_r(getuid(), &entry, buffer, sizeof(buffer), &found) == 0 && found &&
        entry.pw_dir[0] == '/')
        home = entry.pw_dir;
    if (!home)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "no home folder: set HOME or MICROVM_DATA_DIR");
    *ret = strdup(home);
    return *ret ? 0 : mvm_fail_nomem(err);
}

/* $@env/@below, or ~/@fallback/@below. */
static int xdg_dir(const char *env, const char *fallback, const char *below, char **ret,
                   mvm_error **err)
{
    mvm_autofree char *home = NULL;
    mvm_autofree char *base = NULL;
    const char *value = env_absolute(env);
    int r;

    if (!value) {
        r = home_dir(&home, err);
        if (r < 0)
            return r;
        base = path_join(home, fallback);
        if (!base)
            return mvm_fail_nomem(err);
        value = base;
    }
    *ret = path_join(value, below);
    return *ret ? 0 : mvm_fail_nomem(err);
}

static int dirs_below(struct dirs *d, const char *data_dir, mvm_error **err)
{
    mvm_autofree char *cwd = NULL;
    mvm_autofree char *absolute = NULL;

    if (data_dir[0] != '/') {
        cwd = getcwd(NULL, 0);
        if (!cwd)
            return mvm_fail(err, MVM_E_SYS, errno, "find the working folder");
        absolute = path_join(cwd, data_dir);
        if (!absolute)
            return mvm_fail_nomem(err);
        data_dir = absolute;
    }
    d->cache = path_join(data_dir, "cache");
    d->vms = path_join(data_dir, "vms");
    return d->cache && d->vms ? 0 : mvm_fail_nomem(err);
}

int dirs_init(struct dirs *ret, const char *data_dir, mvm_error **err)
{
    mvm_autovalue(dirs) d = { .cache = NULL };
    int r;

    if (!data_dir)
        data_dir = getenv("MICROVM_DATA_DIR");
    if (data_dir && *data_dir) {
        r = dirs_below(&d, data_dir, err);
    } else {
        r = xdg_dir("XDG_CACHE_HOME", ".cache", "microvm", &d.cache, err);
        if (r == 0)
            r = xdg_dir("XDG_STATE_HOME", ".local/state", "microvm/vms", &d.vms, err);
    }
    if (r < 0)
        return r;
    *ret = d;
    d = (struct dirs){ .cache = NULL };
    return 0;
}

int dirs_find_runner(char **ret, mvm_error **err)
{
    return program_find("MICROVM_RUNNER", "microvm-runner", MICROVM_LIBEXECDIR, ret, err);
}

int dirs_find_init(char **ret, mvm_error **err)
{
    return program_find("MICROVM_INIT", "microvm-init", MICROVM_LIBDIR, ret, err);
}

const char *dirs_lib(void)
{
    return MICROVM_LIBDIR;
}
