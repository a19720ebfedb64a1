/* SPDX-License-Identifier: Apache-2.0 */
#include "environment.h"

/* Length of the name in "NAME=value"; 0 when it is no such entry. */
static size_t name_length(const char *entry)
{
    const char *equals = strchr(entry, '=');

    return equals ? (size_t) (equals - entry) : 0;
}

/* Orders by name; equal names by their place in the list. */
static int compare_entries(const void *a, const void *b)
{
    char *const *left = *(char *const *const *) a, *const *right = *(char *const *const *) b;
    size_t left_len = name_length(*left), right_len = name_length(*right);
    int r = memcmp(*left, *right, left_len < right_len ? left_len : right_len);

    if (r != 0)
        return r;
    if (left_len != right_len)
        return left_len < right_len ? -1 : 1;
    return left < right ? -1 : left > right;
}

/* Marks the entries to keep: those that are the last of their name. A list may be long, so they are
 * sorted instead of being compared each with each. */
static int mark_last(const struct strv *list, bool *keep, mvm_error **err)
{
    mvm_autofree char ***order = mem_array(list->n, sizeof(*order));

    if (!order)
        return mvm_fail_nomem(err);
    for (size_t i = 0; i < list->n; i++)
        order[i] = &list->items[i];
    qsort(order, list->n, sizeof(*order), compare_entries);
    for (size_t i = 0; i < list->n; i++) {
        size_t len = name_length(*order[i]);
        bool last = i + 1 == list->n || name_length(*order[i + 1]) != len ||
                    memcmp(*order[i], *order[i + 1], len) != 0;

        keep[order[i] - list->items] = last && len > 0;
    }
    return 0;
}

const char *environment_get(const struct strv *env, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < env->n; i++)
        if (strncmp(env->items[i], name, len) == 0 && env->items[i][len] == '=')
            return env->items[i] + len + 1;
    return NULL;
}

static int add_default(struct strv *env, const char *name, const char *value, mvm_error **err)
{
    if (!value || environment_get(env, name))
        return 0;
    return strv_addf(env, "%s=%s", name, value) < 0 ? mvm_fail_nomem(err) : 0;
}

int environment_build(const struct strv *list, const struct environment_defaults *defaults,
                      struct strv *ret, mvm_error **err)
{
    const char *const pairs[][2] = {
        { "PATH", ENVIRONMENT_PATH_DEFAULT },
        { "HOME", defaults->home },
        { "HOSTNAME", defaults->hostname },
        { "TERM", defaults->term },
    };
    mvm_autofree bool *keep = mem_array(list->n, sizeof(*keep));
    mvm_autovalue(strv) env = { .items = NULL };
    int r;

    if (!keep)
        return mvm_fail_nomem(err);
    r = mark_last(list, keep, err);
    for (size_t i = 0; i < list->n && r == 0; i++)
        if (keep[i] && strv_add(&env, list->items[i]) < 0)
            r = mvm_fail_nomem(err);
    for (size_t i = 0; i < ARRAY_SIZE(pairs) && r == 0; i++)
        r = add_default(&env, pairs[i][0], pairs[i][1], err);
    if (r < 0)
        return r;
    *ret = env;
    env = (struct strv){ .items = NULL };
    return 0;
}

bool environment_next_program(const char **path, const char *name, char *out, size_t size)
{
    while (*path) {
        const char *dir = *path;
        size_t len = strcspn(dir, ":");
        int n;

        *path = dir[len] == ':' ? dir + len + 1 : NULL;
        if (strchr(name, '/')) {
            *path = NULL;
            n = snprintf(out, size, "%s", name);
        } else if (len >= size) {
            continue;
        } else {
            /* POSIX: an empty entry is the working directory. */
            n = snprintf(out, size, "%.*s/%s", len > 0 ? (int) len : 1, len > 0 ? dir : ".", name);
        }
        if (n >= 0 && (size_t) n < size)
            return true;
    }
    return false;
}
