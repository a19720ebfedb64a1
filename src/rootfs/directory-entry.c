/* SPDX-License-Identifier: Apache-2.0 */
/* One name of the tree in the directory on top. Everything is made exclusively: that something is
 * there already is an error. */
#include "rootfs/directory-internal.h"

#include "base/path.h"

#include <fcntl.h>
#include <sys/stat.h>

static mode_t type_of(enum layer_kind kind)
{
    return kind == LAYER_CHAR           ? S_IFCHR
           : kind == LAYER_BLOCK_DEVICE ? S_IFBLK
           : kind == LAYER_FIFO         ? S_IFIFO
                                        : S_IFREG;
}

/* A file, or an empty one that stands for @type. */
static int make_file(struct presenter *p, int dir_fd, const char *name, mode_t type,
                     mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    int r = path_open_beneath(dir_fd, name, O_RDWR | O_CREAT | O_EXCL, 0600, &fd, err);

    if (r == 0 && type == S_IFREG)
        r = present_content(p, fd, err);
    return r < 0 ? r : present_attributes(p, fd, type, err);
}

static int make_symlink(struct presenter *p, int dir_fd, const char *name, mvm_error **err)
{
    if (symlinkat(p->cursor.record.link, dir_fd, name) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make the symlink");
    return present_attributes_at(p, dir_fd, name, err);
}

/* A FIFO of an ordinary user could not say whose it is: it has no "user." attributes. */
static int make_node(struct presenter *p, int dir_fd, const char *name, mode_t type,
                     mvm_error **err)
{
    if (p->native && mknodat(dir_fd, name, type | 0600, p->cursor.record.device) == 0)
        return present_attributes_at(p, dir_fd, name, err);
    if (p->native && errno != EPERM)
        return mvm_fail(err, MVM_E_SYS, errno, "make the device or FIFO");
    return make_file(p, dir_fd, name, type, err);
}

/* Opens the directory @dir, from the last one on the way to the top that is on its way too. */
static int open_directory(struct presenter *p, tree_entry dir, int *ret_fd, mvm_error **err)
{
    tree_entry way[TREE_DEPTH_MAX + 1];
    size_t n = 0, at = p->n_dirs;
    mvm_autoclose int fd = -EBADF;
    int r = 0;

    /* Numbers grow on the way down, so that of two the larger one cannot be an ancestor. */
    for (;; dir = tree_parent(p->tree, dir)) {
        while (p->dirs[at - 1].entry > dir)
            at--;
        if (p->dirs[at - 1].entry == dir)
            break;
        way[n++] = dir;
    }
    while (n > 0 && r == 0) {
        const struct present_name name = presenter_name(p, way[--n]);
        int next;

        r = path_open_beneath(fd >= 0 ? fd : p->dirs[at - 1].fd, name.text,
                              O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &next, err);
        if (r < 0)
            return r;
        if (fd >= 0)
            (void) close(fd);
        fd = next;
    }
    if (fd < 0)
        fd = fcntl(p->dirs[at - 1].fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open a directory again");
    *ret_fd = steal_fd(&fd);
    return 0;
}

/* Another name of what @first leads to. */
static int make_link(struct presenter *p, tree_entry first, int dir_fd, const char *name,
                     mvm_error **err)
{
    const struct present_name source = presenter_name(p, first);
    mvm_autoclose int from = -EBADF;
    int r = open_directory(p, tree_parent(p->tree, first), &from, err);

    if (r < 0)
        return r;
    if (linkat(from, source.text, dir_fd, name, 0) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "hard link to '%.256s'", source.text);
    return 0;
}

int present_entry(struct presenter *p, tree_entry e, mvm_error **err)
{
    const struct present_name name = presenter_name(p, e);
    int dir_fd = p->dirs[p->n_dirs - 1].fd;
    tree_entry first = tree_inode_entry(p->tree, tree_entry_inode(p->tree, e));
    enum layer_kind kind = p->cursor.record.kind;

    if (first != e)
        return make_link(p, first, dir_fd, name.text, err);
    switch (kind) {
    case LAYER_DIR:
        return mkdirat(dir_fd, name.text, 0700) == 0
                   ? 0
                   : mvm_fail(err, MVM_E_SYS, errno, "make the directory");
    case LAYER_SYMLINK:
        return make_symlink(p, dir_fd, name.text, err);
    case LAYER_FILE:
        return make_file(p, dir_fd, name.text, S_IFREG, err);
    default:
        return make_node(p, dir_fd, name.text, type_of(kind), err);
    }
}
