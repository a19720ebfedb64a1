/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading all of the store: a failing disk, and whoever sets the times back, changes files that
 * look untouched. What is damaged is removed, so that the next pull or start makes it anew; what a
 * VM uses is left and named. What somebody has the lock on is in the making, and left out.
 */
#include "image/store-gc.h"
#include "image/store-sums.h"

#include "base/path.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

static const char *const root_names[] = { STORE_ROOT };

static int take_damaged(const struct gc *g, const char *name, int *ret_fd, mvm_error **err)
{
    return gc_take_image(g, name, IMAGE_REMOVAL_KEPT_DAMAGED, ret_fd, err);
}

static bool is_folder(const struct gc *g, const char *name)
{
    struct stat st;

    return fstatat(g->store->images_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode);
}

static int remove_image(const struct gc *g, const char *name, mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    uint64_t bytes;
    /* What is no folder has no lock that anybody could hold. */
    int r = is_folder(g, name) ? take_damaged(g, name, &fd, err) : 1;

    if (r <= 0)
        return r;
    bytes = fd < 0 ? 0 : store_image_bytes(fd);
    r = store_discard_image(g->store, name, fd, g->tick, err);
    if (r == 0)
        gc_tell_stored(g, IMAGE_REMOVAL_DAMAGED_IMAGE, name, bytes);
    return r;
}

static int remove_root(const struct gc *g, const char *name, mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    uint64_t bytes;
    int r = take_damaged(g, name, &fd, err);

    if (r <= 0)
        return r;
    bytes = store_image_bytes(fd);
    r = path_remove_tree(fd, STORE_ROOT_OK, err);
    if (r == 0)
        r = path_remove_tree(fd, STORE_ROOT, err);
    if (r == 0)
        gc_tell_stored(g, IMAGE_REMOVAL_DAMAGED_ROOT, name, bytes - store_image_bytes(fd));
    return r;
}

/* Nothing but its record says that there is one. */
static int verify_root(const struct gc *g, const char *name, int folder_fd, mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    struct sums sums;
    int r = sums_read(folder_fd, STORE_ROOT_OK, 1, &sums, &why);

    if (r == MVM_E_NOT_FOUND)
        return 0;
    if (r == 0)
        r = sums_verify(&sums, folder_fd, root_names, g->tick, &why);
    if (store_is_damage(r))
        return remove_root(g, name, err);
    error_move(err, steal_ptr(&why));
    return r;
}

static int verify_documents(const struct gc *g, const char *name, int *ret_fd, mvm_error **err)
{
    mvm_autovalue(oci_document) doc = { .is_index = false };
    mvm_autovalue(oci_config) config = { .os = NULL };
    int r = store_open_image(g->store, name, ret_fd, err);

    return r < 0 ? r : store_read_image(*ret_fd, name, &doc, &config, err);
}

static int verify_image(const struct gc *g, const char *name, mvm_error **err)
{
    mvm_autovalue(store_lock) lock = STORE_LOCK_NONE;
    mvm_autoerror mvm_error *why = NULL;
    mvm_autoclose int fd = -EBADF;
    int r;

    if (store_lock_try(g->store, name, &lock, NULL) < 0)
        return 0;
    r = verify_documents(g, name, &fd, &why);
    if (r == 0)
        return verify_root(g, name, fd, err);
    if (store_is_damage(r))
        return remove_image(g, name, err);
    error_move(err, steal_ptr(&why));
    return r;
}

/* The exclusive locks on all images that have a layer: no VM starts from them meanwhile. */
struct holders {
    int *fds; /* owned, each of them too */
    size_t n;
    bool used; /* by a VM or a pull, in which case it is told */
};
static void holders_deinit(struct holders *h)
{
    for (size_t i = 0; i < h->n; i++)
        (void) close(h->fds[i]);
    free(h->fds);
}
MVM_DEFINE_AUTOVALUE(holders, holders_deinit)

static int holders_take(const struct gc *g, const char *layer, struct holders *h, mvm_error **err)
{
    mvm_autovalue(store_usage) usage = { .n_images = 0 };
    int r = store_usage_read(g->store, &usage, err);

    if (r < 0)
        return r;
    h->fds = mem_array(usage.n_links, sizeof(*h->fds));
    if (!h->fds)
        return mvm_fail_nomem(err);
    for (size_t i = 0; i < usage.n_links && r >= 0; i++) {
        const struct usage_link *link = &usage.links[i];

        if (strcmp(link->layer.text, layer) != 0)
            continue;
        r = take_damaged(g, usage.images[link->image].name.text, &h->fds[h->n], err);
        h->n += r == 1;
        h->used |= r == 0;
    }
    return r < 0 ? r : 0;
}

/* Whether nobody has pinned it. A record that cannot be opened is nobody's. */
static bool is_free(const struct gc *g, const char *layer, int *ret_fd)
{
    return store_layer_open_ok(g->store, layer, ret_fd, NULL) < 0 ||
           store_flock(*ret_fd, LOCK_EX | LOCK_NB) == 0;
}

static int remove_layer(const struct gc *g, const char *name, mvm_error **err)
{
    mvm_autovalue(holders) h = { .n = 0 };
    mvm_autoclose int ok_fd = -EBADF;
    uint64_t bytes = 0;
    int r = holders_take(g, name, &h, err);

    if (r < 0 || h.used)
        return r;
    if (!is_free(g, name, &ok_fd)) {
        gc_tell_stored(g, IMAGE_REMOVAL_KEPT_DAMAGED, name, 0);
        return 0;
    }
    r = store_layer_remove(g->store, name, &bytes, err);
    if (r == 0)
        gc_tell_stored(g, IMAGE_REMOVAL_DAMAGED_LAYER, name, bytes);
    return r;
}

static int verify_layer(const struct gc *g, const char *name, mvm_error **err)
{
    mvm_autovalue(store_lock) lock = STORE_LOCK_NONE;
    mvm_autoerror mvm_error *why = NULL;
    int r;

    if (store_lock_try(g->store, name, &lock, NULL) < 0)
        return 0;
    r = store_layer_verify(g->store, name, g->tick, &why);
    if (r == MVM_E_NOT_FOUND)
        return 0;
    if (r == MVM_E_DIGEST)
        return remove_layer(g, name, err);
    error_move(err, steal_ptr(&why));
    return r;
}

static int verify_name(void *user, const char *file, mvm_error **err)
{
    const struct gc *g = user;
    int r = store_is_ref(file) ? store_ref_verify(g->store, file, g->tick, err) : 0;

    if (r == 1)
        gc_tell(g, IMAGE_REMOVAL_DAMAGED_NAME, file, 0);
    return r < 0 ? r : 0;
}

static int verify_all(const struct gc *g, const struct gc_list *l,
                      int (*verify)(const struct gc *, const char *, mvm_error **), mvm_error **err)
{
    int r = 0;

    for (size_t i = 0; i < l->n && r == 0; i++) {
        g->tick->now = (struct image_progress){ .phase = IMAGE_PHASE_VERIFY,
                                                .name = l->items[i].text };
        r = image_tick(g->tick, err);
        if (r == 0)
            r = verify(g, l->items[i].text, err);
    }
    g->tick->now = (struct image_progress){ .phase = IMAGE_PHASE_VERIFY, .name = "" };
    return r;
}

int gc_verify(const struct gc *g, mvm_error **err)
{
    mvm_autovalue(gc_list) images = { .n = 0 };
    mvm_autovalue(gc_list) layers = { .n = 0 };
    int r = path_each_name(g->store->refs_fd, NULL, verify_name, (void *) g, err);

    if (r == 0)
        r = gc_list_images(g, &images, err);
    if (r == 0)
        r = verify_all(g, &images, verify_image, err);
    if (r == 0)
        r = gc_list_layers(g, &layers, err);
    return r < 0 ? r : verify_all(g, &layers, verify_layer, err);
}
