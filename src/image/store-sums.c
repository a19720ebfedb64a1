/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store-sums.h"

#include "base/crc64.h"
#include "base/file.h"
#include "base/io.h"
#include "base/le.h"
#include "base/path.h"

#include <fcntl.h>
#include <sys/stat.h>

/* "mvm sums" and the version of this form; then the number of parts, in 4 bytes, and 4 zeros. */
static const unsigned char magic[8] = { 'm', 'v', 'm', 's', 'u', 'm', 's', 1 };

/* Bytes that are read between two questions to the caller. */
#define READ_PIECE (256u << 10)
/* Bytes that are written back between two questions to the caller. */
#define SYNC_PIECE (4 << 20)

size_t sums_encode(const struct sums *sums, unsigned char out[SUMS_SIZE_MAX])
{
    unsigned char *p = out + SUMS_HEAD_SIZE;

    memcpy(out, magic, sizeof(magic));
    le32_put(out + 8, (uint32_t) sums->n);
    le32_put(out + 12, 0);
    for (size_t i = 0; i < sums->n; i++, p += SUMS_PART_SIZE) {
        const struct sums_part *part = &sums->parts[i];

        le64_put(p, part->size);
        le64_put(p + 8, part->crc);
        le64_put(p + 16, part->inode);
        le64_put(p + 24, (uint64_t) part->mtime_ns);
        le64_put(p + 32, (uint64_t) part->ctime_ns);
    }
    le64_put(p, crc64_add(0, out, (size_t) (p - out)));
    return (size_t) (p - out) + 8;
}

int sums_decode(const void *data, size_t len, size_t n, struct sums *ret, mvm_error **err)
{
    const unsigned char *p = data;
    struct sums sums = { .n = n };

    if (len != SUMS_HEAD_SIZE + n * SUMS_PART_SIZE + 8 || memcmp(p, magic, sizeof(magic)) != 0 ||
        le32_get(p + 8) != n || le32_get(p + 12) != 0 ||
        le64_get(p + len - 8) != crc64_add(0, p, len - 8))
        return mvm_fail(err, MVM_E_FORMAT, 0, "not a record of %zu sums", n);
    p += SUMS_HEAD_SIZE;
    for (size_t i = 0; i < n; i++, p += SUMS_PART_SIZE)
        sums.parts[i] = (struct sums_part){ .size = le64_get(p),
                                            .crc = le64_get(p + 8),
                                            .inode = le64_get(p + 16),
                                            .mtime_ns = (int64_t) le64_get(p + 24),
                                            .ctime_ns = (int64_t) le64_get(p + 32) };
    *ret = sums;
    return 0;
}

static int64_t time_ns(const struct timespec *t)
{
    int64_t ns;

    /* A time that a file cannot have on its own; it fits nothing but itself. */
    if (__builtin_mul_overflow((int64_t) t->tv_sec, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t) t->tv_nsec, &ns))
        return INT64_MAX;
    return ns;
}

static void stamp_part(struct sums_part *part, const struct stat *st)
{
    part->inode = st->st_ino;
    part->mtime_ns = time_ns(&st->st_mtim);
    part->ctime_ns = time_ns(&st->st_ctim);
}

int sums_stamp(struct sums *sums, int dir_fd, const char *const *names, mvm_error **err)
{
    for (size_t i = 0; i < sums->n; i++) {
        struct sums_part *part = &sums->parts[i];
        struct stat st;

        if (part->size == 0) {
            stamp_part(part, &(struct stat){ .st_ino = 0 });
            continue;
        }
        if (fstatat(dir_fd, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "look at '%s'", names[i]);
        if (!S_ISREG(st.st_mode) || (uint64_t) st.st_size != part->size)
            return mvm_fail(err, MVM_E_DIGEST, 0, "'%s' has %lld bytes instead of %llu", names[i],
                            (long long) st.st_size, (unsigned long long) part->size);
        stamp_part(part, &st);
    }
    return 0;
}

int sums_read(int dir_fd, const char *file, size_t n, struct sums *ret, mvm_error **err)
{
    mvm_autofree char *data = NULL;
    size_t len = 0;
    int r = file_read(dir_fd, file, SUMS_SIZE_MAX, &data, &len, err);

    if (r == MVM_E_LIMIT)
        r = MVM_E_FORMAT;
    if (r == 0)
        r = sums_decode(data, len, n, ret, err);
    return r < 0 ? mvm_context(err, r, "'%s'", file) : 0;
}

bool sums_fit(const struct sums *sums, int dir_fd, const char *const *names)
{
    for (size_t i = 0; i < sums->n; i++) {
        const struct sums_part *part = &sums->parts[i];
        struct sums_part now = *part;
        struct stat st;

        if (part->size == 0)
            continue;
        if (fstatat(dir_fd, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
            (uint64_t) st.st_size != part->size)
            return false;
        stamp_part(&now, &st);
        if (now.inode != part->inode || now.mtime_ns != part->mtime_ns ||
            now.ctime_ns != part->ctime_ns)
            return false;
    }
    return true;
}

/* Reads to the end, or one piece beyond what is wanted. */
static int read_sum(int fd, uint64_t want, struct image_tick *tick, uint64_t *ret_size,
                    uint64_t *ret_crc, mvm_error **err)
{
    mvm_autofree unsigned char *piece = malloc(READ_PIECE);
    ssize_t n = 1;

    *ret_size = *ret_crc = 0;
    if (!piece)
        return mvm_fail_nomem(err);
    while (n > 0 && *ret_size <= want) {
        int r = image_tick(tick, err);

        if (r == 0)
            n = io_read_full(fd, piece, READ_PIECE, err);
        if (r < 0 || n < 0)
            return r < 0 ? r : (int) n;
        *ret_crc = crc64_add(*ret_crc, piece, (size_t) n);
        *ret_size += (uint64_t) n;
    }
    return 0;
}

static int verify_part(const struct sums_part *part, int dir_fd, const char *name,
                       struct image_tick *tick, mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    uint64_t size, crc;
    struct stat st;
    int r = path_open_beneath(dir_fd, name, O_RDONLY | O_NONBLOCK, 0, &fd, err);

    if (r == MVM_E_SYS && path_is_odd(dir_fd, name))
        return mvm_fail(err, MVM_E_DIGEST, 0, "not a regular file");
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at it");
    if (!S_ISREG(st.st_mode) || (uint64_t) st.st_size != part->size)
        return mvm_fail(err, MVM_E_DIGEST, 0, "%lld bytes instead of %llu", (long long) st.st_size,
                        (unsigned long long) part->size);
    r = read_sum(fd, part->size, tick, &size, &crc, err);
    if (r < 0)
        return r;
    if (size != part->size || crc != part->crc)
        return mvm_fail(err, MVM_E_DIGEST, 0, "the content is damaged");
    return 0;
}

int sums_verify(const struct sums *sums, int dir_fd, const char *const *names,
                struct image_tick *tick, mvm_error **err)
{
    for (size_t i = 0; i < sums->n; i++) {
        int r = sums->parts[i].size == 0
                    ? 0
                    : verify_part(&sums->parts[i], dir_fd, names[i], tick, err);

        if (r < 0)
            return mvm_context(err, r, "'%s'", names[i]);
    }
    return 0;
}

int sums_sync(int fd, const char *what, struct image_tick *tick, mvm_error **err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at %s", what);
    for (off_t at = 0; tick && at < st.st_size; at += SYNC_PIECE) {
        int r = image_tick(tick, err);

        if (r < 0)
            return r;
        /* A hint alone; what it cannot do, the fsync does. */
        (void) sync_file_range(fd, at, SYNC_PIECE,
                               SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                   SYNC_FILE_RANGE_WAIT_AFTER);
    }
    return io_sync(fd, what, err);
}
