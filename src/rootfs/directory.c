/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two walks over the tree. The first makes everything, directories with mode 0700; the second gives
 * directories what the image says, each after all that is below it: so no directory closes itself
 * to us while it is filled, and its times hold.
 */
#include "rootfs/directory.h"

#include "base/path.h"
#include "rootfs/directory-internal.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Entries before the memory of the indexes is given back: some pages each at most. */
#define PRESENT_LOOKS_MAX 4096u

void rootfs_directory_report_deinit(struct rootfs_directory_report *r)
{
    free(steal_ptr(&r->first_lost));
}

static void presenter_deinit(struct presenter *p)
{
    while (p->n_dirs > 0)
        (void) close(p->dirs[--p->n_dirs].fd);
    layer_cursor_deinit(&p->cursor);
    rootfs_directory_report_deinit(&p->report);
}

struct present_name presenter_name(const struct presenter *p, tree_entry e)
{
    struct present_name name = { "" };
    size_t len;
    const char *text = tree_entry_name(p->tree, e, &len);

    memcpy(name.text, text, len < NAME_MAX ? len : NAME_MAX);
    return name;
}

/* Goes into the directory @e: onto the top. */
static int push(struct presenter *p, tree_entry e, mvm_error **err)
{
    const struct present_name name = presenter_name(p, e);
    int fd, r = path_open_beneath(p->dirs[p->n_dirs - 1].fd, name.text,
                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, err);

    if (r < 0)
        return r;
    p->dirs[p->n_dirs++] = (struct presented_dir){ .fd = fd, .entry = e };
    return 0;
}

static void pop(struct presenter *p)
{
    (void) close(p->dirs[--p->n_dirs].fd);
}

/* Looks at the inode of @e. */
static int look(struct presenter *p, tree_entry e, mvm_error **err)
{
    int r = image_tick(p->tick, err);

    if (r < 0)
        return r;
    if (++p->looked == PRESENT_LOOKS_MAX) {
        p->looked = 0;
        for (uint32_t i = 0; i < tree_n_layers(p->tree); i++)
            layer_index_drop(tree_layer(p->tree, i));
    }
    return tree_get_inode(p->tree, tree_entry_inode(p->tree, e), &p->cursor, &p->layer, err);
}

static bool is_directory(const struct presenter *p, tree_entry e)
{
    return tree_inode_kind(p->tree, tree_entry_inode(p->tree, e)) == LAYER_DIR;
}

typedef int visit_fn(struct presenter *p, tree_entry e, mvm_error **err);

static int visit(struct presenter *p, visit_fn *fn, tree_entry e, mvm_error **err)
{
    int r = look(p, e, err);

    if (r == 0)
        r = fn(p, e, err);
    if (r == MVM_E_CANCELLED || r >= 0)
        return r;
    return mvm_context(err, r, "'%.256s'", presenter_name(p, e).text);
}

/* @e or the first sibling behind it that is a directory, where only @directories count;
 * TREE_NONE. */
static tree_entry first_of(const struct presenter *p, tree_entry e, bool directories)
{
    while (e != TREE_NONE && directories && !is_directory(p, e))
        e = tree_next_sibling(p->tree, e);
    return e;
}

/* Calls @before for each entry on the way down, with its directory on top, and @after for each
 * directory, on top itself, when all below it was visited. With no @before only directories are
 * visited. */
static int walk(struct presenter *p, visit_fn *before, visit_fn *after, mvm_error **err)
{
    tree_entry e = first_of(p, tree_first_child(p->tree, 0), !before);
    int r = 0;

    for (;;) {
        while (e != TREE_NONE && r == 0) {
            tree_entry dir = is_directory(p, e) ? e : TREE_NONE;

            if (before)
                r = visit(p, before, e, err);
            if (r == 0 && dir != TREE_NONE)
                r = push(p, dir, err);
            e = first_of(p,
                         dir != TREE_NONE ? tree_first_child(p->tree, dir)
                                          : tree_next_sibling(p->tree, e),
                         !before);
        }
        if (r == 0 && after)
            r = visit(p, after, p->dirs[p->n_dirs - 1].entry, err);
        if (r < 0 || p->n_dirs == 1)
            return r;
        e = first_of(p, tree_next_sibling(p->tree, p->dirs[p->n_dirs - 1].entry), !before);
        pop(p);
    }
}

static int finish_directory(struct presenter *p, tree_entry e, mvm_error **err)
{
    (void) e;
    return present_attributes(p, p->dirs[p->n_dirs - 1].fd, S_IFDIR, err);
}

/* A file that was cut would be read as one with holes. */
static int check_data(const struct tree *tree, const int *data_fds, mvm_error **err)
{
    for (uint32_t i = 0; i < tree_n_layers(tree); i++) {
        uint64_t blocks = layer_index_totals(tree_layer(tree, i))->data_blocks;
        struct stat st;

        if (blocks == 0)
            continue;
        if (fstat(data_fds[i], &st) < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "layer %u: look at its data file", i + 1);
        if (st.st_size < 0 || (uint64_t) st.st_size / LAYER_BLOCK < blocks)
            return mvm_fail(err, MVM_E_DIGEST, 0, "layer %u: its data file is cut", i + 1);
    }
    return 0;
}

/* Whoever else could reach it would get the image's devices and set-id programs. */
static int check_parent(int parent_fd, mvm_error **err)
{
    struct stat st;

    if (fstat(parent_fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at its folder");
    if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return mvm_fail(err, MVM_E_ARG, 0, "its folder is not ours alone (mode 0700)");
    return 0;
}

static int make_in(struct presenter *p, int parent_fd, const char *temp, const char *name,
                   mvm_error **err)
{
    int r = walk(p, present_entry, NULL, err);

    if (r == 0)
        r = walk(p, NULL, finish_directory, err);
    if (r < 0)
        return r;
    if (renameat2(parent_fd, temp, parent_fd, name, RENAME_NOREPLACE) < 0)
        return mvm_fail(err, errno == EEXIST ? MVM_E_EXISTS : MVM_E_SYS, errno, "give it its name");
    return 0;
}

static int make(struct presenter *p, int parent_fd, const char *name, mvm_error **err)
{
    mvm_autofree char *temp = NULL;
    struct stat st;
    int fd, r = check_data(p->tree, p->data_fds, err);

    if (r == 0)
        r = check_parent(parent_fd, err);
    if (r < 0)
        return r;
    /* Told before the work; that it appears meanwhile is found at the end. */
    if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return mvm_fail(err, MVM_E_EXISTS, 0, "it is there already");
    r = path_make_temp_dir(parent_fd, ".rootfs-", &temp, &fd, err);
    if (r < 0)
        return r;
    p->dirs[p->n_dirs++] = (struct presented_dir){ .fd = fd, .entry = 0 };
    r = make_in(p, parent_fd, temp, name, err);
    if (r < 0)
        (void) path_remove_tree(parent_fd, temp, NULL); /* the first error is what counts */
    return r;
}

int rootfs_directory_make(const struct tree *tree, const int *data_fds, int parent_fd,
                          const char *name, struct image_tick *tick,
                          struct rootfs_directory_report *ret, mvm_error **err)
{
    mvm_autofree struct presenter *p = calloc(1, sizeof(*p));
    int r;

    if (!p)
        return mvm_fail_nomem(err);
    if (!path_is_component(name))
        return mvm_fail(err, MVM_E_ARG, 0, "directory root '%.256s': not a plain name", name);
    p->tree = tree;
    p->data_fds = data_fds;
    p->tick = tick;
    p->native = geteuid() == 0;
    r = make(p, parent_fd, name, err);
    if (r == 0) {
        *ret = p->report;
        p->report.first_lost = NULL;
    }
    presenter_deinit(p);
    return r < 0 ? mvm_context(err, r, "directory root '%.256s'", name) : 0;
}
