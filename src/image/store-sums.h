/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record that says what a file of the store, or two of them, must hold. It is written once its
 * files are whole and synced, so that they are there when it is. Beside sizes and CRC-64 sums
 * (ECMA-182, reflected) it has a stamp of each file: inode, size and both times. Whoever writes to
 * a file, copies it or puts another in its place changes the stamp. A stamp that fits therefore
 * means the same bytes without reading any of them; with one that does not the sums decide.
 *
 * This is the one encoder and the one decoder of the record.
 */
#ifndef IMAGE_STORE_SUMS_H
#define IMAGE_STORE_SUMS_H

#include "image/tick.h"

/* A layer has two files. */
#define SUMS_PARTS_MAX 2
/* Head, a part, the record's own sum. */
#define SUMS_HEAD_SIZE 16
#define SUMS_PART_SIZE 40
#define SUMS_SIZE_MAX (SUMS_HEAD_SIZE + SUMS_PARTS_MAX * SUMS_PART_SIZE + 8)

struct sums_part {
    uint64_t size; /* 0: the file does not exist */
    uint64_t crc;
    uint64_t inode;
    int64_t mtime_ns, ctime_ns; /* since 1970 */
};
struct sums {
    struct sums_part parts[SUMS_PARTS_MAX];
    size_t n;
};

/* Gives the record's length. */
size_t sums_encode(const struct sums *sums, unsigned char out[SUMS_SIZE_MAX]);
/* A record of @n parts; MVM_E_FORMAT for anything else. */
int sums_decode(const void *data, size_t len, size_t n, struct sums *ret, mvm_error **err);

/* Takes the stamps of the files @names, which have the sizes that @sums has. MVM_E_DIGEST. */
int sums_stamp(struct sums *sums, int dir_fd, const char *const *names, mvm_error **err);
/* Reads the record @file of @n parts. MVM_E_NOT_FOUND, MVM_E_FORMAT. */
int sums_read(int dir_fd, const char *file, size_t n, struct sums *ret, mvm_error **err);
/* That every stamp is what is there now. */
bool sums_fit(const struct sums *sums, int dir_fd, const char *const *names);
/* Reads the files @names through. MVM_E_DIGEST for other bytes than the sums say, MVM_E_NOT_FOUND
 * for a file that is missing. */
int sums_verify(const struct sums *sums, int dir_fd, const char *const *names,
                struct image_tick *tick, mvm_error **err);

/* fsync, with the pages written out piece by piece before it, so that @tick is asked meanwhile. */
int sums_sync(int fd, const char *what, struct image_tick *tick, mvm_error **err);

#endif
