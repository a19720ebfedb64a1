/* SPDX-License-Identifier: Apache-2.0 */
/* The form of the store, as a number in a file. The first form had none: its images were root
 * filesystems without layers. */
#include "image/store-internal.h"

#include "base/file.h"
#include "base/path.h"
#include "base/scan.h"

#define VERSION_FILE "image-store-version"
#define VERSION 2
/* A number and the end of its line; more is no version. */
#define VERSION_MAX 16

/* MVM_E_NOT_FOUND: none is written. */
static int read_version(struct image_store *s, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    uint64_t version = 0;
    size_t len = 0;
    int r = file_read(s->fd, VERSION_FILE, VERSION_MAX, &text, &len, err);

    if (r < 0 && r != MVM_E_LIMIT)
        return r;
    if (r == 0 && len > 0 && text[len - 1] == '\n')
        len--;
    if (r == 0 && scan_u64(text, len, UINT32_MAX, &version) && version == VERSION)
        return 0;
    return mvm_fail(
        err, MVM_E_UNSUPPORTED, 0,
        "it was made by another release (form %llu, this one knows %d): use that one, or "
        "purge the store: cd '%s' && rm -r images layers refs locks " VERSION_FILE,
        (unsigned long long) version, VERSION, s->path);
}

static int discard(void *user, const char *name, mvm_error **err)
{
    return store_discard_image(user, name, -EBADF, NULL, err);
}

int store_check_version(struct image_store *s, mvm_error **err)
{
    static const char text[] = "2\n";
    mvm_autovalue(store_lock) lock = STORE_LOCK_NONE;
    mvm_autoerror mvm_error *why = NULL;
    int r = read_version(s, &why);

    if (r != MVM_E_NOT_FOUND) {
        error_move(err, steal_ptr(&why));
        return r;
    }
    r = store_lock_take(s, VERSION_FILE, NULL, &lock, err);
    if (r < 0 || read_version(s, NULL) == 0) /* somebody else was first */
        return r;
    r = path_each_name(s->images_fd, NULL, discard, s, err);
    return r < 0 ? r : file_write(s->fd, VERSION_FILE, text, sizeof(text) - 1, 0600, err);
}
