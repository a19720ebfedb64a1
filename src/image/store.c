/* SPDX-License-Identifier: Apache-2.0 */
/* The store's folders, its locks, and how an image comes into it. */
#include "image/store-internal.h"

#include "base/file.h"
#include "base/io.h"
#include "base/path.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#define TEMP_PREFIX "tmp-"

/* Gives back what flock(2) says; a signal is no answer. */
static int lock_file(int fd, int operation)
{
    int r;

    do
        r = flock(fd, operation);
    while (r < 0 && errno == EINTR);
    return r;
}

/* Removes @name if its maker is gone. A failure leaves it for the next time: nobody waits for this.
 */
static void clean_temp(struct image_store *s, const char *name)
{
    mvm_autoclose int fd = -EBADF;

    if (path_open_beneath(s->fd, name, O_RDONLY | O_DIRECTORY, 0, &fd, NULL) == 0 &&
        lock_file(fd, LOCK_EX | LOCK_NB) == 0)
        (void) path_remove_tree(s->fd, name, NULL);
}

/* The lock on the store's own folder tells a folder that was just made, and is not locked yet, from
 * one that was left behind: makers share it for that moment. */
static int clean_temps(struct image_store *s, mvm_error **err)
{
    mvm_autoclose int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct dirent *e;
    DIR *dir;

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the image store");
    if (lock_file(fd, LOCK_EX | LOCK_NB) < 0)
        return 0; /* somebody is at it; the next one will clean */
    dir = fdopendir(fd);
    if (!dir)
        return mvm_fail(err, MVM_E_SYS, errno, "list the image store");
    (void) steal_fd(&fd);
    while ((e = readdir(dir)) != NULL)
        if (strncmp(e->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0)
            clean_temp(s, e->d_name);
    (void) closedir(dir);
    return 0;
}

int image_store_open(const char *path, struct image_store **ret, mvm_error **err)
{
    mvm_auto(image_store) s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return mvm_fail_nomem(err);
    s->fd = s->images_fd = s->refs_fd = s->locks_fd = -EBADF;
    s->path = strdup(path);
    if (!s->path)
        return mvm_fail_nomem(err);
    r = path_make_dirs(path, 0700, &s->fd, err);
    if (r == 0)
        r = path_make_dir_at(s->fd, "images", 0700, &s->images_fd, err);
    if (r == 0)
        r = path_make_dir_at(s->fd, "refs", 0700, &s->refs_fd, err);
    if (r == 0)
        r = path_make_dir_at(s->fd, "locks", 0700, &s->locks_fd, err);
    if (r == 0)
        r = clean_temps(s, err);
    if (r == 0) {
        file_sweep(s->fd);
        file_sweep(s->refs_fd);
    }
    if (r < 0)
        return mvm_context(err, r, "image store '%s'", path);
    *ret = steal_ptr(&s);
    return 0;
}

void image_store_close(struct image_store *store)
{
    if (!store)
        return;
    const int fds[] = { store->fd, store->images_fd, store->refs_fd, store->locks_fd };

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        if (fds[i] >= 0)
            (void) close(fds[i]);
    free(store->path);
    free(store);
}

int store_temp_new(struct image_store *s, struct store_temp *ret, mvm_error **err)
{
    mvm_autovalue(store_temp) t = { .store = s, .fd = -EBADF };
    mvm_autoclose int guard = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (guard < 0 || lock_file(guard, LOCK_SH) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "lock the image store");
    r = path_make_temp_dir(s->fd, TEMP_PREFIX, &t.name, &t.fd, err);
    if (r < 0)
        return r;
    if (lock_file(t.fd, LOCK_EX | LOCK_NB) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "lock a temporary folder");
    *ret = t;
    t = (struct store_temp) STORE_TEMP_NONE;
    return 0;
}

void store_temp_deinit(struct store_temp *t)
{
    /* A failure leaves it for the next image_store_open(). */
    if (t->name)
        (void) path_remove_tree(t->store->fd, t->name, NULL);
    free(t->name);
    if (t->fd >= 0)
        (void) close(t->fd);
    *t = (struct store_temp) STORE_TEMP_NONE;
}

int store_temp_commit(struct store_temp *t, const struct digest *manifest, mvm_error **err)
{
    const struct digest_text text = digest_format(manifest);
    struct image_store *s = t->store;
    int r = io_sync(t->fd, "a new image", err);

    if (r < 0)
        return r;
    /* The lock on the digest is ours: what stands there is not whole, else it would have been
     * taken. */
    r = path_remove_tree(s->images_fd, digest_hex(&text), err);
    if (r < 0)
        return r;
    if (renameat(s->fd, t->name, s->images_fd, digest_hex(&text)) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "put the image into the store");
    free(steal_ptr(&t->name));
    return io_sync(s->images_fd, "the image store", err);
}

/* Whether the file that is open is still the one with this name: its last owner may have removed it
 * meanwhile. */
static bool is_current(int dir_fd, const char *name, int fd)
{
    struct stat named, open;

    return fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &open) == 0 &&
           named.st_ino == open.st_ino && named.st_dev == open.st_dev;
}

int store_lock_take(struct image_store *s, const struct digest *manifest, struct image_tick *tick,
                    struct store_lock *ret, mvm_error **err)
{
    const struct digest_text text = digest_format(manifest);
    int r = 0;

    while (r == 0) {
        mvm_autoclose int fd = -EBADF;

        r = path_open_beneath(s->locks_fd, digest_hex(&text), O_RDWR | O_CREAT, 0600, &fd, err);
        if (r < 0)
            break;
        while (r == 0 && lock_file(fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno != EWOULDBLOCK)
                return mvm_fail(err, MVM_E_SYS, errno, "lock an image");
            r = image_tick_sleep(tick, IMAGE_TICK_MS, err);
        }
        if (r == 0 && is_current(s->locks_fd, digest_hex(&text), fd)) {
            *ret = (struct store_lock){ .store = s, .digest = *manifest, .fd = steal_fd(&fd) };
            return 0;
        }
    }
    return r;
}

void store_lock_deinit(struct store_lock *l)
{
    if (l->fd >= 0) {
        const struct digest_text text = digest_format(&l->digest);

        /* Removed while held; one that stays behind does no harm. */
        (void) unlinkat(l->store->locks_fd, digest_hex(&text), 0);
        (void) close(l->fd);
    }
    *l = (struct store_lock) STORE_LOCK_NONE;
}

static int load_config(int dir_fd, struct oci_config *config, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    size_t len = 0;
    int r = file_read(dir_fd, STORE_CONFIG, OCI_CONFIG_MAX, &text, &len, err);

    return r < 0 ? r : oci_config_parse(text, len, config, err);
}

int store_load_image(struct image_store *s, const struct digest *manifest, struct image **ret,
                     mvm_error **err)
{
    const struct digest_text text = digest_format(manifest);
    mvm_auto(image) image = calloc(1, sizeof(*image));
    mvm_autoclose int fd = -EBADF;
    struct stat st;
    int r;

    if (!image)
        return mvm_fail_nomem(err);
    r = path_open_beneath(s->images_fd, digest_hex(&text), O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (r < 0)
        return r;
    if (fstatat(fd, STORE_ROOTFS, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno, "look at '%s'",
                        STORE_ROOTFS);
    r = load_config(fd, &image->config, err);
    if (r < 0)
        return mvm_context(err, r, "image %s", text.text);
    image->manifest = *manifest;
    image->root_size = (uint64_t) st.st_size;
    if (asprintf(&image->root_path, "%s/images/%s/" STORE_ROOTFS, s->path, digest_hex(&text)) < 0) {
        image->root_path = NULL;
        return mvm_fail_nomem(err);
    }
    *ret = steal_ptr(&image);
    return 0;
}

void image_free(struct image *image)
{
    if (!image)
        return;
    free(image->root_path);
    oci_config_deinit(&image->config);
    free(image);
}
