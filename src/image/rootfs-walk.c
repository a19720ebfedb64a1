/* SPDX-License-Identifier: Apache-2.0 */
#include "image/rootfs-walk.h"

#include "base/strbuf.h"

#include <fcntl.h>
#include <sys/stat.h>

/* One walk under way: @rest is what still stands before us; its last @tail bytes were in the path
 * that was asked for, and what comes before them came out of links. */
struct walk_state {
    struct walk *w;
    const struct walk_hooks *hooks;
    char *rest; /* owned */
    size_t tail;
    unsigned links;
};

static void walk_state_deinit(struct walk_state *st)
{
    free(st->rest);
}
MVM_DEFINE_AUTOVALUE(walk_state, walk_state_deinit)

static void pop_to(struct walk *w, size_t n_frames)
{
    while (w->n_frames > n_frames) {
        struct walk_frame *f = &w->frames[--w->n_frames];

        (void) close(f->fd);
        free(f->name);
    }
}

/* Takes @fd over, on failure too. */
static int push(struct walk *w, int fd, const char *name, uint64_t ino, mvm_error **err)
{
    mvm_autoclose int held = fd;
    mvm_autofree char *copy = name ? strdup(name) : NULL;

    if (w->n_frames > w->depth_max)
        return mvm_fail(err, MVM_E_LIMIT, 0, "deeper than %zu directories", w->depth_max);
    if ((name && !copy) || mem_grow(&w->frames, &w->cap, w->n_frames, sizeof(*w->frames)) < 0)
        return mvm_fail_nomem(err);
    w->frames[w->n_frames++] = (struct walk_frame){ .fd = steal_fd(&held),
                                                    .ino = ino,
                                                    .name = steal_ptr(&copy) };
    return 0;
}

int walk_init(struct walk *w, int root_fd, size_t depth_max, mvm_error **err)
{
    struct stat st;
    int fd;

    *w = (struct walk){ .depth_max = depth_max };
    fd = openat(root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = mvm_fail(err, MVM_E_SYS, errno, "open the root of the image");

        if (fd >= 0)
            (void) close(fd);
        return r;
    }
    return push(w, fd, NULL, st.st_ino, err);
}

void walk_deinit(struct walk *w)
{
    pop_to(w, 0);
    free(w->frames);
    free(w->path);
    *w = (struct walk){ 0 };
}

void walk_forget(struct walk *w)
{
    free(steal_ptr(&w->path));
}

/* Puts the link's target in front of what is left. */
static int follow(struct walk_state *st, int link_fd, const char *left, mvm_error **err)
{
    mvm_autovalue(strbuf) rest = STRBUF_INIT(WALK_REST_MAX);
    mvm_autofree char *target = malloc(WALK_NAME_MAX + 1);
    ssize_t n;
    int r;

    if (!target)
        return mvm_fail_nomem(err);
    if (++st->links > WALK_LINKS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d symlinks on the way", WALK_LINKS_MAX);
    n = readlinkat(link_fd, "", target, WALK_NAME_MAX);
    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read a symlink");
    if (n > 0 && target[0] == '/')
        pop_to(st->w, 1);
    st->w->linked = true;
    strbuf_add(&rest, target, (size_t) n);
    strbuf_addc(&rest, '/');
    strbuf_adds(&rest, left);
    r = strbuf_check(&rest, "symlinks on the way", err);
    if (r < 0)
        return r;
    if (strlen(left) < st->tail)
        st->tail = strlen(left);
    free(st->rest);
    st->rest = strbuf_take(&rest);
    return st->rest ? 0 : mvm_fail_nomem(err);
}

/* Opens @name for the walk; a missing one is made where that is allowed. */
static int open_component(struct walk_state *st, const char *name, bool from_link, int *ret_fd,
                          struct stat *ret_st, mvm_error **err)
{
    const struct walk_frame *parent = walk_top(st->w);
    mvm_autoclose int fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT) {
        int r;

        if (from_link && st->hooks)
            return mvm_fail(err, MVM_E_FORMAT, 0,
                            "a symlink on the way leads to '%.256s', which is missing", name);
        if (!st->hooks)
            return WALK_MISSING;
        r = st->hooks->make_dir(st->hooks->user, parent, name, err);
        if (r < 0)
            return r;
        fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0 || fstat(fd, ret_st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%.256s'", name);
    *ret_fd = steal_fd(&fd);
    return 0;
}

/* Something that is neither a directory nor a link is in the way. */
static int replace_component(struct walk_state *st, const char *name, bool from_link, int *ret_fd,
                             struct stat *ret_st, mvm_error **err)
{
    int r;

    if (!st->hooks)
        return WALK_NOT_DIRECTORY;
    if (from_link)
        return mvm_fail(err, MVM_E_FORMAT, 0,
                        "a symlink on the way leads through '%.256s', which is no directory", name);
    r = st->hooks->make_room(st->hooks->user, walk_top(st->w), name, err);
    if (r < 0)
        return r;
    return open_component(st, name, false, ret_fd, ret_st, err);
}

/* One component; @left is what follows it. */
static int step(struct walk_state *st, const char *name, const char *left, mvm_error **err)
{
    bool from_link = strlen(left) >= st->tail;
    mvm_autoclose int fd = -EBADF;
    struct stat info;
    int r;

    if (name[0] == '\0' || strcmp(name, ".") == 0)
        return 0;
    if (strcmp(name, "..") == 0) {
        if (st->w->n_frames == 1)
            return mvm_fail(err, MVM_E_FORMAT, 0, "a symlink on the way climbs out of the image");
        pop_to(st->w, st->w->n_frames - 1);
        return 0;
    }
    r = open_component(st, name, from_link, &fd, &info, err);
    if (r != 0)
        return r;
    if (S_ISLNK(info.st_mode))
        return follow(st, fd, left, err);
    if (!S_ISDIR(info.st_mode)) {
        (void) close(steal_fd(&fd));
        r = replace_component(st, name, from_link, &fd, &info, err);
        if (r != 0)
            return r;
    }
    return push(st->w, steal_fd(&fd), name, info.st_ino, err);
}

/* How much of @path the last walk can give: its frames stay, *ret is the rest. */
static const char *reuse(struct walk *w, const char *path)
{
    size_t frames = 1, i = 0, start = 0;

    if (!w->path || w->linked) {
        bool same = w->path && strcmp(w->path, path) == 0;

        if (!same) {
            pop_to(w, 1);
            w->linked = false;
        }
        return same ? path + strlen(path) : path;
    }
    for (; path[i] && path[i] == w->path[i]; i++)
        if (path[i] == '/') {
            frames++;
            start = i + 1;
        }
    if ((path[i] == '\0' || path[i] == '/') && (w->path[i] == '\0' || w->path[i] == '/') &&
        i > start) {
        frames++;
        start = path[i] ? i + 1 : i;
    }
    pop_to(w, frames);
    return path + start;
}

int walk_to(struct walk *w, const char *path, const struct walk_hooks *hooks, mvm_error **err)
{
    mvm_autovalue(walk_state) st = { .w = w, .hooks = hooks };
    mvm_autofree char *copy = strdup(path);
    const char *left = reuse(w, path);
    size_t at = 0;

    walk_forget(w);
    st.rest = strdup(left);
    if (!copy || !st.rest)
        return mvm_fail_nomem(err);
    st.tail = strlen(st.rest);
    while (st.rest[at]) {
        size_t n = strcspn(st.rest + at, "/");
        mvm_autofree char *name = strndup(st.rest + at, n);
        unsigned links = st.links;
        int r;

        if (!name)
            return mvm_fail_nomem(err);
        at += n + (st.rest[at + n] == '/' ? 1 : 0);
        r = step(&st, name, st.rest + at, err);
        if (r != 0)
            return r;
        if (st.links != links)
            at = 0;
    }
    w->path = steal_ptr(&copy);
    return 0;
}
