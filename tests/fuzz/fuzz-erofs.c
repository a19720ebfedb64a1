/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any tree that layers can make becomes an image, and a reader that knows nothing of the writer
 * finds the same tree in it. The input is a sequence of records:
 *
 *   kind   one byte, as enum layer_kind; 0 begins the next layer
 *   mode   two bytes, little-endian, as all numbers here
 *   how    one byte: 1 a large owner, 2 a time of its own, 4 a large device number; its upper half
 *          counts extended attributes
 *   size   two bytes, of a file; its content is what layers keep inline, or a place in their data
 *   path   its length in two bytes, and its bytes
 *   link   the same
 *   each extended attribute: one byte that chooses the prefix, the length of the value in two
 * bytes, the length of the rest of the name in one byte, and that rest
 */
#include "erofs/test-view.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LAYERS_MAX 4
#define RECORDS_MAX 512
#define XATTRS_MAX 15
/* Beyond the largest size that the input can say. */
#define DATA_BLOCKS 32

struct input {
    const uint8_t *data;
    size_t size;
    struct layer_index *layers[LAYERS_MAX]; /* owned */
    size_t n;
};
static void input_deinit(struct input *in)
{
    while (in->n > 0)
        layer_index_close(in->layers[--in->n]);
}
MVM_DEFINE_AUTOVALUE(input, input_deinit)

static unsigned take(struct input *in, size_t bytes)
{
    unsigned value = 0;

    for (size_t i = 0; i < bytes && in->size > 0; i++, in->size--)
        value |= (unsigned) *in->data++ << (8 * i);
    return value;
}

static const char *take_text(struct input *in, size_t bytes, uint16_t *ret_len)
{
    const size_t want = take(in, bytes), len = want < in->size ? want : in->size;
    const char *text = (const char *) in->data;

    in->data += len;
    in->size -= len;
    *ret_len = (uint16_t) len;
    return text;
}

struct names {
    char text[XATTRS_MAX][300];
};

static void take_xattr(struct input *in, struct layer_xattr *ret, char *name, size_t name_size)
{
    static const char *const prefixes[] = {
        "user.",   "trusted.", "security.", "system.posix_acl_access", "system.posix_acl_default",
        "system.", ""
    };
    static const char value[UINT16_MAX] = "value";
    const char *prefix = prefixes[take(in, 1) % ARRAY_SIZE(prefixes)];
    const char *rest;
    uint16_t len;

    ret->value = value;
    ret->value_len = take(in, 2);
    rest = take_text(in, 1, &len);
    (void) snprintf(name, name_size, "%s%.*s", prefix, (int) len, rest);
    ret->name = name;
}

/* The writer refuses what is no record. */
static void take_record(struct input *in, struct layer_writer *w, unsigned kind)
{
    static const char content[LAYER_INLINE_MAX] = "content";
    mvm_autofree struct names *names = malloc(sizeof(*names));
    struct layer_xattr xattrs[XATTRS_MAX];
    struct layer_record r = { .kind = (enum layer_kind) kind, .xattrs = xattrs };
    unsigned how;

    assert(names);
    r.mode = take(in, 2) & 07777;
    how = take(in, 1);
    r.size = take(in, 2);
    r.path = take_text(in, 2, &r.path_len);
    r.link = take_text(in, 2, &r.link_len);
    r.uid = how & 1 ? 65536 : 1000;
    r.gid = r.mode;
    r.mtime_s = how & 2 ? -(int64_t) r.size : 1700000000;
    r.mtime_ns = how & 2 ? r.mode : 0;
    if (kind == LAYER_CHAR || kind == LAYER_BLOCK_DEVICE)
        r.device = how & 4 ? makedev(LAYER_DEVICE_MAJOR_MAX, LAYER_DEVICE_MINOR_MAX - r.mode)
                           : makedev(r.mode & 0xff, r.size & 0xff);
    r.size = kind == LAYER_FILE ? r.size : 0;
    r.content = r.size <= LAYER_INLINE_MAX ? content : NULL;
    r.data_block = r.content ? 0 : r.mode % 8;
    if (kind != LAYER_SYMLINK && kind != LAYER_HARDLINK)
        r.link_len = 0;
    for (r.n_xattrs = 0; r.n_xattrs < how >> 4; r.n_xattrs++)
        take_xattr(in, &xattrs[r.n_xattrs], names->text[r.n_xattrs], sizeof(*names->text));
    (void) layer_writer_add(w, &r, NULL);
}

static void take_layer(struct input *in)
{
    const struct layer_totals totals = { .data_blocks = in->n == 1 ? 0 : DATA_BLOCKS };
    mvm_auto(layer_writer) w = NULL;
    mvm_autoclose int fd = memfd_create("index", MFD_CLOEXEC);
    unsigned kind;

    assert(fd >= 0 && layer_writer_new(fd, &w, NULL) == 0);
    for (size_t n = 0; n < RECORDS_MAX && (kind = take(in, 1)) != 0; n++)
        take_record(in, w, kind);
    /* A layer without data must have no file that needs it: such inputs end here. */
    if (layer_writer_finish(w, &totals, NULL) == 0 &&
        layer_index_open(fd, NULL, &in->layers[in->n], NULL) == 0)
        in->n++;
    else
        in->size = 0;
}

static void check_image(const struct tree *t)
{
    mvm_autoclose int fd = memfd_create("image", MFD_CLOEXEC);
    struct erofs_sum sum = { .size = 0 };
    tree_inode where = 0;
    struct view v;
    const char *wrong;
    void *map;

    assert(fd >= 0 && erofs_write(fd, t, NULL, &sum, NULL) == 0);
    assert(lseek(fd, 0, SEEK_END) == (off_t) sum.size);
    map = mmap(NULL, sum.size, PROT_READ, MAP_SHARED, fd, 0);
    assert(map != MAP_FAILED);
    v = (struct view){ map, sum.size };
    wrong = view_compare(&v, t, &where);
    if (wrong) {
        fprintf(stderr, "inode %u: %s\n", where, wrong);
        abort();
    }
    (void) munmap(map, sum.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(input) in = { .data = data, .size = size };
    mvm_auto(tree) t = NULL;
    int r = tree_new(&t, NULL);

    while (r == 0 && in.size > 0 && in.n < LAYERS_MAX) {
        const size_t before = in.n;

        take_layer(&in);
        if (in.n > before)
            r = tree_apply(t, in.layers[before], NULL, NULL);
    }
    if (r == 0)
        r = tree_finish(t, NULL, NULL);
    if (r == 0)
        check_image(t);
    return 0;
}
