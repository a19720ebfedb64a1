/* SPDX-License-Identifier: Apache-2.0 */
/* The store's folders, its temporary folders and its locks. */
#include "image/store-internal.h"

#include "base/file.h"
#include "base/path.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

int store_flock(int fd, int operation)
{
    int r;

    do
        r = flock(fd, operation);
    while (r < 0 && errno == EINTR);
    return r;
}

/* Few ask for one lock at once; and who waited shall not wait much longer than the other worked. */
#define LOCK_POLL_MIN_MS 1

static uint64_t next_delay(uint64_t delay)
{
    return delay * 2 < IMAGE_TICK_MS ? delay * 2 : IMAGE_TICK_MS;
}

int store_flock_wait(int fd, int operation, struct image_tick *tick, mvm_error **err)
{
    for (uint64_t delay = LOCK_POLL_MIN_MS;; delay = next_delay(delay)) {
        int r;

        if (store_flock(fd, operation | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK)
            return mvm_fail(err, MVM_E_SYS, errno, "lock a part of the image store");
        r = image_tick_sleep(tick, delay, err);
        if (r < 0)
            return r;
    }
}

bool store_is_current(int dir_fd, const char *name, int fd)
{
    struct stat named, open;

    return fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &open) == 0 &&
           named.st_ino == open.st_ino && named.st_dev == open.st_dev;
}

int store_clear_odd(int dir_fd, const char *name, mvm_error **err)
{
    return path_is_odd(dir_fd, name) ? path_remove_tree(dir_fd, name, err) : 0;
}

bool store_is_damage(int r)
{
    return r == MVM_E_NOT_FOUND || r == MVM_E_DIGEST || r == MVM_E_FORMAT || r == MVM_E_LIMIT ||
           r == MVM_E_UNSUPPORTED;
}

/* Removes what is left of a maker that is gone. A failure leaves it for the next time: nobody waits
 * for this. */
static int clean_temp(void *user, const char *name, mvm_error **err)
{
    struct image_store *s = user;
    mvm_autoclose int fd = -EBADF;

    (void) err;
    if (strncmp(name, STORE_TEMP_PREFIX, strlen(STORE_TEMP_PREFIX)) == 0 &&
        path_open_beneath(s->fd, name, O_RDONLY | O_DIRECTORY, 0, &fd, NULL) == 0 &&
        store_flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void) path_remove_tree(s->fd, name, NULL);
    return 0;
}

/* The lock on the store's own folder tells a folder that was just made, and is not locked yet, from
 * one that was left behind: makers share it for that moment. */
static int clean_temps(struct image_store *s, mvm_error **err)
{
    mvm_autoclose int guard = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (guard < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the image store");
    if (store_flock(guard, LOCK_EX | LOCK_NB) < 0)
        return 0; /* somebody is at it; the next one will clean */
    return path_each_name(s->fd, NULL, clean_temp, s, err);
}

static int open_folders(struct image_store *s, mvm_error **err)
{
    const struct {
        const char *name;
        int *fd;
    } folders[] = { { "images", &s->images_fd },
                    { "refs", &s->refs_fd },
                    { "locks", &s->locks_fd },
                    { "layers", &s->layers_fd } };
    int r = path_make_dirs(s->path, 0700, &s->fd, err);

    for (size_t i = 0; i < ARRAY_SIZE(folders) && r == 0; i++)
        r = path_make_dir_at(s->fd, folders[i].name, 0700, folders[i].fd, err);
    return r;
}

int image_store_open(const char *path, struct image_store **ret, mvm_error **err)
{
    mvm_auto(image_store) s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return mvm_fail_nomem(err);
    s->fd = s->images_fd = s->refs_fd = s->locks_fd = s->layers_fd = -EBADF;
    s->path = strdup(path);
    if (!s->path)
        return mvm_fail_nomem(err);
    r = open_folders(s, err);
    if (r == 0)
        r = store_check_version(s, err);
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
    const int fds[] = { store->fd, store->images_fd, store->refs_fd, store->locks_fd,
                        store->layers_fd };

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        if (fds[i] >= 0)
            (void) close(fds[i]);
    free(store->path);
    free(store);
}

int store_temp_new(struct image_store *s, struct image_tick *tick, struct store_temp *ret,
                   mvm_error **err)
{
    mvm_autovalue(store_temp) t = { .store = s, .fd = -EBADF };
    mvm_autoclose int guard = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (guard < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the image store");
    r = store_flock_wait(guard, LOCK_SH, tick, err);
    if (r == 0)
        r = path_make_temp_dir(s->fd, STORE_TEMP_PREFIX, &t.name, &t.fd, err);
    if (r < 0)
        return r;
    /* Shared, as whoever uses an image has it: the folder may become one without a moment in which
     * nobody has a lock on it. */
    if (store_flock(t.fd, LOCK_SH | LOCK_NB) < 0)
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

/* 1: taken; 0: somebody else has it. */
static int lock_once(struct image_store *s, const char *name, struct store_lock *ret,
                     mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    int r = path_open_beneath(s->locks_fd, name, O_RDWR | O_CREAT, 0600, &fd, err);

    if (r < 0)
        return r;
    if (store_flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? 0 : mvm_fail(err, MVM_E_SYS, errno, "lock '%s'", name);
    if (!store_is_current(s->locks_fd, name, fd))
        return 0;
    *ret = (struct store_lock){ .store = s, .fd = steal_fd(&fd) };
    (void) snprintf(ret->name, sizeof(ret->name), "%s", name); /* fits: a name of ours */
    return 1;
}

int store_lock_take(struct image_store *s, const char *name, struct image_tick *tick,
                    struct store_lock *ret, mvm_error **err)
{
    uint64_t delay = LOCK_POLL_MIN_MS;

    for (;;) {
        int r = lock_once(s, name, ret, err);

        if (r == 0)
            r = image_tick_sleep(tick, delay, err);
        if (r != 0)
            return r < 0 ? r : 0;
        delay = next_delay(delay);
    }
}

int store_lock_try(struct image_store *s, const char *name, struct store_lock *ret, mvm_error **err)
{
    int r = lock_once(s, name, ret, err);

    if (r == 0)
        return mvm_fail(err, MVM_E_BUSY, 0, "'%s' is in use", name);
    return r < 0 ? r : 0;
}

void store_lock_deinit(struct store_lock *l)
{
    if (l->fd >= 0) {
        /* Removed while held; one that stays behind does no harm. */
        (void) unlinkat(l->store->locks_fd, l->name, 0);
        (void) close(l->fd);
    }
    *l = (struct store_lock) STORE_LOCK_NONE;
}
