/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a tree that comes depth first. The folders from the root to the one at hand are held open,
 * so that each name is one component below a descriptor that we opened ourselves; nothing is looked
 * up by a path. A folder that we made is ours alone (0700) until all that it holds is there.
 */
#include "agent/copy-internal.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

/* What a process that was killed leaves behind begins with this. */
#define TEMP_PREFIX ".microvm-cp-"

struct level {
    int fd; /* owned */
    bool made;
    uint32_t mode, uid, gid;
    int64_t mtime_ns;
};

struct tree_sink {
    copy_place_fn *place_fn;
    void *user;
    const struct copy_options *options; /* borrowed */
    struct copy_place place;
    struct level levels[COPY_DEPTH_MAX + 1];
    size_t n_levels;
    /* The file at hand. */
    int fd;                              /* owned; -EBADF: none */
    int parent_fd;                       /* borrowed from levels or place */
    char temp[sizeof(TEMP_PREFIX) + 16]; /* "": none */
    char *name;                          /* owned */
    struct level file;
    uint64_t left;
};

static struct timespec time_of(int64_t ns)
{
    int64_t seconds = ns / 1000000000, rest = ns % 1000000000;

    if (rest < 0) { /* before 1970 */
        seconds--;
        rest += 1000000000;
    }
    return (struct timespec){ .tv_sec = seconds, .tv_nsec = rest };
}

static struct level level_of(const struct agent_file *f)
{
    return (struct level){ .fd = -EBADF,
                           .made = true,
                           .mode = f->mode,
                           .uid = f->uid,
                           .gid = f->gid,
                           .mtime_ns = f->mtime_ns };
}

/* Owner, mode and time of what we made. Where the owner cannot be given away, which takes root, the
 * file stays ours, and then has no set-id bits. */
static int set_attributes(const struct tree_sink *s, int fd, const struct level *a, mvm_error **err)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, time_of(a->mtime_ns) };
    uint32_t bits = s->options->archive ? 07777 : 0777;

    if (s->options->archive && fchown(fd, a->uid, a->gid) < 0) {
        if (errno != EPERM)
            return mvm_fail(err, MVM_E_SYS, errno, "set the owner %u:%u", a->uid, a->gid);
        bits = 0777;
    }
    if (fchmod(fd, a->mode & bits) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the mode %o", a->mode & bits);
    if (futimens(fd, times) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the time");
    return 0;
}

/* Leaves folders until @depth of them are open. */
static int leave(struct tree_sink *s, size_t depth, mvm_error **err)
{
    int r = 0;

    while (s->n_levels > depth) {
        struct level *l = &s->levels[--s->n_levels];

        if (l->made && r == 0)
            r = set_attributes(s, l->fd, l, err);
        (void) close(l->fd);
    }
    return r;
}

static int make_temp_name(struct tree_sink *s, mvm_error **err)
{
    uint64_t random;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return mvm_fail(err, MVM_E_SYS, errno, "get random bytes");
    (void) snprintf(s->temp, sizeof(s->temp), TEMP_PREFIX "%016llx",
                    (unsigned long long) random); /* fits */
    return 0;
}

static int rename_temp(struct tree_sink *s, mvm_error **err)
{
    if (renameat(s->parent_fd, s->temp, s->parent_fd, s->name) < 0)
        return mvm_fail(err, errno == EISDIR ? MVM_E_EXISTS : MVM_E_SYS, errno, "make '%s'",
                        s->name);
    s->temp[0] = '\0';
    return 0;
}

static void drop_file(struct tree_sink *s)
{
    if (s->fd >= 0)
        (void) close(s->fd);
    s->fd = -EBADF;
    if (s->temp[0])
        (void) unlinkat(s->parent_fd, s->temp, 0);
    s->temp[0] = '\0';
}

static int finish_file(struct tree_sink *s, mvm_error **err)
{
    int r = set_attributes(s, s->fd, &s->file, err), fd = s->fd;

    if (r < 0)
        return mvm_context(err, r, "'%s'", s->name);
    s->fd = -EBADF;
    if (close(fd) < 0) /* some file systems tell of a full disk no earlier */
        return mvm_fail(err, MVM_E_SYS, errno, "write '%s'", s->name);
    return rename_temp(s, err);
}

static int make_file(struct tree_sink *s, const struct agent_file *f, mvm_error **err)
{
    int r = make_temp_name(s, err);

    if (r < 0)
        return r;
    s->fd = openat(s->parent_fd, s->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                   0600);
    if (s->fd < 0) {
        s->temp[0] = '\0';
        return mvm_fail(err, MVM_E_SYS, errno, "make '%s'", s->name);
    }
    s->file = level_of(f);
    s->left = f->size;
    return s->left == 0 ? finish_file(s, err) : 0;
}

static int make_link(struct tree_sink *s, const struct agent_file *f, mvm_error **err)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, time_of(f->mtime_ns) };
    int r = make_temp_name(s, err);

    if (r < 0)
        return r;
    if (symlinkat(f->link, s->parent_fd, s->temp) < 0) {
        s->temp[0] = '\0';
        return mvm_fail(err, MVM_E_SYS, errno, "make '%s'", s->name);
    }
    if (s->options->archive &&
        fchownat(s->parent_fd, s->temp, f->uid, f->gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != EPERM)
        return mvm_fail(err, MVM_E_SYS, errno, "'%s': set the owner", s->name);
    (void) utimensat(s->parent_fd, s->temp, times, AT_SYMLINK_NOFOLLOW); /* of no use to anyone */
    return rename_temp(s, err);
}

static int make_dir(struct tree_sink *s, const struct agent_file *f, mvm_error **err)
{
    struct level l = level_of(f);

    if (s->name && mkdirat(s->parent_fd, s->name, 0700) < 0) {
        if (errno != EEXIST)
            return mvm_fail(err, MVM_E_SYS, errno, "make the folder '%s'", s->name);
        l.made = false;
    }
    l.made = l.made && s->name;
    l.fd = openat(s->parent_fd, s->name ? s->name : ".",
                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (l.fd < 0)
        return mvm_fail(err, errno == ENOTDIR || errno == ELOOP ? MVM_E_EXISTS : MVM_E_SYS, errno,
                        "open the folder '%s'", s->name ? s->name : ".");
    s->levels[s->n_levels++] = l;
    return 0;
}

/* Sets parent_fd and name, and leaves the folders that are done. */
static int enter_place(struct tree_sink *s, const struct agent_file *f, mvm_error **err)
{
    const char *name = f->name;
    size_t depth = 1;
    int r;

    free(s->name);
    s->name = NULL;
    if (!name) { /* the source itself */
        r = s->place_fn(s->user, S_ISDIR(f->mode), &s->place, err);
        if (r < 0)
            return r;
        if (!s->place.name && !S_ISDIR(f->mode))
            return mvm_fail(err, MVM_E_EXISTS, 0, "a file cannot take the place of a folder");
        s->parent_fd = s->place.dir_fd;
        name = s->place.name;
    } else {
        for (const char *at = strchr(name, '/'); at; at = strchr(name, '/'), depth++)
            name = at + 1;
        r = leave(s, depth, err);
        if (r < 0)
            return r;
        s->parent_fd = s->levels[depth - 1].fd;
    }
    if (name) {
        s->name = strdup(name);
        if (!s->name)
            return mvm_fail_nomem(err);
    }
    return 0;
}

static int sink_info(void *user, const struct agent_file *f, mvm_error **err)
{
    struct tree_sink *s = user;
    int r = enter_place(s, f, err);

    if (r == 0)
        r = S_ISDIR(f->mode)   ? make_dir(s, f, err)
            : S_ISLNK(f->mode) ? make_link(s, f, err)
                               : make_file(s, f, err);
    return r < 0 && f->name ? mvm_context(err, r, "copy of '%s'", f->name) : r;
}

static int sink_data(void *user, struct bytes_view data, mvm_error **err)
{
    struct tree_sink *s = user;

    for (size_t at = 0; at < data.len;) {
        ssize_t n = write(s->fd, data.data + at, data.len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "write '%s'", s->name);
        at += (size_t) n;
    }
    s->left -= data.len;
    return data.len > 0 && s->left == 0 ? finish_file(s, err) : 0;
}

int tree_sink_new(copy_place_fn *place, void *user, const struct copy_options *o,
                  struct tree_sink **ret, mvm_error **err)
{
    struct tree_sink *s = calloc(1, sizeof(*s));

    if (!s)
        return mvm_fail_nomem(err);
    s->place_fn = place;
    s->user = user;
    s->options = o;
    s->place = (struct copy_place) COPY_PLACE_NONE;
    s->fd = -EBADF;
    *ret = s;
    return 0;
}

struct copy_sink tree_sink_get(struct tree_sink *s)
{
    return (struct copy_sink){ .info = sink_info, .data = sink_data, .user = s };
}

int tree_sink_finish(struct tree_sink *s, mvm_error **err)
{
    return leave(s, 0, err);
}

void tree_sink_free(struct tree_sink *s)
{
    if (!s)
        return;
    drop_file(s);
    (void) leave(s, 0, NULL); /* a copy that failed: its folders still get their modes */
    copy_place_deinit(&s->place);
    free(s->name);
    free(s);
}
