/* SPDX-License-Identifier: Apache-2.0 */
/* An arbitrary EROFS image is walked from its root, and all that is found gets an owner; it ends
 * within the image's size. */
#include "base/io.h"
#include "base/mem.h"
#include "image/erofs.h"

#include <stdbool.h>
#include <sys/stat.h>

/* Directories may contain each other: what a host's tree bounds in earnest. */
#define DEPTH_MAX 8
#define ENTRIES_MAX 1000

struct visit {
    const struct erofs *fs;
    unsigned depth, entries;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int visit_entry(void *user, const struct erofs_entry *entry, mvm_error **err)
{
    struct visit *v = user;
    struct erofs_inode inode;
    int r;

    if (entry->name[0] == '\0' || strchr(entry->name, '/'))
        abort();
    if (++v->entries > ENTRIES_MAX)
        return MVM_E_LIMIT;
    r = erofs_read_inode(v->fs, entry->nid, &inode, err);
    if (r == 0)
        r = erofs_set_owner(v->fs, &inode, 1000, 70000, err);
    if (r == 0 && S_ISREG(inode.mode) && inode.size == 0)
        r = erofs_set_device(v->fs, &inode, entry, S_IFBLK, 1, err);
    if (r < 0 || !S_ISDIR(inode.mode) || v->depth == DEPTH_MAX)
        return r;
    v->depth++;
    r = erofs_list(v->fs, &inode, visit_entry, v, err);
    v->depth--;
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autoclose int fd = -EBADF;
    struct erofs_inode root;
    struct erofs fs;
    struct visit v = { .fs = &fs };
    struct stat st;

    if (io_memfd("image", data, size, false, &fd, NULL) < 0)
        return 0;
    if (erofs_open(fd, &fs, NULL) == 0 && erofs_read_inode(&fs, fs.root_nid, &root, NULL) == 0)
        (void) erofs_list(&fs, &root, visit_entry, &v, NULL);
    if (fstat(fd, &st) < 0 || (size_t) st.st_size != size)
        abort();
    return 0;
}
