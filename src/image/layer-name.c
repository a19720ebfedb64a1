/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer-name.h"

#include "base/scan.h"

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
/* Bookkeeping of AUFS, which old builders left in layers. */
#define WHITEOUT_AUFS ".wh..wh."

static int check_component(size_t n, mvm_error **err)
{
    if (n > LAYER_NAME_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0,
                        "a component of the name has %zu bytes, the limit is %u", n,
                        LAYER_NAME_MAX);
    return 0;
}

static int check_name(const char *name, size_t len, mvm_error **err)
{
    if (len == 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the name is empty");
    if (len > LAYER_PATH_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "the name has %zu bytes, the limit is %u", len,
                        LAYER_PATH_MAX);
    if (memchr(name, '\n', len))
        return mvm_fail(err, MVM_E_FORMAT, 0, "the name has a newline");
    return 0;
}

static void cut(struct layer_path *path, size_t len)
{
    path->len = len;
    path->text[len] = '\0';
}

static void append(struct layer_path *path, const char *c, size_t n)
{
    if (path->len > 0)
        path->text[path->len++] = '/';
    memcpy(path->text + path->len, c, n);
    cut(path, path->len + n);
}

static void remove_last(struct layer_path *path)
{
    const char *slash = strrchr(path->text, '/');

    cut(path, slash ? (size_t) (slash - path->text) : 0);
}

int layer_path_set(struct layer_path *path, const char *name, size_t depth_max, mvm_error **err)
{
    size_t depth = 0;
    int r = check_name(name, strlen(name), err);

    if (r < 0)
        return r;
    cut(path, 0);
    for (const char *c = name; *c;) {
        size_t n = strcspn(c, "/");

        r = check_component(n, err);
        if (r < 0)
            return r;
        if (n == 2 && c[0] == '.' && c[1] == '.') {
            if (depth == 0 && name[0] != '/')
                return mvm_fail(err, MVM_E_FORMAT, 0, "the name climbs out of the image with '..'");
            remove_last(path);
            depth -= depth > 0;
        } else if (n > 0 && !(n == 1 && c[0] == '.')) {
            if (++depth > depth_max)
                return mvm_fail(err, MVM_E_LIMIT, 0, "the name has more than %zu components",
                                depth_max);
            append(path, c, n);
        }
        c += n + (c[n] == '/' ? 1 : 0);
    }
    return 0;
}

/* Whether a directory on the way, before @end, is a whiteout itself: nothing below it means
 * anything. */
static bool is_below_whiteout(const char *text, const char *end)
{
    for (const char *c = text; c < end; c += strcspn(c, "/") + 1)
        if (scan_has_prefix(c, WHITEOUT_PREFIX))
            return true;
    return false;
}

int layer_path_classify(struct layer_path *path, mvm_error **err)
{
    char *slash = strrchr(path->text, '/');
    char *name = slash ? slash + 1 : path->text;
    const char *target = name + strlen(WHITEOUT_PREFIX);
    size_t target_len;

    if (is_below_whiteout(path->text, name))
        return LAYER_NAME_NOTHING;
    if (!scan_has_prefix(name, WHITEOUT_PREFIX))
        return LAYER_NAME_PLAIN;
    if (strcmp(name, WHITEOUT_OPAQUE) == 0) {
        cut(path, slash ? (size_t) (slash - path->text) : 0);
        return LAYER_NAME_OPAQUE;
    }
    if (scan_has_prefix(name, WHITEOUT_AUFS))
        return LAYER_NAME_NOTHING;
    if (!*target || strcmp(target, ".") == 0 || strcmp(target, "..") == 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a whiteout of '%s'", target);
    target_len = strlen(target);
    memmove(name, target, target_len);
    cut(path, (size_t) (name - path->text) + target_len);
    return LAYER_NAME_WHITEOUT;
}
