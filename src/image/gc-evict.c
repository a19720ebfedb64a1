/* SPDX-License-Identifier: Apache-2.0 */
/* Images that go although they have a name: which nobody has used for long, or for which there is
 * no room. */
#include "image/store-gc.h"

#include <time.h>

struct eviction {
    const struct gc *gc; /* borrowed */
    struct store_usage usage;
    bool *gone;      /* owned: of each image of the usage */
    uint32_t *order; /* owned: their indexes, least recently used first */
};
static void eviction_deinit(struct eviction *e)
{
    free(e->order);
    free(e->gone);
    store_usage_deinit(&e->usage);
}
MVM_DEFINE_AUTOVALUE(eviction, eviction_deinit)

static int used_order(const void *a, const void *b, void *user)
{
    const struct usage_image *images = user;
    const struct usage_image *x = &images[*(const uint32_t *) a],
                             *y = &images[*(const uint32_t *) b];

    if (x->used_ns != y->used_ns)
        return x->used_ns < y->used_ns ? -1 : 1;
    return strcmp(x->name.text, y->name.text);
}

static int eviction_init(struct eviction *e, mvm_error **err)
{
    int r = store_usage_read(e->gc->store, &e->usage, err);
    size_t n = e->usage.n_images;

    if (r < 0)
        return r;
    e->gone = mem_array(n, sizeof(*e->gone));
    e->order = mem_array(n, sizeof(*e->order));
    if (!e->gone || !e->order)
        return mvm_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        e->order[i] = (uint32_t) i;
    if (n > 1)
        qsort_r(e->order, n, sizeof(*e->order), used_order, e->usage.images);
    return 0;
}

static int evict(struct eviction *e, uint32_t i, mvm_error **err)
{
    const struct usage_image *image = &e->usage.images[i];
    mvm_autoclose int fd = -EBADF;
    int r = gc_take_image(e->gc, image->name.text, IMAGE_REMOVAL_KEPT, &fd, err);

    if (r == 0)
        e->gone[i] = !gc_has_image(e->gc, image->name.text);
    /* It is not the least recently used any more if somebody has used it meanwhile. */
    if (r <= 0 || store_image_used_ns(fd) != image->used_ns)
        return r < 0 ? r : 0;
    r = gc_remove_with_names(e->gc, image->name.text, fd, err);
    e->gone[i] = r == 0;
    return r;
}

/* What the images take that are left: each layer once, as long as one of them has it. */
static uint64_t bytes_left(const struct eviction *e)
{
    const struct store_usage *u = &e->usage;
    uint64_t bytes = 0;

    for (size_t i = 0; i < u->n_images; i++)
        bytes += e->gone[i] ? 0 : u->images[i].own;
    for (size_t i = 0, end; i < u->n_links; i = end) {
        bool needed = false;

        for (end = i;
             end < u->n_links && strcmp(u->links[i].layer.text, u->links[end].layer.text) == 0;
             end++)
            needed |= !e->gone[u->links[end].image];
        bytes += needed ? u->links[i].bytes : 0;
    }
    return bytes;
}

static int evict_old(struct eviction *e, uint64_t older_than_s, mvm_error **err)
{
    uint64_t now_s = (uint64_t) time(NULL);
    int r = 0;

    if (older_than_s >= now_s)
        return 0;
    for (size_t k = 0; k < e->usage.n_images && r == 0; k++) {
        int64_t used_s = e->usage.images[e->order[k]].used_ns / 1000000000;

        if (used_s <= (int64_t) (now_s - older_than_s))
            r = evict(e, e->order[k], err);
    }
    return r;
}

static int evict_to_fit(struct eviction *e, uint64_t keep_bytes, mvm_error **err)
{
    int r = 0;

    for (size_t k = 0; k < e->usage.n_images && r == 0 && bytes_left(e) > keep_bytes; k++)
        if (!e->gone[e->order[k]])
            r = evict(e, e->order[k], err);
    return r;
}

int gc_evict(const struct gc *g, const struct image_gc_options *o, mvm_error **err)
{
    mvm_autovalue(eviction) e = { .gc = g };
    int r;

    if (o->older_than_s == 0 && o->keep_bytes == 0)
        return 0;
    r = eviction_init(&e, err);
    if (r == 0 && o->older_than_s > 0)
        r = evict_old(&e, o->older_than_s, err);
    if (r == 0 && o->keep_bytes > 0)
        r = evict_to_fit(&e, o->keep_bytes, err);
    return r;
}
