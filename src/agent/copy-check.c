/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/copy-internal.h"
#include "base/path.h"

#include <sys/stat.h>

void copy_check_deinit(struct copy_check *c)
{
    free(c->dir);
    c->dir = NULL;
}

bool copy_type_is_copied(uint32_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode);
}

bool copy_name_is_valid(const char *name)
{
    char component[256];
    size_t depth = 0;

    for (;; name++) {
        size_t len = strcspn(name, "/");

        if (len >= sizeof(component) || ++depth > COPY_DEPTH_MAX)
            return false;
        memcpy(component, name, len);
        component[len] = '\0';
        if (!path_is_component(component))
            return false;
        name += len;
        if (!*name)
            return true;
    }
}

/* Moves to the folder that @name, an item's, lies in; false when that did not come before. */
static bool check_enter_parent(struct copy_check *c, const char *name)
{
    const char *slash = strrchr(name, '/');
    size_t len = slash ? (size_t) (slash - name) : 0;

    if (strlen(c->dir) < len || strncmp(c->dir, name, len) != 0 ||
        (len > 0 && c->dir[len] != '\0' && c->dir[len] != '/'))
        return false;
    c->dir[len] = '\0';
    return true;
}

static int check_root(struct copy_check *c, const struct agent_file *f, mvm_error **err)
{
    if (f->name)
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' comes before the source itself", f->name);
    if (!copy_type_is_copied(f->mode))
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                        "it is a device, a FIFO or a socket, which are not copied");
    c->begun = true;
    c->root_is_dir = S_ISDIR(f->mode);
    c->dir = strdup("");
    return c->dir ? 0 : mvm_fail_nomem(err);
}

static int check_below(struct copy_check *c, const struct agent_file *f, mvm_error **err)
{
    if (!f->name || !c->root_is_dir || !copy_name_is_valid(f->name))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is no name of what a folder holds",
                        f->name ? f->name : "");
    if (!check_enter_parent(c, f->name))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' does not follow its folder", f->name);
    if (S_ISDIR(f->mode)) {
        free(c->dir);
        c->dir = strdup(f->name);
        if (!c->dir)
            return mvm_fail_nomem(err);
    }
    return 0;
}

int copy_check_info(struct copy_check *c, const struct agent_file *f, mvm_error **err)
{
    uint64_t max = c->options->max_bytes ? c->options->max_bytes : COPY_BYTES_MAX;
    int r;

    if (c->left > 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a file ended %llu bytes early",
                        (unsigned long long) c->left);
    if (++c->entries > COPY_ENTRIES_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %llu files",
                        (unsigned long long) COPY_ENTRIES_MAX);
    r = c->begun ? check_below(c, f, err) : check_root(c, f, err);
    if (r < 0)
        return r;
    if (!copy_type_is_copied(f->mode)) {
        c->result->skipped++;
        log_warning(c->options->log, "copy", "'%s' is a device, a FIFO or a socket: left out",
                    f->name);
        return 0;
    }
    if (S_ISLNK(f->mode) && !f->link)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a symbolic link without target");
    c->left = S_ISREG(f->mode) ? f->size : 0;
    if (c->left > max - c->bytes)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %llu bytes of files",
                        (unsigned long long) max);
    c->bytes += c->left;
    c->result->files++;
    return 1;
}

int copy_check_data(struct copy_check *c, size_t len, mvm_error **err)
{
    if (len > c->left)
        return mvm_fail(err, MVM_E_FORMAT, 0, "%zu bytes of a file of which %llu are left", len,
                        (unsigned long long) c->left);
    c->left -= len;
    c->result->bytes += len;
    return 0;
}

int copy_check_end(const struct copy_check *c, mvm_error **err)
{
    if (!c->begun)
        return mvm_fail(err, MVM_E_FORMAT, 0, "nothing came");
    if (c->left > 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the last file ended %llu bytes early",
                        (unsigned long long) c->left);
    return 0;
}
