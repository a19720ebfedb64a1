/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of a tar, through libarchive's reader: tar alone (v7, ustar, GNU, pax), no filter, no
 * other format. Names and link targets are byte strings: the reader runs in the C
 * locale, in which libarchive converts and normalises nothing, whatever locale the program has.
 */
#ifndef IMAGE_TAR_READER_H
#define IMAGE_TAR_READER_H

#include "image/layer-stream.h"

#include <sys/stat.h>
#include <time.h>

enum tar_kind {
    TAR_FILE = 0,
    TAR_DIR,
    TAR_SYMLINK,
    TAR_HARDLINK,
    TAR_CHAR,
    TAR_BLOCK,
    TAR_FIFO,
    TAR_OTHER
};

struct tar_entry { /* all borrowed from the reader until its next call */
    enum tar_kind kind;
    const char *name;
    const char *link; /* of links; else NULL */
    mode_t mode;      /* 12 bits */
    uid_t uid;
    gid_t gid;
    dev_t device;
    uint64_t size; /* of a file, holes included; else 0 */
    struct timespec mtime;
};
struct tar_xattr { /* borrowed */
    const char *name;
    const void *value;
    size_t size;
};

struct tar_reader;
int tar_reader_new(struct layer_stream *stream, struct tar_reader **ret, mvm_error **err);
/* The same for bytes from anywhere: @pull gives the next ones, valid until its next call, and their
 * count, 0 at the end or a negative code. */
typedef ssize_t tar_pull_fn(void *user, const void **ret_data, mvm_error **err);
int tar_reader_new_pull(tar_pull_fn *pull, void *user, struct tar_reader **ret, mvm_error **err);
void tar_reader_free(struct tar_reader *t);
MVM_DEFINE_AUTO(tar_reader, tar_reader_free)

/* 1 and an entry, 0 at the archive's end, or a negative code. What is left of the content of the
 * entry before is passed over. */
int tar_reader_next(struct tar_reader *t, struct tar_entry *ret, mvm_error **err);
/* The entry's next extended attribute: false when there is none left. Of two with the same name
 * the one that the tar has last comes first, and counts. POSIX ACLs are among them. */
bool tar_reader_next_xattr(struct tar_reader *t, struct tar_xattr *ret);
/* 1 and the next piece of the file's content (holes are left out), 0 at its end, or a negative
 * code. */
int tar_reader_data(struct tar_reader *t, const void **ret_data, size_t *ret_len,
                    uint64_t *ret_offset, mvm_error **err);

#endif
