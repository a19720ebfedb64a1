/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that nothing refers to. Whatever it is killed in the middle of, the next one ends. */
#include "image/store-gc.h"

#include "base/path.h"

#include <fcntl.h>
#include <sys/stat.h>

void gc_list_deinit(struct gc_list *l)
{
    free(l->items);
}

static int list_add(struct gc_list *l, const char *name, size_t len, mvm_error **err)
{
    if (len >= sizeof(l->items->text))
        return 0; /* none of ours */
    if (mem_grow(&l->items, &l->cap, l->n, sizeof(*l->items)) < 0)
        return mvm_fail_nomem(err);
    (void) snprintf(l->items[l->n].text, sizeof(l->items[l->n].text), "%.*s", (int) len, name);
    l->n++;
    return 0;
}

static int add_any(void *user, const char *name, mvm_error **err)
{
    return list_add(user, name, strlen(name), err);
}

static int add_layer_file(void *user, const char *name, mvm_error **err)
{
    static const char *const suffixes[] = { STORE_LAYER_OK, STORE_LAYER_DATA, STORE_LAYER_INDEX };
    size_t len = strlen(name);

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        size_t n = strlen(suffixes[i]);

        if (len > n && strcmp(name + len - n, suffixes[i]) == 0)
            return list_add(user, name, len - n, err);
    }
    return 0;
}

static int name_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* A layer has several files. */
static void list_sort(struct gc_list *l)
{
    size_t n = 0;

    if (l->n > 1)
        qsort(l->items, l->n, sizeof(*l->items), name_order);
    for (size_t i = 0; i < l->n; i++)
        if (n == 0 || strcmp(l->items[n - 1].text, l->items[i].text) != 0)
            l->items[n++] = l->items[i];
    l->n = n;
}

int gc_list_images(const struct gc *g, struct gc_list *ret, mvm_error **err)
{
    int r = path_each_name(g->store->images_fd, NULL, add_any, ret, err);

    list_sort(ret);
    return r;
}

int gc_list_layers(const struct gc *g, struct gc_list *ret, mvm_error **err)
{
    int r = path_each_name(g->store->layers_fd, NULL, add_layer_file, ret, err);

    list_sort(ret);
    return r;
}

/* Takes out layers that are in use as far as can be seen without locks. */
static int thin_out(const struct gc *g, struct gc_list *l, mvm_error **err)
{
    mvm_autovalue(store_usage) usage = { .n_images = 0 };
    int r = store_usage_read(g->store, &usage, err);
    size_t n = 0;

    if (r < 0)
        return r;
    for (size_t i = 0; i < l->n; i++)
        if (!store_usage_has_layer(&usage, l->items[i].text))
            l->items[n++] = l->items[i];
    l->n = n;
    return 0;
}

static int gc_layers(const struct gc *g, mvm_error **err)
{
    mvm_autovalue(gc_list) l = { .n = 0 };
    int r = gc_list_layers(g, &l, err);

    if (r == 0)
        r = thin_out(g, &l, err);
    return r < 0 ? r : gc_remove_layers(g, l.items, l.n, err);
}

/* After the lock nobody gives the image a name. */
static int gc_image(const struct gc *g, const char *name, bool all, mvm_error **err)
{
    mvm_autovalue(store_names) names = { .n = 0 };
    mvm_autoclose int fd = -EBADF;
    int r = gc_take_image(g, name, IMAGE_REMOVAL_KEPT, &fd, err);

    if (r <= 0)
        return r;
    r = all ? 0 : store_names_read(g->store, &names, err);
    if (r < 0 || store_names_have(&names, name))
        return r;
    return gc_remove_with_names(g, name, fd, err);
}

static int gc_images(const struct gc *g, bool all, mvm_error **err)
{
    mvm_autovalue(gc_list) l = { .n = 0 };
    mvm_autovalue(store_names) names = { .n = 0 };
    int r = gc_list_images(g, &l, err);

    if (r == 0)
        r = store_names_read(g->store, &names, err);
    for (size_t i = 0; i < l.n && r == 0; i++)
        if (all || !store_names_have(&names, l.items[i].text))
            r = gc_image(g, l.items[i].text, all, err);
    return r;
}

bool gc_has_image(const struct gc *g, const char *name)
{
    struct stat st;

    return fstatat(g->store->images_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* An image that is about to be made, or made anew, has the lock on its name. */
static int gc_name(const struct gc *g, const struct store_name_record *record, mvm_error **err)
{
    const struct store_name name = store_image_name(&record->record.manifest);
    mvm_autovalue(store_lock) lock = STORE_LOCK_NONE;

    if (gc_has_image(g, name.text) || store_lock_try(g->store, name.text, &lock, NULL) < 0 ||
        gc_has_image(g, name.text))
        return 0;
    return gc_remove_name(g, record, err);
}

static int gc_names(const struct gc *g, mvm_error **err)
{
    mvm_autovalue(store_names) names = { .n = 0 };
    int r = store_names_read(g->store, &names, err);

    for (size_t i = 0; i < names.n && r == 0; i++)
        r = gc_name(g, &names.items[i], err);
    return r;
}

/* A file that stays behind when its owner is killed does no harm, but there is no end to them. */
static int clean_lock(void *user, const char *name, mvm_error **err)
{
    mvm_autovalue(store_lock) lock = STORE_LOCK_NONE;

    (void) err;
    (void) store_lock_try(user, name, &lock, NULL);
    return 0;
}

int image_gc(struct image_store *store, const struct image_gc_options *o, image_removal_fn *fn,
             void *user, mvm_error **err)
{
    const struct image_gc_options wish = o ? *o : (struct image_gc_options){ .all = false };
    struct image_tick tick = { .fn = wish.progress,
                               .user = wish.progress_user,
                               .now = { .phase = IMAGE_PHASE_VERIFY, .name = "" } };
    const struct gc g = { .store = store, .fn = fn, .user = user, .tick = &tick };
    int r = gc_images(&g, wish.all, err);

    if (r == 0)
        r = gc_evict(&g, &wish, err);
    if (r == 0)
        r = gc_names(&g, err);
    if (r == 0)
        r = gc_layers(&g, err);
    if (r == 0 && wish.verify)
        r = gc_verify(&g, err);
    if (r == 0)
        r = path_each_name(store->locks_fd, NULL, clean_lock, store, err);
    return r < 0 ? mvm_context(err, r, "clear the image store") : 0;
}
