/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store-usage.h"

#include "base/path.h"
#include "base/scan.h"

#include <fcntl.h>
#include <sys/stat.h>

void store_usage_deinit(struct store_usage *u)
{
    free(u->images);
    free(u->links);
    *u = (struct store_usage){ .n_images = 0 };
}

struct folder_bytes {
    int fd; /* borrowed */
    uint64_t bytes;
};

static int add_bytes(void *user, const char *name, mvm_error **err)
{
    struct folder_bytes *to = user;
    struct stat st;

    (void) err;
    if (fstatat(to->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        to->bytes += (uint64_t) st.st_blocks * 512;
    return 0;
}

uint64_t store_image_bytes(int folder_fd)
{
    struct folder_bytes to = { .fd = folder_fd };

    (void) path_each_name(folder_fd, NULL, add_bytes, &to, NULL);
    return to.bytes;
}

static int add_links(struct store_usage *u, const struct oci_config *config, mvm_error **err)
{
    size_t first = u->n_links;

    for (size_t i = 0; i < config->n_diff_ids; i++) {
        const struct store_name layer = store_layer_name(&config->diff_ids[i]);
        bool known = false;

        for (size_t k = first; k < u->n_links && !known; k++)
            known = strcmp(u->links[k].layer.text, layer.text) == 0;
        if (known)
            continue;
        if (mem_grow(&u->links, &u->links_cap, u->n_links, sizeof(*u->links)) < 0)
            return mvm_fail_nomem(err);
        u->links[u->n_links++] = (struct usage_link){ .layer = layer,
                                                      .image = (uint32_t) u->n_images };
    }
    return 0;
}

struct reading {
    struct image_store *store;
    struct store_usage *usage;
};

static int add_image(void *user, const char *name, mvm_error **err)
{
    const struct reading *reading = user;
    struct store_usage *u = reading->usage;
    mvm_autovalue(oci_document) doc = { .is_index = false };
    mvm_autovalue(oci_config) config = { .os = NULL };
    mvm_autoerror mvm_error *why = NULL;
    mvm_autoclose int fd = -EBADF;
    struct usage_image image = { .size = 0 };
    int r = store_open_image(reading->store, name, &fd, &why);

    if (r == 0)
        r = store_read_image(fd, name, &doc, &config, &why);
    if (store_is_damage(r))
        return 0;
    if (r < 0) {
        error_move(err, steal_ptr(&why));
        return mvm_context(err, r, "image '%s'", name);
    }
    if (mem_grow(&u->images, &u->images_cap, u->n_images, sizeof(*u->images)) < 0)
        return mvm_fail_nomem(err);
    r = add_links(u, &config, err);
    if (r < 0)
        return r;
    (void) snprintf(image.name.text, sizeof(image.name.text), "%s", name); /* fits: a digest */
    image.size = image.unique = image.own = store_image_bytes(fd);
    image.used_ns = store_image_used_ns(fd);
    u->total += image.size;
    u->images[u->n_images++] = image;
    return 0;
}

static int link_order(const void *a, const void *b)
{
    const struct usage_link *x = a, *y = b;

    return strcmp(x->layer.text, y->layer.text);
}

/* Adds each layer's bytes to the images that have it. */
static void count_layers(struct image_store *s, struct store_usage *u)
{
    for (size_t i = 0, end; i < u->n_links; i = end) {
        uint64_t bytes = store_layer_bytes(s, u->links[i].layer.text);

        for (end = i; end < u->n_links && link_order(&u->links[i], &u->links[end]) == 0; end++) {
            u->images[u->links[end].image].size += bytes;
            u->links[end].bytes = bytes;
        }
        if (end == i + 1)
            u->images[u->links[i].image].unique += bytes;
        u->total += bytes;
    }
}

int store_usage_read(struct image_store *s, struct store_usage *ret, mvm_error **err)
{
    struct reading reading = { .store = s, .usage = ret };
    int r = path_each_name(s->images_fd, NULL, add_image, &reading, err);

    if (r < 0)
        return r;
    if (ret->n_links > 1)
        qsort(ret->links, ret->n_links, sizeof(*ret->links), link_order);
    count_layers(s, ret);
    return 0;
}

const struct usage_image *store_usage_image(const struct store_usage *u, const char *name)
{
    for (size_t i = 0; i < u->n_images; i++)
        if (strcmp(u->images[i].name.text, name) == 0)
            return &u->images[i];
    return NULL;
}

bool store_usage_has_layer(const struct store_usage *u, const char *layer)
{
    struct usage_link key = { .image = 0 };

    (void) snprintf(key.layer.text, sizeof(key.layer.text), "%s", layer);
    return u->n_links > 0 &&
           bsearch(&key, u->links, u->n_links, sizeof(*u->links), link_order) != NULL;
}

void store_names_deinit(struct store_names *n)
{
    for (size_t i = 0; i < n->n; i++) {
        image_record_deinit(&n->items[i].record);
        free(n->items[i].file);
    }
    free(n->items);
    *n = (struct store_names){ .n = 0 };
}

struct naming {
    struct image_store *store;
    struct store_names *names;
};

static int add_name(void *user, const char *file, mvm_error **err)
{
    const struct naming *naming = user;
    struct store_names *n = naming->names;
    struct store_name_record item = { .file = NULL };
    mvm_autoerror mvm_error *why = NULL;
    int r;

    if (!store_is_ref(file))
        return 0;
    r = store_ref_read(naming->store, file, &item.record, &why);
    if (store_is_damage(r))
        return 0;
    if (r < 0) {
        error_move(err, steal_ptr(&why));
        return r;
    }
    item.identity = scan_has_prefix(item.record.name, STORE_IDENTITY);
    item.file = strdup(file);
    if (!item.file || mem_grow(&n->items, &n->cap, n->n, sizeof(*n->items)) < 0) {
        free(item.file);
        image_record_deinit(&item.record);
        return mvm_fail_nomem(err);
    }
    n->items[n->n++] = item;
    return 0;
}

int store_names_read(struct image_store *s, struct store_names *ret, mvm_error **err)
{
    struct naming naming = { .store = s, .names = ret };

    return path_each_name(s->refs_fd, NULL, add_name, &naming, err);
}

bool store_names_have(const struct store_names *n, const char *name)
{
    for (size_t i = 0; i < n->n; i++) {
        const struct store_name of = store_image_name(&n->items[i].record.manifest);

        if (!n->items[i].identity && strcmp(of.text, name) == 0)
            return true;
    }
    return false;
}
