/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata image lies in the image's folder as root.erofs, with its record root.ok
 * (image/store-sums.h). It is nothing but what the layers say, so whatever is wrong with it, it is
 * made anew. When it is there and untouched, no file but the small records is read.
 */
#include "rootfs/block.h"

#include "base/file.h"
#include "base/path.h"
#include "erofs/writer.h"
#include "image/store-layer.h"
#include "image/store-sums.h"

#include <fcntl.h>
#include <malloc.h>

/* Only who has the lock on the image's name writes there. */
#define ROOT_DRAFT "root.new"

static const char *const root_names[] = { STORE_ROOT };

void rootfs_block_deinit(struct rootfs_block *b)
{
    for (size_t i = 0; i < b->n; i++)
        free(b->extents[i].path);
    free(b->extents);
    *b = (struct rootfs_block){ .n = 0 };
}

struct block {
    struct image_store *store; /* borrowed */
    const struct image *image; /* borrowed */
    struct image_tick *tick;   /* borrowed */
    struct layer_sums *sums;   /* owned: of each layer */
    uint64_t root_size;
};
static void block_deinit(struct block *b)
{
    free(b->sums);
}
MVM_DEFINE_AUTOVALUE(block, block_deinit)

static int fail_layer(const struct block *b, size_t i, int r, mvm_error **err)
{
    const struct oci_config *c = &b->image->config;

    return mvm_context(err, r, "layer %zu of %zu, diffID %s", i + 1, c->n_diff_ids,
                       digest_format(&c->diff_ids[i]).text);
}

static int find_layers(struct block *b, mvm_error **err)
{
    const struct oci_config *c = &b->image->config;

    b->sums = mem_array(c->n_diff_ids, sizeof(*b->sums));
    if (!b->sums)
        return mvm_fail_nomem(err);
    for (size_t i = 0; i < c->n_diff_ids; i++) {
        int r = store_layer_get(b->store, &c->diff_ids[i], b->tick, NULL, &b->sums[i], err);

        if (r < 0)
            return fail_layer(b, i, r == MVM_E_NOT_FOUND ? MVM_E_DIGEST : r, err);
    }
    return 0;
}

/* The indexes of all layers, as long as the tree borrows them. */
struct indexes {
    struct layer_index **items; /* owned, each of them too */
    size_t n;
};
static void indexes_deinit(struct indexes *x)
{
    for (size_t i = 0; i < x->n; i++)
        layer_index_close(x->items[i]);
    free(x->items);
}
MVM_DEFINE_AUTOVALUE(indexes, indexes_deinit)

static int open_index(const struct block *b, size_t i, struct layer_index **ret, mvm_error **err)
{
    const struct store_name name = store_layer_name(&b->image->config.diff_ids[i]);
    const struct store_file file = store_layer_file(name.text, STORE_LAYER_INDEX);
    mvm_auto(layer_index) x = NULL;
    mvm_autoclose int fd = -EBADF;
    int r = path_open_beneath(b->store->layers_fd, file.text, O_RDONLY | O_NONBLOCK, 0, &fd, err);

    if (r == 0)
        r = layer_index_open(fd, b->tick, &x, err);
    /* What the image's block addresses are counted in. */
    if (r == 0 && layer_index_totals(x)->data_blocks != b->sums[i].data_size / LAYER_BLOCK)
        r = mvm_fail(err, MVM_E_FORMAT, 0, "index and data do not belong together");
    if (r < 0)
        return r;
    *ret = steal_ptr(&x);
    return 0;
}

static int build_tree(const struct block *b, struct indexes *x, struct tree *t, mvm_error **err)
{
    size_t n = b->image->config.n_diff_ids;

    x->items = mem_array(n, sizeof(struct layer_index *));
    if (!x->items)
        return mvm_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        int r = open_index(b, i, &x->items[i], err);

        if (r == 0)
            r = tree_apply(t, x->items[x->n++], b->tick, err);
        if (r < 0)
            return fail_layer(b, i, r, err);
    }
    return tree_finish(t, b->tick, err);
}

static int write_draft(const struct block *b, struct sums_part *ret, mvm_error **err)
{
    mvm_autovalue(indexes) x = { .n = 0 };
    mvm_auto(tree) t = NULL;
    mvm_autoclose int fd = -EBADF;
    struct erofs_sum sum;
    int r;

    /* What fetching and converting the layers has freed, before the most that a pull needs. */
    (void) malloc_trim(0);
    r = tree_new(&t, err);
    if (r == 0)
        r = build_tree(b, &x, t, err);
    if (r == 0)
        r = path_open_beneath(b->image->lock_fd, ROOT_DRAFT, O_RDWR | O_CREAT | O_EXCL, 0600, &fd,
                              err);
    if (r == 0)
        r = erofs_write(fd, t, b->tick, &sum, err);
    if (r == 0)
        r = sums_sync(fd, "the root filesystem image", b->tick, err);
    if (r < 0)
        return r;
    *ret = (struct sums_part){ .size = sum.size, .crc = sum.crc };
    return 0;
}

static int write_ok(int folder_fd, struct sums *sums, mvm_error **err)
{
    unsigned char data[SUMS_SIZE_MAX];
    int r = sums_stamp(sums, folder_fd, root_names, err);

    return r < 0 ? r
                 : file_write(folder_fd, STORE_ROOT_OK, data, sums_encode(sums, data), 0600, err);
}

static int build_root(const struct block *b, struct sums *ret, mvm_error **err)
{
    int fd = b->image->lock_fd, r;

    ret->n = 1;
    file_sweep(fd);
    r = path_remove_tree(fd, ROOT_DRAFT, err);
    if (r == 0)
        r = path_remove_tree(fd, STORE_ROOT_OK, err);
    if (r == 0)
        r = store_clear_odd(fd, STORE_ROOT, err);
    if (r == 0)
        r = write_draft(b, &ret->parts[0], err);
    if (r == 0 && renameat(fd, ROOT_DRAFT, fd, STORE_ROOT) < 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "rename the new image");
    if (r == 0)
        r = write_ok(fd, ret, err);
    if (r < 0) {
        (void) unlinkat(fd, ROOT_DRAFT, 0); /* else the next one removes it */
        return mvm_context(err, r, "build the root filesystem image");
    }
    return 0;
}

/* With the lock on the image's name: another process may have made it meanwhile. */
static int mend_root(const struct block *b, struct sums *ret, mvm_error **err)
{
    int fd = b->image->lock_fd;

    if (sums_read(fd, STORE_ROOT_OK, 1, ret, NULL) == 0) {
        mvm_autoerror mvm_error *why = NULL;
        int r;

        if (sums_fit(ret, fd, root_names))
            return 0;
        r = sums_verify(ret, fd, root_names, b->tick, &why);
        if (r == 0)
            return write_ok(fd, ret, err);
        if (r == MVM_E_CANCELLED) {
            error_move(err, steal_ptr(&why));
            return r;
        }
    }
    b->tick->now.phase = IMAGE_PHASE_BUILD;
    return build_root(b, ret, err);
}

static int find_root(struct block *b, mvm_error **err)
{
    const struct store_name name = store_image_name(&b->image->manifest);
    mvm_autovalue(store_lock) lock = STORE_LOCK_NONE;
    struct sums sums;
    int r;

    r = sums_read(b->image->lock_fd, STORE_ROOT_OK, 1, &sums, NULL);
    if (r < 0 || !sums_fit(&sums, b->image->lock_fd, root_names)) {
        r = store_lock_take(b->store, name.text, b->tick, &lock, err);
        if (r == 0)
            r = mend_root(b, &sums, err);
    }
    if (r == 0)
        b->root_size = sums.parts[0].size;
    return r;
}

static int add_extent(struct rootfs_block *to, uint64_t size, char *path, mvm_error **err)
{
    if (!path)
        return mvm_fail_nomem(err);
    to->extents[to->n++] = (struct rootfs_extent){ .path = path, .size = size };
    return 0;
}

static char *layer_path(const struct block *b, size_t i)
{
    const struct store_name name = store_layer_name(&b->image->config.diff_ids[i]);
    const struct store_file file = store_layer_file(name.text, STORE_LAYER_DATA);
    char *path;

    return asprintf(&path, "%s/layers/%s", b->store->path, file.text) < 0 ? NULL : path;
}

static char *root_path(const struct block *b)
{
    const struct store_name name = store_image_name(&b->image->manifest);
    char *path;

    return asprintf(&path, "%s/images/%s/" STORE_ROOT, b->store->path, name.text) < 0 ? NULL : path;
}

static int list_extents(const struct block *b, struct rootfs_block *to, mvm_error **err)
{
    size_t n = b->image->config.n_diff_ids;
    int r;

    to->extents = mem_array(n + 1, sizeof(*to->extents));
    if (!to->extents)
        return mvm_fail_nomem(err);
    r = add_extent(to, b->root_size, root_path(b), err);
    for (size_t i = 0; i < n && r == 0; i++)
        if (b->sums[i].data_size > 0)
            r = add_extent(to, b->sums[i].data_size, layer_path(b, i), err);
    return r;
}

int rootfs_block_open(struct image_store *store, const struct image *image,
                      image_progress_fn *progress, void *user, struct rootfs_block *ret,
                      mvm_error **err)
{
    const struct digest_text text = digest_format(&image->manifest);
    struct image_tick tick = { .fn = progress,
                               .user = user,
                               .now = { .phase = IMAGE_PHASE_RESOLVE, .name = text.text } };
    mvm_autovalue(block) b = { .store = store, .image = image, .tick = &tick };
    mvm_autovalue(rootfs_block) made = { .n = 0 };
    int r = find_layers(&b, err);

    if (r == 0)
        r = find_root(&b, err);
    if (r == 0)
        r = list_extents(&b, &made, err);
    if (r < 0)
        return mvm_context(err, r, "image %s", text.text);
    *ret = made;
    made = (struct rootfs_block){ .n = 0 };
    return 0;
}
