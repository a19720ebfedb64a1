/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI layout in a folder. */
#include "image/layout.h"

#include "base/path.h"

#include <fcntl.h>
#include <sys/stat.h>

struct folder {
    struct layout_files base;
    int fd; /* owned */
};

struct folder_reader {
    struct blob_reader base;
    int fd; /* owned */
};

static ssize_t reader_read(struct blob_reader *base, void *data, size_t len, mvm_error **err)
{
    struct folder_reader *reader = (struct folder_reader *) base;
    ssize_t n;

    do
        n = read(reader->fd, data, len);
    while (n < 0 && errno == EINTR);
    return n < 0 ? mvm_fail(err, MVM_E_SYS, errno, "read a blob") : n;
}

static void reader_free(struct blob_reader *base)
{
    struct folder_reader *reader = (struct folder_reader *) base;

    (void) close(reader->fd);
    free(reader);
}

static int folder_open(struct layout_files *base, const char *name, struct blob_reader **ret,
                       mvm_error **err)
{
    struct folder *f = (struct folder *) base;
    struct folder_reader *reader;
    mvm_autoclose int fd = -EBADF;
    struct stat st;
    /* Not blocking: a FIFO in the place of a blob must not hold us. */
    int r = path_open_beneath(f->fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, err);

    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at '%s'", name);
    if (!S_ISREG(st.st_mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is not a regular file", name);
    reader = calloc(1, sizeof(*reader));
    if (!reader)
        return mvm_fail_nomem(err);
    reader->base = (struct blob_reader){
        .read = reader_read, .free = reader_free, .has_size = true, .size = (uint64_t) st.st_size
    };
    reader->fd = steal_fd(&fd);
    *ret = &reader->base;
    return 0;
}

static void folder_free(struct layout_files *base)
{
    struct folder *f = (struct folder *) base;

    if (f->fd >= 0)
        (void) close(f->fd);
    free(f);
}

int layout_source_open(const char *path, const char *tag, struct image_source **ret,
                       mvm_error **err)
{
    mvm_auto(layout_files) files = NULL;
    struct folder *f = calloc(1, sizeof(*f));

    if (!f)
        return mvm_fail_nomem(err);
    f->base = (struct layout_files){ .open = folder_open, .free = folder_free };
    files = &f->base;
    /* The user's own path: links in it are theirs. */
    f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->fd < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno,
                        "open the folder '%s'", path);
    return layout_source_new(steal_ptr(&files), tag, ret, err);
}
