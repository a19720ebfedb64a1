/* SPDX-License-Identifier: Apache-2.0 */
/* Removing an image by one of its names, or by its digest. */
#include "image/store-gc.h"

#include "base/path.h"
#include "image/name.h"

#include <fcntl.h>

struct removal {
    struct gc gc;
    const char *text; /* borrowed: what the user typed */
    bool force;
    char *qualified;         /* owned; NULL: it is a digest */
    struct store_name image; /* the image that is looked at; by digest: the only one */
};
static void removal_deinit(struct removal *m)
{
    free(m->qualified);
}
MVM_DEFINE_AUTOVALUE(removal, removal_deinit)

static bool is_image_of(const struct removal *m, const struct store_name_record *name)
{
    const struct store_name image = store_image_name(&name->record.manifest);

    return strcmp(image.text, m->image.text) == 0;
}

/* Whether the user means this name. */
static bool is_meant(const struct removal *m, const struct store_name_record *name)
{
    return m->qualified ? strcmp(name->record.name, m->qualified) == 0 : is_image_of(m, name);
}

/* The layers of the image, as long as it can be read; others are left to a gc. */
static int list_layers(const struct removal *m, int folder_fd, struct store_name **ret,
                       size_t *ret_n, mvm_error **err)
{
    mvm_autovalue(oci_document) doc = { .is_index = false };
    mvm_autovalue(oci_config) config = { .os = NULL };
    struct store_name *names;
    int r = store_read_image(folder_fd, m->image.text, &doc, &config, NULL);

    names = mem_array(r == 0 ? config.n_diff_ids : 0, sizeof(*names));
    if (!names)
        return mvm_fail_nomem(err);
    for (size_t i = 0; r == 0 && i < config.n_diff_ids; i++)
        names[i] = store_layer_name(&config.diff_ids[i]);
    *ret = names;
    *ret_n = r == 0 ? config.n_diff_ids : 0;
    return 0;
}

/* @all: what a source calls the image as well, which goes with it. */
static int remove_names(const struct removal *m, const struct store_names *names, bool all,
                        mvm_error **err)
{
    int r = 0;

    for (size_t i = 0; i < names->n && r == 0; i++) {
        const struct store_name_record *name = &names->items[i];

        if (is_image_of(m, name) && (name->identity ? all : is_meant(m, name)))
            r = gc_remove_name(&m->gc, name, err);
    }
    return r;
}

/* Whether the image is somebody else's too; and whether a digest means more than was asked for. */
static int look_at_names(const struct removal *m, const struct store_names *names, bool *ret_others,
                         mvm_error **err)
{
    const char *first = NULL;

    *ret_others = false;
    for (size_t i = 0; i < names->n; i++) {
        const struct store_name_record *name = &names->items[i];

        if (name->identity || !is_image_of(m, name))
            continue;
        if (!is_meant(m, name))
            *ret_others = true;
        if (m->qualified)
            continue;
        if (first && strcmp(first, name->record.name) != 0 && !m->force)
            return mvm_fail(err, MVM_E_BUSY, 0,
                            "it has several names, '%s' and '%s' among them: remove these, or use "
                            "force to remove all",
                            first, name->record.name);
        first = name->record.name;
    }
    return 0;
}

/* With the lock on the image, or, where somebody uses it or it is gone, without one: then only
 * names go. */
static int remove_locked(const struct removal *m, int lock_fd, bool used, mvm_error **err)
{
    mvm_autovalue(store_names) names = { .n = 0 };
    mvm_autofree struct store_name *layers = NULL;
    size_t n_layers = 0;
    bool others = false;
    int r = store_names_read(m->gc.store, &names, err);

    if (r == 0)
        r = look_at_names(m, &names, &others, err);
    if (r == 0 && used && !others && !m->force)
        r = mvm_fail(err, MVM_E_BUSY, 0,
                     "a VM or a pull uses the image: end that, or use force to remove its name "
                     "alone");
    if (r == 0)
        r = remove_names(m, &names, !others && !used, err);
    if (r < 0 || others || lock_fd < 0)
        return r;
    r = list_layers(m, lock_fd, &layers, &n_layers, err);
    if (r == 0)
        r = gc_remove_image(&m->gc, m->image.text, lock_fd, err);
    return r < 0 ? r : gc_remove_layers(&m->gc, layers, n_layers, err);
}

static int remove_image(const struct removal *m, mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    mvm_autoclose int fd = -EBADF;
    int r = gc_lock_image(&m->gc, m->image.text, &fd, &why);

    if (r == 0 || r == MVM_E_BUSY || r == MVM_E_NOT_FOUND)
        return remove_locked(m, fd, r == MVM_E_BUSY, err);
    error_move(err, steal_ptr(&why));
    return r;
}

/* Every image that the name means: it has one a platform. */
static int remove_named(struct removal *m, const struct store_names *names, mvm_error **err)
{
    int r = 0;

    for (size_t i = 0; i < names->n && r == 0; i++)
        if (is_meant(m, &names->items[i])) {
            m->image = store_image_name(&names->items[i].record.manifest);
            r = remove_image(m, err);
        }
    return r;
}

static bool has_name(const struct removal *m, const struct store_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        if (is_meant(m, &names->items[i]))
            return true;
    return false;
}

struct search {
    const char *prefix;
    struct store_name found;
    bool several;
};

static int match(void *user, const char *name, mvm_error **err)
{
    struct search *search = user;

    (void) err;
    if (strncmp(name, search->prefix, strlen(search->prefix)) != 0 ||
        strlen(name) >= sizeof(search->found.text))
        return 0;
    search->several = search->found.text[0] != '\0';
    (void) snprintf(search->found.text, sizeof(search->found.text), "%s", name);
    return 0;
}

/* MVM_E_NOT_FOUND; MVM_E_ARG for a beginning that several have. */
static int find_digest(struct removal *m, mvm_error **err)
{
    static const char algorithm[] = "sha256:";
    bool has_algorithm = strncmp(m->text, algorithm, strlen(algorithm)) == 0;
    struct search search = { .prefix = m->text + (has_algorithm ? strlen(algorithm) : 0) };
    size_t len = strlen(search.prefix);
    int r;

    if (len < IMAGE_DIGEST_PREFIX_MIN || strspn(search.prefix, "0123456789abcdef") != len)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "not in the image store");
    r = path_each_name(m->gc.store->images_fd, NULL, match, &search, err);
    if (r < 0)
        return r;
    if (search.several)
        return mvm_fail(err, MVM_E_ARG, 0, "several images begin like that");
    if (!search.found.text[0])
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "not in the image store");
    m->image = search.found;
    return 0;
}

static int remove_any(struct removal *m, mvm_error **err)
{
    mvm_autovalue(store_names) names = { .n = 0 };
    mvm_autovalue(image_name) name = { .qualified = NULL };
    int r = store_names_read(m->gc.store, &names, err);

    if (r < 0)
        return r;
    /* What cannot be a name may still be a digest. */
    if (image_name_parse(m->text, &name, NULL) == 0)
        m->qualified = steal_ptr(&name.qualified);
    if (m->qualified && has_name(m, &names))
        return remove_named(m, &names, err);
    free(steal_ptr(&m->qualified));
    r = find_digest(m, err);
    return r < 0 ? r : remove_image(m, err);
}

int image_remove(struct image_store *store, const char *name, bool force, image_removal_fn *fn,
                 void *user, mvm_error **err)
{
    mvm_autovalue(removal)
        m = { .gc = { .store = store, .fn = fn, .user = user }, .text = name, .force = force };
    int r = remove_any(&m, err);

    return r < 0 ? mvm_context(err, r, "remove the image '%.512s'", name) : 0;
}
