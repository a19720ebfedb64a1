/* SPDX-License-Identifier: Apache-2.0 */
/* The public calls on the image store. */
#include "image/image.h"
#include "vm/dirs.h"
#include "vm/options-internal.h"
#include "vm/vmdir.h"

#include <assert.h>
#include <fcntl.h>
#include <microvm/image.h>
#include <stddef.h>

static_assert(sizeof(mvm_image_info) == 56, "no holes, the same everywhere");
static_assert(sizeof(mvm_image_removal) == 24, "no holes, the same everywhere");
static_assert(sizeof(mvm_image_gc_options) == 24, "no holes, the same everywhere");

struct entry {
    mvm_image_info info; /* borrows from the record and the text */
    struct digest_text digest;
};

struct mvm_image_list {
    struct image_record *records; /* owned */
    struct entry *entries;        /* owned: one a record */
    size_t n;
    uint64_t total;
};

static int open_store(const mvm_options *options, struct image_store **ret, mvm_error **err)
{
    mvm_autovalue(dirs) dirs = { .cache = NULL };
    int r = dirs_init(&dirs, options ? options->data_dir : NULL, err);

    return r < 0 ? r : image_store_open(dirs.cache, ret, err);
}

void mvm_image_list_free(mvm_image_list *list)
{
    if (!list)
        return;
    image_list_free(list->records, list->n);
    free(list->entries);
    free(list);
}

size_t mvm_image_list_count(const mvm_image_list *list)
{
    return list ? list->n : 0;
}

const mvm_image_info *mvm_image_list_get(const mvm_image_list *list, size_t index)
{
    return list && index < list->n ? &list->entries[index].info : NULL;
}

uint64_t mvm_image_list_total(const mvm_image_list *list)
{
    return list ? list->total : 0;
}

static void fill_entry(struct entry *e, const struct image_record *record)
{
    e->digest = digest_format(&record->manifest);
    e->info = (mvm_image_info){ .struct_size = sizeof(e->info),
                                .created_s = record->created_s,
                                .size = record->size,
                                .unique = record->unique,
                                .name = record->name,
                                .platform = record->platform,
                                .digest = e->digest.text };
}

int mvm_image_list_new(const mvm_options *options, mvm_image_list **ret_list, mvm_error **err)
{
    mvm_auto(image_store) store = NULL;
    mvm_image_list *list;
    int r;

    if (!ret_list)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_image_list_new: NULL");
    list = calloc(1, sizeof(*list));
    if (!list)
        return mvm_fail_nomem(err);
    r = open_store(options, &store, err);
    if (r == 0)
        r = image_list(store, &list->records, &list->n, &list->total, err);
    if (r == 0 && !(list->entries = mem_array(list->n, sizeof(*list->entries))))
        r = mvm_fail_nomem(err);
    if (r < 0) {
        mvm_image_list_free(list);
        return r;
    }
    for (size_t i = 0; i < list->n; i++)
        fill_entry(&list->entries[i], &list->records[i]);
    *ret_list = list;
    return 0;
}

struct listener {
    mvm_image_removal_fn *fn;
    void *user;
};

static void forward(void *user, const struct image_removal *what)
{
    const struct listener *to = user;
    const mvm_image_removal public = { .struct_size = sizeof(public),
                                       .kind = (uint32_t) what->kind,
                                       .bytes = what->bytes,
                                       .name = what->name };

    if (to->fn)
        to->fn(to->user, &public);
}

int mvm_image_remove(const char *image, const mvm_options *options, int force,
                     mvm_image_removal_fn *fn, void *user, mvm_error **err)
{
    struct listener to = { .fn = fn, .user = user };
    mvm_auto(image_store) store = NULL;
    int r;

    if (!image)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_image_remove: NULL");
    r = open_store(options, &store, err);
    return r < 0 ? r : image_remove(store, image, force != 0, forward, &to, err);
}

/* What VMs that were killed have left: their disks may be the biggest things of all. */
static void sweep_vms(const mvm_options *options)
{
    const struct log log = options ? options_log(options) : (struct log){ .sink = NULL };
    mvm_autovalue(dirs) dirs = { .cache = NULL };
    mvm_autoclose int fd = -EBADF;

    if (dirs_init(&dirs, options ? options->data_dir : NULL, NULL) < 0)
        return; /* opening the store fails of the same, and says it */
    fd = open(dirs.vms, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) /* else there has been no VM */
        vmdir_sweep(fd, &log);
}

/* The kernel's rule for openat2(2): what a newer caller sets, and we do not know, is refused. */
static int wish_copy(const mvm_image_gc_options *from, mvm_image_gc_options *ret, mvm_error **err)
{
    const unsigned char *bytes = (const unsigned char *) from;
    mvm_image_gc_options made = { 0 };
    size_t n = from->struct_size < sizeof(made) ? from->struct_size : sizeof(made);
    unsigned unknown = 0;

    if (n < offsetof(mvm_image_gc_options, keep_bytes))
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_image_gc: options without their size");
    memcpy(&made, from, n);
    for (size_t i = sizeof(made); i < from->struct_size; i++)
        unknown |= bytes[i];
    if (unknown || (made.flags & ~(uint32_t) (MVM_IMAGE_GC_ALL | MVM_IMAGE_GC_VERIFY)))
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                        "mvm_image_gc: an option that this release does not know");
    *ret = made;
    return 0;
}

int mvm_image_gc(const mvm_options *options, const mvm_image_gc_options *wish,
                 mvm_image_removal_fn *fn, void *user, mvm_error **err)
{
    struct listener to = { .fn = fn, .user = user };
    mvm_image_gc_options w = { .flags = 0 };
    mvm_auto(image_store) store = NULL;
    struct image_gc_options o;
    int r = wish ? wish_copy(wish, &w, err) : 0;

    if (r < 0)
        return r;
    sweep_vms(options);
    o = (struct image_gc_options){
        .all = w.flags & MVM_IMAGE_GC_ALL,
        .verify = w.flags & MVM_IMAGE_GC_VERIFY,
        .keep_bytes = w.keep_bytes,
        .older_than_s = w.older_than_s,
        .progress = options && options->progress ? options_progress : NULL,
        .progress_user = (void *) options,
    };
    r = open_store(options, &store, err);
    return r < 0 ? r : image_gc(store, &o, forward, &to, err);
}
