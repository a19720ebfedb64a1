/* SPDX-License-Identifier: Apache-2.0 */
/* Names as docker-cp(1) has them. */
#include "agent/copy-internal.h"
#include "base/path.h"

#include <fcntl.h>

void copy_source_name_deinit(struct copy_source_name *n)
{
    free(n->base);
    n->base = NULL;
}

void copy_place_deinit(struct copy_place *p)
{
    if (p->dir_fd >= 0)
        (void) close(p->dir_fd);
    p->dir_fd = -EBADF;
    free(p->name);
    p->name = NULL;
}

/* Length without slashes at the end; that of "/" is 0. */
static size_t trimmed(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] == '/')
        len--;
    return len;
}

int copy_source_name_of(const char *path, struct copy_source_name *ret, mvm_error **err)
{
    size_t len = trimmed(path, strlen(path)), start;
    struct copy_source_name n = { .base = NULL };

    n.content = len == 0 || (len == 1 && path[0] == '.') ||
                (len >= 2 && memcmp(path + len - 2, "/.", 2) == 0);
    for (start = len; start > 0 && path[start - 1] != '/'; start--)
        ;
    if (!n.content) {
        n.base = strndup(path + start, len - start);
        if (!n.base)
            return mvm_fail_nomem(err);
        /* "a/.." is a folder whose name we do not know. */
        if (!path_is_component(n.base)) {
            copy_source_name_deinit(&n);
            n.content = true;
        }
    }
    *ret = n;
    return 0;
}

/* A name that does not exist, or is no folder, in a folder that exists. */
static int place_below(const char *path, struct copy_place *p, mvm_error **err)
{
    size_t len = trimmed(path, strlen(path)), start;
    mvm_autofree char *parent = NULL;

    for (start = len; start > 0 && path[start - 1] != '/'; start--)
        ;
    parent = start > 0 ? strndup(path, start) : strdup(".");
    p->name = strndup(path + start, len - start);
    if (!parent || !p->name)
        return mvm_fail_nomem(err);
    if (!path_is_component(p->name))
        return mvm_fail(err, MVM_E_ARG, 0, "'%s': no name that a copy could have", path);
    p->dir_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->dir_fd < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno, "open '%s'",
                        parent);
    return 0;
}

int copy_place_resolve(const char *path, const struct copy_source_name *source, bool source_is_dir,
                       struct copy_place *ret, mvm_error **err)
{
    mvm_autovalue(copy_place) p = COPY_PLACE_NONE;
    size_t len = strlen(path);
    int r = 0;

    p.dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p.dir_fd >= 0 && source->base) {
        p.name = strdup(source->base);
        r = p.name ? 0 : mvm_fail_nomem(err);
    } else if (p.dir_fd < 0 && errno != ENOENT && errno != ENOTDIR) {
        r = mvm_fail(err, MVM_E_SYS, errno, "open '%s'", path);
    } else if (p.dir_fd < 0 && !source_is_dir && len > 0 && path[len - 1] == '/') {
        r = mvm_fail(err, MVM_E_NOT_FOUND, errno, "open '%s'", path);
    } else if (p.dir_fd < 0) {
        r = place_below(path, &p, err);
    }
    if (r < 0)
        return r;
    *ret = p;
    p = (struct copy_place) COPY_PLACE_NONE;
    return 0;
}
