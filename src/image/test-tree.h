/* SPDX-License-Identifier: Apache-2.0 */
/* For tests over merged trees: layers made of records, in memory files, and looking a name up. */
#ifndef IMAGE_TEST_TREE_H
#define IMAGE_TEST_TREE_H

#include "image/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

struct record_spec {
    enum layer_kind kind; /* 0: the end of a list */
    const char *path;
    const char *text; /* content of a file, target of a link */
    uint16_t mode;    /* 0: 0644, of a directory 0755 */
    uint32_t uid, gid;
    int64_t mtime_s;
    uint32_t mtime_ns;
    dev_t device;
    const struct layer_xattr *xattrs;
    uint16_t n_xattrs;
    uint64_t size, data_block; /* of a file in the data; size 0: that of text */
};
#define SPEC(k, p, t)                         \
    {                                         \
        .kind = (k), .path = (p), .text = (t) \
    }
#define A_FILE(path, text) SPEC(LAYER_FILE, path, text)
#define A_DIR(path) SPEC(LAYER_DIR, path, NULL)
#define A_LINK(path, to) SPEC(LAYER_SYMLINK, path, to)
#define A_HARD(path, to) SPEC(LAYER_HARDLINK, path, to)
#define A_FIFO(path) SPEC(LAYER_FIFO, path, NULL)
#define A_HOLE(path) SPEC(LAYER_WHITEOUT, path, NULL)
#define AN_OPAQUE(path) SPEC(LAYER_OPAQUE, path, NULL)

static inline struct layer_record record_of_spec(const struct record_spec *s)
{
    bool links = s->kind == LAYER_SYMLINK || s->kind == LAYER_HARDLINK;
    uint16_t mode = s->kind == LAYER_DIR ? 0755 : 0644;
    struct layer_record r = { .kind = s->kind,
                              .path = s->path,
                              .path_len = (uint16_t) strlen(s->path),
                              .link = links ? s->text : "",
                              .mode = s->mode ? s->mode & 07777 : mode,
                              .uid = s->uid,
                              .gid = s->gid,
                              .mtime_s = s->mtime_s,
                              .mtime_ns = s->mtime_ns,
                              .device = s->device,
                              .xattrs = s->xattrs,
                              .n_xattrs = s->n_xattrs,
                              .size = s->size,
                              .data_block = s->data_block };

    r.link_len = (uint16_t) strlen(r.link);
    if (s->kind == LAYER_FILE && s->size == 0) {
        r.content = s->text;
        r.size = s->text ? strlen(s->text) : 0;
    }
    return r;
}

/* A layer that is being written to a memory file. */
struct layer_draft {
    int fd;
    struct layer_writer *w;
};
static inline struct layer_draft draft_begin(void)
{
    struct layer_draft d = { .fd = memfd_create("index", MFD_CLOEXEC) };

    assert_true(d.fd >= 0);
    assert_int_equal(layer_writer_new(d.fd, &d.w, NULL), 0);
    return d;
}
static inline void draft_add(struct layer_draft *d, const struct record_spec *s)
{
    const struct layer_record r = record_of_spec(s);
    mvm_autoerror mvm_error *e = NULL;

    if (layer_writer_add(d->w, &r, &e) < 0)
        fail_msg("%s: %s", s->path, mvm_error_message(e));
}
static inline struct layer_index *draft_end(struct layer_draft *d, uint64_t data_blocks)
{
    const struct layer_totals totals = { .data_blocks = data_blocks };
    struct layer_index *x = NULL;

    assert_int_equal(layer_writer_finish(d->w, &totals, NULL), 0);
    layer_writer_free(d->w);
    assert_int_equal(layer_index_open(d->fd, NULL, &x, NULL), 0);
    (void) close(d->fd);
    return x;
}
static inline struct layer_index *layer_of_specs(const struct record_spec *specs,
                                                 uint64_t data_blocks)
{
    struct layer_draft d = draft_begin();

    for (; specs->kind; specs++)
        draft_add(&d, specs);
    return draft_end(&d, data_blocks);
}

/* The layers of a test, as long as its tree lives. */
#define STACK_MAX 8
struct layer_stack {
    struct layer_index *layers[STACK_MAX];
    size_t n;
    struct tree *tree;
};
static inline void layer_stack_deinit(struct layer_stack *s)
{
    tree_free(s->tree);
    while (s->n > 0)
        layer_index_close(s->layers[--s->n]);
}
MVM_DEFINE_AUTOVALUE(layer_stack, layer_stack_deinit)
static inline int stack_apply(struct layer_stack *s, struct layer_index *x, mvm_error **err)
{
    assert_true(s->n < STACK_MAX);
    s->layers[s->n++] = x;
    if (!s->tree)
        assert_int_equal(tree_new(&s->tree, NULL), 0);
    return tree_apply(s->tree, x, NULL, err);
}
static inline int stack_add(struct layer_stack *s, const struct record_spec *specs, mvm_error **err)
{
    return stack_apply(s, layer_of_specs(specs, 1000), err);
}

/* Of a finished tree; symlinks are not followed. TREE_NONE. */
static inline tree_entry tree_look_up(const struct tree *t, const char *path)
{
    tree_entry dir = 0;

    while (*path && dir != TREE_NONE) {
        size_t n = strcspn(path, "/"), len = 0;
        tree_entry e = tree_first_child(t, dir);

        while (e != TREE_NONE && (strncmp(tree_entry_name(t, e, &len), path, n) != 0 || len != n))
            e = tree_next_sibling(t, e);
        dir = e;
        path += n + (path[n] == '/');
    }
    return dir;
}
static inline void get_record(const struct tree *t, const char *path, struct layer_cursor *c)
{
    tree_entry e = tree_look_up(t, path);
    uint32_t layer;

    if (e == TREE_NONE)
        fail_msg("'%s' is missing", path);
    assert_int_equal(tree_get_inode(t, tree_entry_inode(t, e), c, &layer, NULL), 0);
}

#endif
