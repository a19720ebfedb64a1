/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store-layer.h"

#include "base/io.h"
#include "base/path.h"
#include "image/store-sums.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

static const char *const suffixes[] = { STORE_LAYER_OK, STORE_LAYER_DATA, STORE_LAYER_INDEX };

struct store_name store_layer_name(const struct digest *diff_id)
{
    const struct digest_text text = digest_format(diff_id);
    struct store_name name;
    char *colon;

    (void) snprintf(name.text, sizeof(name.text), "%s", text.text); /* fits */
    colon = strchr(name.text, ':');
    if (colon)
        *colon = '-';
    return name;
}

struct store_file store_layer_file(const char *name, const char *suffix)
{
    struct store_file file;

    /* Names of layers fit; what does not is the name of no file of ours. */
    (void) snprintf(file.text, sizeof(file.text), "%s%s", name, suffix);
    return file;
}

/* The two files that a record has the sums of. */
struct parts {
    struct store_file data, index;
    const char *names[2]; /* borrowed from the above */
};

static void parts_init(struct parts *p, const char *name)
{
    p->data = store_layer_file(name, STORE_LAYER_DATA);
    p->index = store_layer_file(name, STORE_LAYER_INDEX);
    p->names[0] = p->data.text;
    p->names[1] = p->index.text;
}

static struct layer_sums sums_of_layer(const struct sums *sums)
{
    return (struct layer_sums){ .data_size = sums->parts[0].size,
                                .data_crc = sums->parts[0].crc,
                                .index_size = sums->parts[1].size,
                                .index_crc = sums->parts[1].crc };
}

static void give(const struct sums *sums, int *pin, struct layer_sums *ret, int *ret_pin)
{
    if (ret)
        *ret = sums_of_layer(sums);
    if (ret_pin)
        *ret_pin = steal_fd(pin);
}

int store_layer_open_ok(struct image_store *s, const char *name, int *ret_fd, mvm_error **err)
{
    const struct store_file ok = store_layer_file(name, STORE_LAYER_OK);
    mvm_autoclose int fd = -EBADF;
    struct stat st;
    int r = path_open_beneath(s->layers_fd, ok.text, O_RDWR | O_NONBLOCK, 0, &fd, err);

    if (r == MVM_E_SYS && path_is_odd(s->layers_fd, ok.text))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is not a regular file", ok.text);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is not a regular file", ok.text);
    *ret_fd = steal_fd(&fd);
    return 0;
}

/* Opens the record with a shared lock. */
static int open_ok(struct image_store *s, const char *name, int *ret, mvm_error **err)
{
    const struct store_file ok = store_layer_file(name, STORE_LAYER_OK);
    mvm_autoclose int fd = -EBADF;
    int r = store_layer_open_ok(s, name, &fd, err);

    if (r < 0)
        return r;
    if (store_flock(fd, LOCK_SH | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? mvm_fail(err, MVM_E_NOT_FOUND, 0, "'%s' is being removed", ok.text)
                   : mvm_fail(err, MVM_E_SYS, errno, "lock '%s'", ok.text);
    if (!store_is_current(s->layers_fd, ok.text, fd))
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "'%s' was removed", ok.text);
    *ret = steal_fd(&fd);
    return 0;
}

static int read_ok(int fd, struct sums *ret, mvm_error **err)
{
    unsigned char data[SUMS_SIZE_MAX + 1];
    ssize_t n = pread(fd, data, sizeof(data), 0);

    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read the record of a layer");
    return sums_decode(data, (size_t) n, 2, ret, err);
}

int store_layer_find(struct image_store *s, const struct digest *diff_id, int *ret_pin,
                     struct layer_sums *ret, mvm_error **err)
{
    const struct store_name name = store_layer_name(diff_id);
    mvm_autoclose int pin = -EBADF;
    struct parts parts;
    struct sums sums;
    int r = open_ok(s, name.text, &pin, err);

    if (r == MVM_E_FORMAT)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "%s has no record", name.text);
    if (r < 0)
        return r;
    parts_init(&parts, name.text);
    if (read_ok(pin, &sums, NULL) < 0 || !sums_fit(&sums, s->layers_fd, parts.names))
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "%s is not as it was stored", name.text);
    give(&sums, &pin, ret, ret_pin);
    return 0;
}

/* In place: the record stays the same file, on which others may have their lock. A torn write makes
 * it no record at all, and the layer is fetched again. */
static int stamp_anew(int fd, struct sums *sums, int dir_fd, const struct parts *parts,
                      mvm_error **err)
{
    unsigned char data[SUMS_SIZE_MAX];
    int r = sums_stamp(sums, dir_fd, parts->names, err);
    size_t len;

    if (r < 0)
        return r;
    len = sums_encode(sums, data);
    if (pwrite(fd, data, len, 0) != (ssize_t) len)
        return mvm_fail(err, MVM_E_SYS, errno, "write the record of a layer");
    return 0;
}

static int read_through(struct image_store *s, const char *name, int fd, struct image_tick *tick,
                        struct sums *sums, mvm_error **err)
{
    struct parts parts;
    int r;

    parts_init(&parts, name);
    r = sums_verify(sums, s->layers_fd, parts.names, tick, err);
    if (r < 0 || sums_fit(sums, s->layers_fd, parts.names))
        return r;
    return stamp_anew(fd, sums, s->layers_fd, &parts, err);
}

static int check_open(struct image_store *s, const char *name, int fd, struct image_tick *tick,
                      struct sums *ret, mvm_error **err)
{
    struct parts parts;
    int r = read_ok(fd, ret, err);

    parts_init(&parts, name);
    if (r < 0 || sums_fit(ret, s->layers_fd, parts.names))
        return r;
    return read_through(s, name, fd, tick, ret, err);
}

int store_layer_verify(struct image_store *s, const char *name, struct image_tick *tick,
                       mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    struct sums sums;
    int r = store_layer_open_ok(s, name, &fd, err);

    if (r == MVM_E_NOT_FOUND)
        return r;
    if (r == 0)
        r = read_ok(fd, &sums, err);
    if (r == 0)
        r = read_through(s, name, fd, tick, &sums, err);
    return store_is_damage(r) ? mvm_context(err, MVM_E_DIGEST, "%s", name) : r;
}

int store_layer_check(struct image_store *s, const struct digest *diff_id, struct image_tick *tick,
                      int *ret_pin, struct layer_sums *ret, mvm_error **err)
{
    const struct store_name name = store_layer_name(diff_id);
    mvm_autoclose int pin = -EBADF;
    struct sums sums;
    int r = open_ok(s, name.text, &pin, err);

    if (r < 0 && r != MVM_E_FORMAT)
        return r;
    if (r == 0)
        r = check_open(s, name.text, pin, tick, &sums, err);
    if (r == MVM_E_DIGEST || r == MVM_E_FORMAT || r == MVM_E_NOT_FOUND) {
        /* The record goes even if the rest cannot: without it the layer is not there. */
        (void) store_layer_remove(s, name.text, NULL, NULL);
        return mvm_context(err, MVM_E_DIGEST, "the store's copy was damaged, and is removed");
    }
    if (r < 0)
        return r;
    give(&sums, &pin, ret, ret_pin);
    return 0;
}

int store_layer_get(struct image_store *s, const struct digest *diff_id, struct image_tick *tick,
                    int *ret_pin, struct layer_sums *ret, mvm_error **err)
{
    const struct store_name name = store_layer_name(diff_id);
    mvm_autovalue(store_lock) lock = STORE_LOCK_NONE;
    int r = store_layer_find(s, diff_id, ret_pin, ret, NULL);

    if (r == 0)
        return 0;
    r = store_lock_take(s, name.text, tick, &lock, err);
    return r < 0 ? r : store_layer_check(s, diff_id, tick, ret_pin, ret, err);
}

void store_layer_draft_deinit(struct store_layer_draft *d)
{
    if (d->data_fd >= 0)
        (void) close(d->data_fd);
    if (d->index_fd >= 0)
        (void) close(d->index_fd);
    *d = (struct store_layer_draft) STORE_LAYER_DRAFT_NONE;
}

static int make_file(int dir_fd, const char *name, const char *suffix, int *ret, mvm_error **err)
{
    const struct store_file file = store_layer_file(name, suffix);

    if (unlinkat(dir_fd, file.text, 0) < 0 && errno != ENOENT)
        return mvm_fail(err, MVM_E_SYS, errno, "remove '%s'", file.text);
    return path_open_beneath(dir_fd, file.text, O_RDWR | O_CREAT | O_EXCL, 0600, ret, err);
}

int store_layer_begin(const struct store_temp *temp, const struct digest *diff_id,
                      struct store_layer_draft *ret, mvm_error **err)
{
    mvm_autovalue(store_layer_draft) d = STORE_LAYER_DRAFT_NONE;
    int r;

    d.temp = temp;
    d.name = store_layer_name(diff_id);
    r = make_file(temp->fd, d.name.text, STORE_LAYER_DATA, &d.data_fd, err);
    if (r == 0)
        r = make_file(temp->fd, d.name.text, STORE_LAYER_INDEX, &d.index_fd, err);
    if (r < 0)
        return r;
    *ret = d;
    d = (struct store_layer_draft) STORE_LAYER_DRAFT_NONE;
    return 0;
}

/* Over whatever stands there, which is no layer: a rename does not replace a folder. */
static int move_file(const struct store_layer_draft *d, const struct store_file *file,
                     mvm_error **err)
{
    int layers_fd = d->temp->store->layers_fd;
    int r = store_clear_odd(layers_fd, file->text, err);

    if (r == 0 && renameat(d->temp->fd, file->text, layers_fd, file->text) < 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "put '%s' into the store", file->text);
    return r;
}

static int move_part(const struct store_layer_draft *d, const char *suffix, uint64_t size,
                     mvm_error **err)
{
    const struct store_file file = store_layer_file(d->name.text, suffix);

    if (size > 0)
        return move_file(d, &file, err);
    if (unlinkat(d->temp->fd, file.text, 0) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "remove '%s'", file.text);
    return path_remove_tree(d->temp->store->layers_fd, file.text, err);
}

/* Writes the record, locked before anybody can see it. */
static int commit_ok(const struct store_layer_draft *d, const struct sums *sums, int *ret_pin,
                     mvm_error **err)
{
    const struct store_file ok = store_layer_file(d->name.text, STORE_LAYER_OK);
    mvm_autoclose int fd = -EBADF;
    unsigned char data[SUMS_SIZE_MAX];
    int r = make_file(d->temp->fd, d->name.text, STORE_LAYER_OK, &fd, err);

    if (r == 0 && store_flock(fd, LOCK_SH | LOCK_NB) < 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "lock '%s'", ok.text);
    if (r == 0)
        r = io_write_all(fd, data, sums_encode(sums, data), err);
    if (r == 0)
        r = io_sync(fd, ok.text, err);
    if (r == 0)
        r = move_file(d, &ok, err);
    if (r < 0)
        return r;
    *ret_pin = steal_fd(&fd);
    return 0;
}

int store_layer_commit(struct store_layer_draft *d, const struct layer_sums *sums,
                       struct image_tick *tick, int *ret_pin, mvm_error **err)
{
    struct sums record = { .n = 2,
                           .parts = { { .size = sums->data_size, .crc = sums->data_crc },
                                      { .size = sums->index_size, .crc = sums->index_crc } } };
    struct parts parts;
    int r = sums->data_size > 0 ? sums_sync(d->data_fd, "the layer's content", tick, err) : 0;

    if (r == 0)
        r = sums_sync(d->index_fd, "the layer's index", tick, err);
    if (r == 0)
        r = move_part(d, STORE_LAYER_DATA, sums->data_size, err);
    if (r == 0)
        r = move_part(d, STORE_LAYER_INDEX, sums->index_size, err);
    parts_init(&parts, d->name.text);
    /* Now, since a rename changes the time of the last change. */
    if (r == 0)
        r = sums_stamp(&record, d->temp->store->layers_fd, parts.names, err);
    return r < 0 ? r : commit_ok(d, &record, ret_pin, err);
}

uint64_t store_layer_bytes(struct image_store *s, const char *name)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        const struct store_file file = store_layer_file(name, suffixes[i]);
        struct stat st;

        if (fstatat(s->layers_fd, file.text, &st, AT_SYMLINK_NOFOLLOW) == 0)
            bytes += (uint64_t) st.st_blocks * 512;
    }
    return bytes;
}

int store_layer_remove(struct image_store *s, const char *name, uint64_t *ret_bytes,
                       mvm_error **err)
{
    uint64_t bytes = store_layer_bytes(s, name);

    /* The record first: without it the rest is known for what it is. */
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        const struct store_file file = store_layer_file(name, suffixes[i]);
        int r = path_remove_tree(s->layers_fd, file.text, err);

        if (r < 0)
            return r;
    }
    if (ret_bytes)
        *ret_bytes = bytes;
    return 0;
}
