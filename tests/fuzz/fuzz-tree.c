/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging layers. A line of the input is a record: a letter for its kind, a blank, its path and,
 * for links, a blank and the target; an empty path is the root. A line "-" begins the next layer,
 * a line that is no record is left out.
 */
#include "image/test-tree-check.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LAYERS_MAX 8
#define RECORDS_MAX 256

struct layers {
    struct layer_index *items[LAYERS_MAX]; /* owned */
    size_t n;
};
static void layers_deinit(struct layers *l)
{
    while (l->n > 0)
        layer_index_close(l->items[--l->n]);
}
MVM_DEFINE_AUTOVALUE(layers, layers_deinit)

struct line {
    const char *text;
    size_t len;
};

static bool next_line(const uint8_t **data, size_t *size, struct line *ret)
{
    const uint8_t *end = memchr(*data, '\n', *size);

    if (*size == 0)
        return false;
    ret->text = (const char *) *data;
    ret->len = end ? (size_t) (end - *data) : *size;
    *size -= end ? ret->len + 1 : ret->len;
    *data += end ? ret->len + 1 : ret->len;
    return true;
}

static bool is_separator(const struct line *l)
{
    return l->len == 1 && l->text[0] == '-';
}

/* The writer refuses what is no record. */
static void add_record(struct layer_writer *w, const struct line *l)
{
    static const char kinds[] = "?fdlhcbpwo"; /* in the order of enum layer_kind */
    const char *kind = l->len > 1 ? memchr(kinds, l->text[0], sizeof(kinds) - 1) : NULL;
    const char *path = l->text + 2;
    size_t len = l->len > 2 ? l->len - 2 : 0;
    const char *blank = memchr(path, ' ', len);
    struct layer_record r = { .link = "", .content = "content" };

    if (!kind || l->text[1] != ' ' || len > UINT16_MAX)
        return;
    r.kind = (enum layer_kind)(kind - kinds);
    r.path = path;
    r.path_len = (uint16_t) (blank ? blank - path : (ptrdiff_t) len);
    if (blank) {
        r.link = blank + 1;
        r.link_len = (uint16_t) (len - r.path_len - 1u);
    }
    r.size = r.kind == LAYER_FILE ? 7 : 0;
    r.mode = (uint16_t) (l->len & 07777);
    (void) layer_writer_add(w, &r, NULL);
}

static void add_layer(struct layers *layers, const uint8_t **data, size_t *size)
{
    const struct layer_totals totals = { 0 };
    mvm_auto(layer_writer) w = NULL;
    mvm_autoclose int fd = memfd_create("index", MFD_CLOEXEC);
    struct line line;

    assert(fd >= 0 && layer_writer_new(fd, &w, NULL) == 0);
    for (size_t n = 0; n < RECORDS_MAX && next_line(data, size, &line) && !is_separator(&line); n++)
        add_record(w, &line);
    assert(layer_writer_finish(w, &totals, NULL) == 0);
    assert(layer_index_open(fd, NULL, &layers->items[layers->n], NULL) == 0);
    layers->n++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(layers) layers = { .n = 0 };
    mvm_auto(tree) t = NULL;
    mvm_autoerror mvm_error *e = NULL;
    int r = tree_new(&t, &e);

    assert(r == 0);
    while (size > 0 && layers.n < LAYERS_MAX && r == 0) {
        add_layer(&layers, &data, &size);
        r = tree_apply(t, layers.items[layers.n - 1], NULL, &e);
    }
    assert(r == 0 || r == MVM_E_FORMAT || r == MVM_E_LIMIT);
    if (r < 0) {
        assert(strlen(mvm_error_message(e)) > 0);
        return 0;
    }
    assert(tree_finish(t, NULL, NULL) == 0);
    check_tree(t);
    return 0;
}
