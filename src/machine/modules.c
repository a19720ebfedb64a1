/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/modules.h"

#include <stdbool.h>

/* A chain of modules that need each other; real ones have 6. Also what ends a cycle. */
#define MODULES_DEPTH_MAX 32

struct resolver {
    const struct modules_list *list;
    modules_info_fn *info;
    void *user;
    struct strv *order; /* borrowed */
    const char *chain[MODULES_DEPTH_MAX];
    unsigned depth;
};

void modules_list_deinit(struct modules_list *l)
{
    strv_deinit(&l->paths);
    strv_deinit(&l->builtin);
}

int modules_parse_list(const char *text, size_t len, struct strv *ret, mvm_error **err)
{
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t) (end - text) - at : len - at;

        if (n > 0 && strv_addn(ret, text + at, n) < 0)
            return mvm_fail_nomem(err);
        at += n + 1;
    }
    return 0;
}

/* @path is ".../<name>.ko" */
static bool path_has_name(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    const char *file = slash ? slash + 1 : path;
    size_t len = strlen(name);

    if (strlen(file) != len + 3 || strcmp(file + len, ".ko") != 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((file[i] == '-' ? '_' : file[i]) != (name[i] == '-' ? '_' : name[i]))
            return false;
    return true;
}

static const char *find_path(const struct strv *paths, const char *name)
{
    for (size_t i = 0; i < paths->n; i++)
        if (path_has_name(paths->items[i], name))
            return paths->items[i];
    return NULL;
}

static int resolve_name(struct resolver *rs, const char *name, bool optional, mvm_error **err);

static int resolve_needs(struct resolver *rs, const char *path, mvm_error **err)
{
    mvm_autovalue(modinfo) info = { .depends = { .n = 0 } };
    int r = rs->info(rs->user, path, &info, err);

    for (size_t i = 0; r == 0 && i < info.soft_pre.n; i++)
        r = resolve_name(rs, info.soft_pre.items[i], true, err);
    for (size_t i = 0; r == 0 && i < info.depends.n; i++)
        r = resolve_name(rs, info.depends.items[i], false, err);
    return r;
}

static int missing(const struct resolver *rs, const char *name, mvm_error **err)
{
    const char *by = rs->depth > 0 ? rs->chain[rs->depth - 1] : NULL;

    return mvm_fail(err, MVM_E_NOT_FOUND, 0, "the kernel has no module '%s'%s%s", name,
                    by ? ", needed by " : "", by ? by : "");
}

static int resolve_name(struct resolver *rs, const char *name, bool optional, mvm_error **err)
{
    const char *path = find_path(&rs->list->paths, name);
    int r;

    if (find_path(rs->order, name))
        return 0;
    if (!path)
        return optional || find_path(&rs->list->builtin, name) ? 0 : missing(rs, name, err);
    for (unsigned i = 0; i < rs->depth; i++)
        if (rs->chain[i] == path)
            return mvm_fail(err, MVM_E_FORMAT, 0, "modules need each other in a circle: %s", path);
    if (rs->depth == MODULES_DEPTH_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "module dependencies deeper than %d: %s",
                        MODULES_DEPTH_MAX, path);
    rs->chain[rs->depth++] = path;
    r = resolve_needs(rs, path, err);
    rs->depth--;
    if (r == 0 && strv_add(rs->order, path) < 0)
        r = mvm_fail_nomem(err);
    return r;
}

int modules_resolve(const struct modules_list *list, const char *const *names, size_t n,
                    modules_info_fn *info, void *user, struct strv *ret, mvm_error **err)
{
    mvm_autovalue(strv) order = { .n = 0 };
    struct resolver rs = { .list = list, .info = info, .user = user, .order = &order };
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = resolve_name(&rs, names[i], false, err);
    if (r == 0 && strv_copy(ret, &order) < 0)
        r = mvm_fail_nomem(err);
    return r;
}
