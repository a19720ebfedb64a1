/* SPDX-License-Identifier: Apache-2.0 */
#include "image/archive-file.h"

#include "base/io.h"
#include "image/inflate.h"
#include "image/scratch.h"

#include <fcntl.h>
#include <sys/stat.h>

/* One read and one piece of output while an archive is inflated. */
#define INFLATE_BLOCK (256u << 10)

struct archive_file {
    int fd; /* owned: a plain tar */
    uint64_t size;
    struct archive_index *index; /* owned */
};

struct member_reader {
    struct blob_reader base;
    int fd; /* borrowed */
    uint64_t offset, left;
};

void archive_file_free(struct archive_file *a)
{
    if (!a)
        return;
    archive_index_free(a->index);
    if (a->fd >= 0)
        (void) close(a->fd);
    free(a);
}

struct inflation {
    struct inflate *z; /* owned */
    int from, to;      /* borrowed */
    uint64_t size;
    unsigned char *in, *out; /* owned */
};
static void inflation_deinit(struct inflation *f)
{
    inflate_free(f->z);
    free(f->in);
    free(f->out);
}
MVM_DEFINE_AUTOVALUE(inflation, inflation_deinit)

/* All that @len bytes of input give. */
static int inflate_block(struct inflation *f, size_t len, mvm_error **err)
{
    struct inflate_io io = { .in = f->in, .in_len = len, .out = f->out, .out_size = INFLATE_BLOCK };
    size_t before;
    int r;

    do {
        before = io.in_len;
        r = inflate_step(f->z, &io, err);
        if (r == 0)
            r = scratch_file_add(f->to, f->out, io.out_len, &f->size, err);
    } while (r == 0 && (io.in_len != before || io.out_len > 0));
    if (r == 0 && io.in_len > 0)
        r = mvm_fail(err, MVM_E_FORMAT, 0, "%s: the decompressor stands still", inflate_name(f->z));
    return r;
}

static int inflate_run(struct inflation *f, struct image_tick *tick, mvm_error **err)
{
    for (;;) {
        ssize_t n = io_read_full(f->from, f->in, INFLATE_BLOCK, err);
        int r = n < 0 ? (int) n : image_tick(tick, err);

        if (r == 0 && n > 0)
            r = inflate_block(f, (size_t) n, err);
        if (r < 0)
            return r;
        if (n == 0)
            break;
    }
    return inflate_is_complete(f->z)
               ? 0
               : mvm_fail(err, MVM_E_FORMAT, 0, "%s: the data ends too early", inflate_name(f->z));
}

/* Puts the plain tar in the place of the compressed one. */
static int inflate_archive(struct archive_file *a, enum inflate_kind kind, int dir_fd,
                           struct image_tick *tick, mvm_error **err)
{
    mvm_autovalue(inflation)
        f = { .from = a->fd, .in = malloc(INFLATE_BLOCK), .out = malloc(INFLATE_BLOCK) };
    mvm_autoclose int fd = -EBADF;
    int r;

    if (!f.in || !f.out)
        return mvm_fail_nomem(err);
    r = scratch_file_new(dir_fd, &fd, err);
    if (r == 0)
        r = inflate_new(kind, &f.z, err);
    f.to = fd;
    if (r == 0)
        r = inflate_run(&f, tick, err);
    if (r < 0)
        return r;
    (void) close(a->fd);
    a->fd = steal_fd(&fd);
    a->size = f.size;
    return 0;
}

static int prepare(struct archive_file *a, int dir_fd, struct image_tick *tick, mvm_error **err)
{
    unsigned char magic[INFLATE_MAGIC_LEN];
    enum inflate_kind kind;
    struct stat st;
    ssize_t n;
    int r = 0;

    if (fstat(a->fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at the archive");
    if (!S_ISREG(st.st_mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "not a regular file");
    a->size = (uint64_t) st.st_size;
    n = pread(a->fd, magic, sizeof(magic), 0);
    if (n < 0 || lseek(a->fd, 0, SEEK_SET) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read the archive");
    kind = inflate_detect(magic, (size_t) n);
    if (kind != INFLATE_PLAIN)
        r = inflate_archive(a, kind, dir_fd, tick, err);
    return r < 0 ? r : archive_index_read(a->fd, a->size, tick, &a->index, err);
}

int archive_file_new(int fd, int dir_fd, struct image_tick *tick, struct archive_file **ret,
                     mvm_error **err)
{
    mvm_autoclose int held = fd;
    mvm_auto(archive_file) a = calloc(1, sizeof(*a));
    int r;

    if (!a)
        return mvm_fail_nomem(err);
    a->fd = steal_fd(&held);
    r = prepare(a, dir_fd, tick, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&a);
    return 0;
}

int archive_file_open(const char *path, int dir_fd, struct image_tick *tick,
                      struct archive_file **ret, mvm_error **err)
{
    /* Not blocking: a FIFO must not hold us. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno, "open '%s'",
                        path);
    r = archive_file_new(fd, dir_fd, tick, ret, err);
    return r < 0 ? mvm_context(err, r, "'%s'", path) : 0;
}

int archive_file_find(const struct archive_file *a, const char *name, struct archive_extent *ret,
                      mvm_error **err)
{
    return archive_index_find(a->index, name, ret, err);
}

static ssize_t member_read(struct blob_reader *base, void *data, size_t len, mvm_error **err)
{
    struct member_reader *reader = (struct member_reader *) base;
    size_t want = len < reader->left ? len : (size_t) reader->left;
    ssize_t n;

    do
        n = pread(reader->fd, data, want, (off_t) reader->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read the archive");
    reader->offset += (uint64_t) n;
    reader->left -= (uint64_t) n;
    return n;
}

static void member_free(struct blob_reader *base)
{
    free(base);
}

int archive_file_read(struct archive_file *a, const struct archive_extent *extent,
                      struct blob_reader **ret, mvm_error **err)
{
    struct member_reader *reader = calloc(1, sizeof(*reader));

    if (!reader)
        return mvm_fail_nomem(err);
    reader->base = (struct blob_reader){
        .read = member_read, .free = member_free, .has_size = true, .size = extent->size
    };
    reader->fd = a->fd;
    reader->offset = extent->offset;
    reader->left = extent->size;
    *ret = &reader->base;
    return 0;
}

struct archive_layout {
    struct layout_files base;
    struct archive_file *archive; /* owned */
};

static int layout_open(struct layout_files *base, const char *name, struct blob_reader **ret,
                       mvm_error **err)
{
    struct archive_layout *l = (struct archive_layout *) base;
    struct archive_extent extent;
    int r = archive_file_find(l->archive, name, &extent, err);

    return r < 0 ? r : archive_file_read(l->archive, &extent, ret, err);
}

static void layout_free(struct layout_files *base)
{
    struct archive_layout *l = (struct archive_layout *) base;

    archive_file_free(l->archive);
    free(l);
}

int archive_layout_new(struct archive_file *a, struct layout_files **ret, mvm_error **err)
{
    struct archive_layout *l = calloc(1, sizeof(*l));

    if (!l) {
        archive_file_free(a);
        return mvm_fail_nomem(err);
    }
    l->base = (struct layout_files){ .open = layout_open, .free = layout_free };
    l->archive = a;
    *ret = &l->base;
    return 0;
}
