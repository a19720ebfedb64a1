/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of removing; the order of locking, reading and removing is told in store-internal.h. */
#include "image/store-gc.h"

#include "base/path.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

/* Layers whose locks are held at once: two descriptors each. */
#define GC_BATCH 64

void gc_tell(const struct gc *g, enum image_removal_kind kind, const char *name, uint64_t bytes)
{
    const struct image_removal what = { .kind = kind, .name = name, .bytes = bytes };

    if (g->fn)
        g->fn(g->user, &what);
}

/* "sha256-<hex>" of a layer, "<hex>" of an image. */
void gc_tell_stored(const struct gc *g, enum image_removal_kind kind, const char *name,
                    uint64_t bytes)
{
    const char *dash = strchr(name, '-');
    char text[STORE_NAME_MAX + 8];

    if (dash)
        (void) snprintf(text, sizeof(text), "%.*s:%s", (int) (dash - name), name, dash + 1);
    else
        (void) snprintf(text, sizeof(text), "sha256:%s", name);
    gc_tell(g, kind, text, bytes);
}

int gc_lock_image(const struct gc *g, const char *name, int *ret_fd, mvm_error **err)
{
    int images_fd = g->store->images_fd;
    mvm_autoclose int fd = -EBADF;
    int r = store_open_image(g->store, name, &fd, err);

    if (r < 0)
        return r;
    if (store_flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? mvm_fail(err, MVM_E_BUSY, 0, "the image is in use")
                                    : mvm_fail(err, MVM_E_SYS, errno, "lock the image");
    if (!store_is_current(images_fd, name, fd))
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "the image was removed");
    *ret_fd = steal_fd(&fd);
    return 0;
}

int gc_take_image(const struct gc *g, const char *name, enum image_removal_kind busy, int *ret_fd,
                  mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    int r = gc_lock_image(g, name, ret_fd, &why);

    if (r == 0)
        return 1;
    if (r == MVM_E_BUSY)
        gc_tell_stored(g, busy, name, 0);
    if (r == MVM_E_BUSY || r == MVM_E_NOT_FOUND)
        return 0;
    error_move(err, steal_ptr(&why));
    return r;
}

int gc_remove_image(const struct gc *g, const char *name, int lock_fd, mvm_error **err)
{
    uint64_t bytes = store_image_bytes(lock_fd);
    int r = store_discard_image(g->store, name, lock_fd, g->tick, err);

    if (r == 0)
        gc_tell_stored(g, IMAGE_REMOVAL_IMAGE, name, bytes);
    return r;
}

int gc_remove_name(const struct gc *g, const struct store_name_record *name, mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    int r = store_ref_remove(g->store, name->file, &name->record.manifest, g->tick, &why);

    /* A pull has given it to another image meanwhile, or somebody else has removed it. */
    if (r == MVM_E_NOT_FOUND)
        return 0;
    if (r < 0) {
        error_move(err, steal_ptr(&why));
        return r;
    }
    if (!name->identity)
        gc_tell(g, IMAGE_REMOVAL_NAME, name->record.name, 0);
    return 0;
}

int gc_remove_with_names(const struct gc *g, const char *name, int lock_fd, mvm_error **err)
{
    mvm_autovalue(store_names) names = { .n = 0 };
    int r = store_names_read(g->store, &names, err);

    for (size_t i = 0; i < names.n && r == 0; i++)
        if (strcmp(store_image_name(&names.items[i].record.manifest).text, name) == 0)
            r = gc_remove_name(g, &names.items[i], err);
    return r < 0 ? r : gc_remove_image(g, name, lock_fd, err);
}

/* One layer with its locks. */
struct victim {
    const char *name; /* borrowed; NULL: not to be had */
    struct store_lock lock;
    int ok_fd; /* owned; negative: there is no record */
};

static void victim_deinit(struct victim *v)
{
    store_lock_deinit(&v->lock);
    if (v->ok_fd >= 0)
        (void) close(v->ok_fd);
    v->ok_fd = -EBADF;
}

/* A layer that is pinned, or in the making, is nobody's to remove. */
static void victim_take(const struct gc *g, const char *name, struct victim *v)
{
    int r;

    *v = (struct victim){ .lock = STORE_LOCK_NONE, .ok_fd = -EBADF };
    if (store_lock_try(g->store, name, &v->lock, NULL) < 0)
        return;
    r = store_layer_open_ok(g->store, name, &v->ok_fd, NULL);
    if (r == MVM_E_NOT_FOUND || r == MVM_E_FORMAT ||
        (r == 0 && store_flock(v->ok_fd, LOCK_EX | LOCK_NB) == 0))
        v->name = name;
}

static int victim_remove(const struct gc *g, const struct victim *v, mvm_error **err)
{
    uint64_t bytes = 0;
    int r = store_layer_remove(g->store, v->name, &bytes, err);

    if (r == 0)
        gc_tell_stored(g, v->ok_fd >= 0 ? IMAGE_REMOVAL_LAYER : IMAGE_REMOVAL_LITTER, v->name,
                       bytes);
    return r;
}

static int remove_batch(const struct gc *g, const struct store_name *names, size_t n,
                        mvm_error **err)
{
    mvm_autovalue(store_usage) usage = { .n_images = 0 };
    mvm_autofree struct victim *victims = mem_array(n, sizeof(*victims));
    int r;

    if (!victims)
        return mvm_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        victim_take(g, names[i].text, &victims[i]);
    r = store_usage_read(g->store, &usage, err);
    for (size_t i = 0; i < n; i++) {
        if (r == 0 && victims[i].name && !store_usage_has_layer(&usage, victims[i].name))
            r = victim_remove(g, &victims[i], err);
        victim_deinit(&victims[i]);
    }
    return r;
}

int gc_remove_layers(const struct gc *g, const struct store_name *names, size_t n, mvm_error **err)
{
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i += GC_BATCH)
        r = remove_batch(g, names + i, n - i < GC_BATCH ? n - i : GC_BATCH, err);
    return r;
}
