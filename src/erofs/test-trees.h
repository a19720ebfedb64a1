/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of this folder: trees made of records, and their images, which the reader of
 * test-view.h and fsck.erofs have found right. */
#ifndef EROFS_TEST_TREES_H
#define EROFS_TEST_TREES_H

#include "base/child.h"
#include "base/crc64.h"
#include "base/test-sandbox.h"
#include "erofs/test-view.h"

#include <sys/mman.h>

#define TREES_LAYERS_MAX 4

struct trees {
    struct layer_writer *writer; /* of the layer that is being written */
    int fd;
    struct layer_index *layers[TREES_LAYERS_MAX];
    size_t n;
    uint64_t file_bytes;
    struct tree *tree;
    int image_fd;
    struct erofs_sum sum;
    struct view view;
};

static inline int trees_file(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static inline void trees_begin(struct trees *t)
{
    *t = (struct trees){ .fd = trees_file("index"), .image_fd = -EBADF };
    assert_int_equal(layer_writer_new(t->fd, &t->writer, NULL), 0);
}

static inline struct layer_record trees_record(enum layer_kind kind, const char *path)
{
    return (struct layer_record){ .kind = kind,
                                  .path = path,
                                  .path_len = (uint16_t) strlen(path),
                                  .link = "",
                                  .mode = 0644,
                                  .mtime_s = 1700000000 };
}

static inline void trees_add(struct trees *t, const struct layer_record *record)
{
    mvm_autoerror mvm_error *e = NULL;

    if (layer_writer_add(t->writer, record, &e) < 0)
        fail_msg("'%s': %s", record->path, mvm_error_message(e));
    t->file_bytes += record->size;
}

static inline void trees_add_link(struct trees *t, enum layer_kind kind, const char *path,
                                  const char *target)
{
    struct layer_record r = trees_record(kind, path);

    r.link = target;
    r.link_len = (uint16_t) strlen(target);
    trees_add(t, &r);
}

static inline void trees_add_content(struct trees *t, const char *path, const void *content,
                                     size_t size)
{
    struct layer_record r = trees_record(LAYER_FILE, path);

    r.content = content;
    r.size = size;
    trees_add(t, &r);
}

/* Ends the layer, whose data file has @data_blocks, and begins another one. */
static inline void trees_next_layer(struct trees *t, uint64_t data_blocks)
{
    const struct layer_totals totals = { .data_blocks = data_blocks };
    mvm_autoerror mvm_error *e = NULL;

    assert_true(t->n < TREES_LAYERS_MAX);
    assert_int_equal(layer_writer_finish(t->writer, &totals, NULL), 0);
    layer_writer_free(steal_ptr(&t->writer));
    if (layer_index_open(t->fd, NULL, &t->layers[t->n], &e) < 0)
        fail_msg("%s", mvm_error_message(e));
    t->n++;
    (void) close(t->fd);
    t->fd = trees_file("index");
    assert_int_equal(layer_writer_new(t->fd, &t->writer, NULL), 0);
}

static inline void trees_merge(struct trees *t)
{
    mvm_autoerror mvm_error *e = NULL;
    int r = tree_new(&t->tree, &e);

    for (size_t i = 0; i < t->n && r == 0; i++)
        r = tree_apply(t->tree, t->layers[i], NULL, &e);
    if (r == 0)
        r = tree_finish(t->tree, NULL, &e);
    if (r < 0)
        fail_msg("%s", mvm_error_message(e));
}

static inline void trees_end(struct trees *t)
{
    if (t->view.p)
        (void) munmap((void *) t->view.p, t->view.size);
    tree_free(t->tree);
    layer_writer_free(t->writer);
    for (size_t i = 0; i < t->n; i++)
        layer_index_close(t->layers[i]);
    if (t->image_fd >= 0)
        (void) close(t->image_fd);
    (void) close(t->fd);
}

/* The metadata image again, of the same tree. */
static inline int trees_write_again(const struct trees *t, struct erofs_sum *ret)
{
    mvm_autoerror mvm_error *e = NULL;
    int fd = trees_file("image");

    if (erofs_write(fd, t->tree, NULL, ret, &e) < 0)
        fail_msg("%s", mvm_error_message(e));
    return fd;
}

/* fsck.erofs takes the whole disk: data files that are holes throughout will do. */
static inline void trees_fsck(const struct trees *t)
{
    const uint64_t disk = le32_get(t->view.p + 1024 + 36) * UINT64_C(4096);
    mvm_autoerror mvm_error *e = NULL;
    mvm_autofree char *out = NULL;
    /* Reading 4 GiB of zeros would take long and tell nothing more. */
    const bool decode = t->file_bytes < (64u << 20);
    const char *const argv[] = { "fsck.erofs", decode ? "--extract" : "-d3", "/proc/self/fd/0",
                                 NULL };
    const struct child_fd fds[] = { { t->image_fd, 0 } };
    const struct child_spec spec = { .argv = (char *const *) argv, .fds = fds, .n_fds = 1 };

    assert_int_equal(ftruncate(t->image_fd, (off_t) disk), 0);
    if (child_run(&spec, 60000, 1u << 20, &out, &e) < 0)
        fail_msg("%s", mvm_error_message(e));
}

/* Merges the layers so far and writes their image, which is right in all that can be told of it. */
static inline void trees_write(struct trees *t)
{
    const char *wrong;
    tree_inode where = 0;
    struct stat st;
    void *map;

    trees_merge(t);
    t->image_fd = trees_write_again(t, &t->sum);
    assert_int_equal(fstat(t->image_fd, &st), 0);
    assert_int_equal(t->sum.size, st.st_size);
    map = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_SHARED, t->image_fd, 0);
    assert_true(map != MAP_FAILED);
    t->view = (struct view){ map, (uint64_t) st.st_size };
    assert_int_equal(t->sum.crc, crc64_add(0, map, (size_t) st.st_size));
    wrong = view_compare(&t->view, t->tree, &where);
    if (wrong)
        fail_msg("inode %u: %s", where, wrong);
    trees_fsck(t);
}

/* The inode that @path leads to in the image, found name by name. */
static inline struct view_inode trees_look(const struct trees *t, const char *path)
{
    uint64_t nid = le16_get(t->view.p + 1024 + 14);
    struct view_inode n;

    assert_null(view_inode(&t->view, nid, &n));
    while (*path) {
        const size_t want = strcspn(path, "/");
        bool found = false;

        for (uint64_t offset = 0; offset < n.size && !found; offset += 4096) {
            size_t len;
            const unsigned char *p = view_data(&t->view, &n, offset, &len);
            const size_t names = le16_get(p + 8);

            for (size_t i = 0; i < names && !found; i += 12) {
                const size_t from = le16_get(p + i + 8);
                const size_t to = i + 12 < names ? le16_get(p + i + 20) : len;

                found = strnlen((const char *) p + from, to - from) == want &&
                        memcmp(p + from, path, want) == 0;
                nid = le64_get(p + i);
            }
        }
        if (!found)
            fail_msg("no '%s' in the image", path);
        assert_null(view_inode(&t->view, nid, &n));
        path += want + (path[want] == '/');
    }
    return n;
}

#endif
