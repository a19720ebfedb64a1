/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a file, by the best way that the file system has; holes stay holes. */
#include "rootfs/directory-internal.h"

#include "base/io.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

/* Bytes before the caller is asked again. */
#define COPY_STEP (8u << 20)
#define COPY_BUFFER (64u << 10)

/* A piece of the content: where it begins in the file, and its length. */
struct piece {
    uint64_t at, len;
};
struct copy {
    struct presenter *p; /* borrowed */
    int from, to;
    uint64_t base; /* of the content in the data file */
    uint64_t size;
};

static void used(struct presenter *p, enum rootfs_copy copy)
{
    if (copy > p->report.copy)
        p->report.copy = copy;
}

static bool is_refusal(int errnum)
{
    return errnum == EOPNOTSUPP || errnum == EXDEV || errnum == EINVAL || errnum == ENOSYS ||
           errnum == ENOTTY || errnum == EPERM || errnum == ETXTBSY;
}

/* 1: cloned whole, with its holes; 0: the file system does not. */
static int clone_all(const struct copy *c, mvm_error **err)
{
    uint64_t blocks = c->size / LAYER_BLOCK + (c->size % LAYER_BLOCK != 0);
    struct file_clone_range range = { .src_fd = c->from,
                                      .src_offset = c->base,
                                      .src_length = blocks * LAYER_BLOCK };

    if (c->p->no_clone)
        return 0;
    if (ioctl(c->to, FICLONERANGE, &range) < 0) {
        if (!is_refusal(errno))
            return mvm_fail(err, MVM_E_SYS, errno, "clone the content");
        c->p->no_clone = true;
        return 0;
    }
    /* The last block is filled up with zeros. */
    if (ftruncate(c->to, (off_t) c->size) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the size");
    used(c->p, ROOTFS_COPY_CLONE);
    return 1;
}

static int fail_cut(mvm_error **err)
{
    return mvm_fail(err, MVM_E_DIGEST, 0, "the layer's data file is cut");
}

/* Bytes that were copied, at least one; 0: the kernel does not. */
static ssize_t copy_range(const struct copy *c, const struct piece *piece, mvm_error **err)
{
    off_t from = (off_t) (c->base + piece->at), to = (off_t) piece->at;
    size_t len = piece->len < COPY_STEP ? (size_t) piece->len : COPY_STEP;
    ssize_t n;

    if (c->p->no_copy_range)
        return 0;
    do
        n = copy_file_range(c->from, &from, c->to, &to, len, 0);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return fail_cut(err);
    if (n < 0 && !is_refusal(errno))
        return mvm_fail(err, MVM_E_SYS, errno, "copy the content");
    if (n < 0) {
        c->p->no_copy_range = true;
        return 0;
    }
    used(c->p, ROOTFS_COPY_KERNEL);
    return n;
}

static ssize_t copy_plain(const struct copy *c, const struct piece *piece, mvm_error **err)
{
    mvm_autofree char *buffer = malloc(COPY_BUFFER);
    size_t len = piece->len < COPY_BUFFER ? (size_t) piece->len : COPY_BUFFER;
    ssize_t n;
    int r;

    if (!buffer)
        return mvm_fail_nomem(err);
    do
        n = pread(c->from, buffer, len, (off_t) (c->base + piece->at));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read the content");
    if (n == 0)
        return fail_cut(err);
    r = io_pwrite_all(c->to, buffer, (size_t) n, piece->at, err);
    used(c->p, ROOTFS_COPY_PLAIN);
    return r < 0 ? r : n;
}

static int copy_piece(const struct copy *c, struct piece piece, mvm_error **err)
{
    while (piece.len > 0) {
        int r = image_tick(c->p->tick, err);
        ssize_t n = r < 0 ? r : copy_range(c, &piece, err);

        if (n == 0)
            n = copy_plain(c, &piece, err);
        if (n < 0)
            return (int) n;
        piece.at += (uint64_t) n;
        piece.len -= (uint64_t) n;
    }
    return 0;
}

/* The first piece of data at @at or behind it. Its length is 0 when there is none. */
static int next_piece(const struct copy *c, uint64_t at, struct piece *ret, mvm_error **err)
{
    off_t data = lseek(c->from, (off_t) (c->base + at), SEEK_DATA), hole;
    uint64_t end = c->base + c->size;

    *ret = (struct piece){ .at = c->size };
    if (data < 0 && errno == ENXIO)
        return 0;
    /* A file system that cannot say where holes are has none (lseek(2)). */
    if (data < 0 && errno == EINVAL) {
        *ret = (struct piece){ .at = at, .len = c->size - at };
        return 0;
    }
    hole = data < 0 ? data : lseek(c->from, data, SEEK_HOLE);
    if (hole < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look for holes in the content");
    if ((uint64_t) data >= end)
        return 0;
    ret->at = (uint64_t) data - c->base;
    ret->len = ((uint64_t) hole < end ? (uint64_t) hole : end) - (uint64_t) data;
    return 0;
}

static int copy_pieces(const struct copy *c, mvm_error **err)
{
    struct piece piece = { 0 };
    int r;

    if (ftruncate(c->to, (off_t) c->size) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the size");
    for (uint64_t at = 0; at < c->size; at = piece.at + piece.len) {
        r = next_piece(c, at, &piece, err);
        if (r == 0)
            r = copy_piece(c, piece, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int present_content(struct presenter *p, int fd, mvm_error **err)
{
    const struct layer_record *r = &p->cursor.record;
    const struct copy c = { .p = p,
                            .from = p->data_fds[p->layer],
                            .to = fd,
                            .base = r->data_block * LAYER_BLOCK,
                            .size = r->size };
    int cloned;

    if (r->size <= LAYER_INLINE_MAX)
        return io_pwrite_all(fd, r->content, (size_t) r->size, 0, err);
    cloned = clone_all(&c, err);
    return cloned < 0 ? cloned : cloned ? 0 : copy_pieces(&c, err);
}
