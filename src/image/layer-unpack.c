/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer-unpack.h"

#include "base/path.h"
#include "base/scan.h"
#include "image/unpack-internal.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

int rootfs_unpack_new(int root_fd, const struct unpack_limits *limits, const struct log *log,
                      struct rootfs_unpack **ret, mvm_error **err)
{
    mvm_auto(rootfs_unpack) u = calloc(1, sizeof(*u));
    int r;

    if (!u)
        return mvm_fail_nomem(err);
    u->root_fd = root_fd;
    u->limits = *limits;
    u->log = log;
    u->keeps_owners = geteuid() == 0;
    if (getrandom(&u->seed, sizeof(u->seed), 0) != (ssize_t) sizeof(u->seed))
        return mvm_fail(err, MVM_E_SYS, errno, "get random bytes");
    r = walk_init(&u->to, root_fd, limits->depth, err);
    if (r == 0)
        r = walk_init(&u->from, root_fd, limits->depth, err);
    if (r == 0)
        r = unpack_set_dir(u, u->to.frames[0].ino, &DIR_ATTRIBUTES_DEFAULT, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&u);
    return 0;
}

void rootfs_unpack_free(struct rootfs_unpack *u)
{
    if (!u)
        return;
    keymap_deinit(&u->marks);
    keymap_deinit(&u->dirs);
    owner_map_deinit(&u->owners);
    free(u->attributes);
    walk_deinit(&u->to);
    walk_deinit(&u->from);
    free(u);
}

const struct owner_map *rootfs_unpack_owners(const struct rootfs_unpack *u)
{
    return u->keeps_owners ? NULL : &u->owners;
}

static uint64_t mark_key(const struct rootfs_unpack *u, enum unpack_mark mark, uint64_t dir_ino,
                         const char *name)
{
    return keymap_hash(keymap_mix(u->seed + dir_ino) + (uint64_t) mark, name, strlen(name));
}

int unpack_mark(struct rootfs_unpack *u, enum unpack_mark mark, uint64_t dir_ino, const char *name,
                mvm_error **err)
{
    if (keymap_set(&u->marks, mark_key(u, mark, dir_ino, name), 1) < 0)
        return mvm_fail_nomem(err);
    return 0;
}

bool unpack_is_marked(const struct rootfs_unpack *u, enum unpack_mark mark, uint64_t dir_ino,
                      const char *name)
{
    uint32_t value;

    return keymap_get(&u->marks, mark_key(u, mark, dir_ino, name), &value);
}

int unpack_set_dir(struct rootfs_unpack *u, uint64_t ino, const struct dir_attributes *a,
                   mvm_error **err)
{
    uint32_t index;

    if (keymap_get(&u->dirs, ino, &index)) {
        u->attributes[index] = *a;
        return 0;
    }
    if (mem_grow(&u->attributes, &u->attributes_cap, u->n_attributes, sizeof(*u->attributes)) < 0 ||
        keymap_set(&u->dirs, ino, (uint32_t) u->n_attributes) < 0)
        return mvm_fail_nomem(err);
    u->attributes[u->n_attributes++] = *a;
    return 0;
}

int unpack_remove(struct rootfs_unpack *u, int dir_fd, const char *name, mvm_error **err)
{
    walk_forget(&u->to);
    walk_forget(&u->from);
    return path_remove_tree(dir_fd, name, err);
}

static int make_parent(void *user, const struct walk_frame *parent, const char *name,
                       mvm_error **err)
{
    struct rootfs_unpack *u = user;
    struct stat st;

    if (mkdirat(parent->fd, name, 0700) < 0 ||
        fstatat(parent->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make the directory '%.256s'", name);
    return unpack_set_dir(u, st.st_ino, &DIR_ATTRIBUTES_DEFAULT, err);
}

/* A file of a lower layer gives way to a directory of this one; within a layer that is a
 * contradiction. */
static int make_room(void *user, const struct walk_frame *parent, const char *name, mvm_error **err)
{
    struct rootfs_unpack *u = user;

    if (unpack_is_marked(u, MARK_MADE, parent->ino, name))
        return mvm_fail(err, MVM_E_FORMAT, 0, "its parent '%.256s' is no directory in this layer",
                        name);
    return unpack_remove(u, parent->fd, name, err);
}

int unpack_enter(struct rootfs_unpack *u, const char *path, mvm_error **err)
{
    const struct walk_hooks hooks = { .make_dir = make_parent, .make_room = make_room, .user = u };
    int r = walk_to(&u->to, path, &hooks, err);

    for (size_t i = 1; r == 0 && i < u->to.n_frames; i++)
        r = unpack_mark(u, MARK_THROUGH, u->to.frames[i - 1].ino, u->to.frames[i].name, err);
    return r;
}

/* Whether a directory on the way is a whiteout itself: nothing below it means anything. */
static bool is_below_whiteout(const char *parent)
{
    for (const char *c = parent; *c; c += strcspn(c, "/"), c += *c == '/' ? 1 : 0)
        if (scan_has_prefix(c, ".wh."))
            return true;
    return false;
}

static int apply_entry(struct rootfs_unpack *u, struct tar_reader *tar, const struct tar_entry *e,
                       mvm_error **err)
{
    mvm_autofree char *path = NULL, *parent = NULL;
    const char *name = NULL;
    int r;

    if (++u->entries > u->limits.entries)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %llu entries",
                        (unsigned long long) u->limits.entries);
    r = unpack_normal_name(e->name, u->limits.depth, &path, err);
    if (r == 0)
        r = unpack_split(path, &parent, &name, err);
    if (r < 0 || is_below_whiteout(parent))
        return r;
    if (name && scan_has_prefix(name, ".wh."))
        return unpack_whiteout(u, parent, name, err);
    r = unpack_enter(u, parent, err);
    return r < 0 ? r : unpack_entry(u, tar, e, name, err);
}

static int apply_entries(struct rootfs_unpack *u, struct layer_stream *stream,
                         struct image_tick *tick, mvm_error **err)
{
    mvm_auto(tar_reader) tar = NULL;
    struct tar_entry e;
    int r = tar_reader_new(stream, &tar, err);

    if (r < 0)
        return r;
    while ((r = tar_reader_next(tar, &e, err)) > 0) {
        r = apply_entry(u, tar, &e, err);
        if (r < 0)
            return mvm_context(err, r, "'%.256s'", e.name);
        r = image_tick(tick, err);
        if (r < 0)
            return r;
    }
    return r;
}

int rootfs_unpack_layer(struct rootfs_unpack *u, struct layer_stream *stream,
                        struct image_tick *tick, mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    int r;

    keymap_deinit(&u->marks);
    r = apply_entries(u, stream, tick, &why);
    if (r == 0)
        return layer_stream_finish(stream, err);
    /* A damaged blob looks like a malformed tar, but is not the image's fault. */
    if (r == MVM_E_FORMAT) {
        int blob = layer_stream_check_blob(stream, err);

        if (blob < 0)
            return blob;
    }
    error_move(err, steal_ptr(&why));
    return r;
}
