/* SPDX-License-Identifier: Apache-2.0 */
/* The images of the store: loading, committing, putting away. */
#include "image/store-internal.h"

#include "base/file.h"
#include "base/io.h"
#include "base/path.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

/* Names tried for a folder that is put away. */
#define DISCARD_TRIES 64

struct store_name store_image_name(const struct digest *manifest)
{
    const struct digest_text text = digest_format(manifest);
    struct store_name name;

    (void) snprintf(name.text, sizeof(name.text), "%s", digest_hex(&text)); /* fits */
    return name;
}

static int check_digest(const struct digest *want, const char *text, size_t len, const char *what,
                        mvm_error **err)
{
    struct digest is;
    int r = digest_of(want->algorithm, text, len, &is, err);

    if (r < 0 || digest_equal(&is, want))
        return r;
    return mvm_fail(err, MVM_E_DIGEST, 0, "'%s' is damaged", what);
}

static int read_manifest(int folder_fd, const char *name, struct oci_document *doc, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    mvm_autofree char *digest = NULL;
    struct digest want;
    size_t len = 0;
    int r;

    /* Manifests are named by their SHA-256 whatever their own references use (resolve.c). */
    if (asprintf(&digest, "sha256:%s", name) < 0) {
        digest = NULL;
        return mvm_fail_nomem(err);
    }
    r = digest_parse(digest, &want, err);
    if (r == 0)
        r = file_read(folder_fd, STORE_MANIFEST, OCI_MANIFEST_MAX, &text, &len, err);
    if (r == 0)
        r = check_digest(&want, text, len, STORE_MANIFEST, err);
    if (r == 0)
        r = oci_document_parse(text, len, NULL, doc, err);
    if (r == 0 && doc->is_index)
        r = mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is an index", STORE_MANIFEST);
    return r;
}

int store_read_image(int folder_fd, const char *name, struct oci_document *doc,
                     struct oci_config *config, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    size_t len = 0;
    int r = read_manifest(folder_fd, name, doc, err);

    if (r == 0)
        r = file_read(folder_fd, STORE_CONFIG, OCI_CONFIG_MAX, &text, &len, err);
    if (r == 0)
        r = check_digest(&doc->manifest.config.digest, text, len, STORE_CONFIG, err);
    return r < 0 ? r : oci_config_parse(text, len, config, err);
}

int store_open_image(struct image_store *s, const char *name, int *ret_fd, mvm_error **err)
{
    int r = path_open_beneath(s->images_fd, name, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
    struct stat st;

    if (r == MVM_E_SYS && fstatat(s->images_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISDIR(st.st_mode))
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "'%s' is no image", name);
    return r;
}

/* Opens the folder with a shared lock. Whoever has the other one is about to remove it. */
static int lock_folder(struct image_store *s, const char *name, struct image_tick *tick, int *ret,
                       mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    int r = store_open_image(s, name, &fd, err);

    if (r == 0)
        r = store_flock_wait(fd, LOCK_SH, tick, err);
    if (r < 0)
        return r;
    if (!store_is_current(s->images_fd, name, fd))
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "the image is being removed");
    *ret = steal_fd(&fd);
    return 0;
}

/* Takes over @lock_fd, the folder with its shared lock. */
static int load_locked(const struct digest *manifest, int lock_fd, struct image **ret,
                       mvm_error **err)
{
    const struct store_name name = store_image_name(manifest);
    mvm_autovalue(oci_document) doc = { .is_index = false };
    mvm_auto(image) image = calloc(1, sizeof(*image));
    int r;

    if (!image) {
        (void) close(lock_fd);
        return mvm_fail_nomem(err);
    }
    image->lock_fd = lock_fd;
    image->manifest = *manifest;
    r = store_read_image(image->lock_fd, name.text, &doc, &image->config, err);
    if (r == MVM_E_DIGEST || r == MVM_E_FORMAT || r == MVM_E_LIMIT)
        r = MVM_E_NOT_FOUND;
    if (r < 0)
        return mvm_context(err, r, "image %s", digest_format(manifest).text);
    *ret = steal_ptr(&image);
    return 0;
}

int store_load_image(struct image_store *s, const struct digest *manifest, struct image_tick *tick,
                     struct image **ret, mvm_error **err)
{
    const struct store_name name = store_image_name(manifest);
    int fd = -EBADF;
    int r = lock_folder(s, name.text, tick, &fd, err);

    return r < 0 ? r : load_locked(manifest, fd, ret, err);
}

void image_free(struct image *image)
{
    if (!image)
        return;
    if (image->lock_fd >= 0)
        (void) close(image->lock_fd);
    oci_config_deinit(&image->config);
    free(image);
}

int store_discard_image(struct image_store *s, const char *name, int lock_fd,
                        struct image_tick *tick, mvm_error **err)
{
    mvm_autoclose int guard = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mvm_autoclose int fd = -EBADF;
    char away[STORE_NAME_MAX + 16];
    int r;

    if (guard < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the image store");
    /* As for every temporary folder, until we know whether somebody has a lock on it. */
    r = store_flock_wait(guard, LOCK_SH, tick, err);
    if (r < 0)
        return r;
    r = -1;
    for (unsigned i = 0; i < DISCARD_TRIES && r < 0; i++) {
        (void) snprintf(away, sizeof(away), STORE_TEMP_PREFIX "%u-%.16s", i, name); /* fits */
        r = renameat2(s->images_fd, name, s->fd, away, RENAME_NOREPLACE);
        if (r < 0 && errno == ENOENT)
            return 0;
        if (r < 0 && errno != EEXIST)
            break;
    }
    if (r < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "put the image '%s' away", name);
    r = lock_fd >= 0 ? -1 : path_open_beneath(s->fd, away, O_RDONLY | O_DIRECTORY, 0, &fd, NULL);
    if (r == 0 && store_flock(fd, LOCK_EX | LOCK_NB) < 0)
        return 0; /* it goes with the last one who uses it */
    return path_remove_tree(s->fd, away, err);
}

int store_commit_image(struct store_temp *t, const struct digest *manifest, struct image_tick *tick,
                       struct image **ret, mvm_error **err)
{
    const struct store_name name = store_image_name(manifest);
    struct image_store *s = t->store;
    int r = io_sync(t->fd, "a new image", err);

    if (r == 0)
        r = io_sync(s->layers_fd, "the layers of the image store", err);
    /* The lock on the name is ours: what stands there is not whole, else it would have been taken.
     */
    if (r == 0)
        r = store_discard_image(s, name.text, -EBADF, tick, err);
    if (r < 0)
        return r;
    if (renameat(s->fd, t->name, s->images_fd, name.text) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "put the image into the store");
    free(steal_ptr(&t->name));
    r = io_sync(s->images_fd, "the image store", err);
    return r < 0 ? r : load_locked(manifest, steal_fd(&t->fd), ret, err);
}
