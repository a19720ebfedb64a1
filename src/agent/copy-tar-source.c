/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar stream, as items in the order that copy_check demands. A tar may come in any order, and
 * need not have its folders: before an entry, the folders on its way are given again where the one
 * before left them. One that was given already has the attributes that it had then.
 */
#include "agent/copy-internal.h"
#include "agent/keymap.h"
#include "base/stream-end.h"
#include "image/tar-reader.h"

#include <poll.h>
#include <sys/random.h>
#include <sys/stat.h>

/* Of a folder that the stream does not have. */
#define DIR_MODE (S_IFDIR | 0755)

struct tar_source {
    struct stream_end end;
    struct copy_check *check;
    const struct copy_sink *sink;
    struct keymap dirs;       /* hash of a folder's name to its index in attributes */
    struct agent_file *given; /* owned: mode, owner and time of the folders that were given */
    size_t n_given, given_cap;
    uint64_t seed;
    uint8_t chunk[AGENT_DATA_MAX];
};

static ssize_t pull(void *user, const void **ret_data, mvm_error **err)
{
    struct tar_source *s = user;

    for (;;) {
        struct pollfd p = { .fd = s->end.fd, .events = POLLIN };
        ssize_t n = stream_end_read(&s->end, s->chunk, sizeof(s->chunk));

        *ret_data = s->chunk;
        if (n >= 0)
            return n;
        if (errno == EINTR || (errno == EAGAIN && (poll(&p, 1, -1) >= 0 || errno == EINTR)))
            continue;
        return mvm_fail(err, MVM_E_SYS, errno, "read the tar stream");
    }
}

static int give(struct tar_source *s, const struct agent_file *f, mvm_error **err)
{
    int r = copy_check_info(s->check, f, err);

    return r == 1 ? s->sink->info(s->sink->user, f, err) : r;
}

static int remember_dir(struct tar_source *s, const struct agent_file *f, mvm_error **err)
{
    uint64_t key = keymap_hash(s->seed, f->name, strlen(f->name));

    if (mem_grow(&s->given, &s->given_cap, s->n_given, sizeof(*s->given)) < 0 ||
        keymap_set(&s->dirs, key, (uint32_t) s->n_given) < 0)
        return mvm_fail_nomem(err);
    s->given[s->n_given] = *f;
    s->given[s->n_given++].name = NULL; /* not ours */
    return 0;
}

/* Gives the folders that @name, a file's, lies in, where the sink is not in them. */
static int enter_parents(struct tar_source *s, const char *name, mvm_error **err)
{
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t len = (size_t) (slash - name);
        const char *dir = s->check->dir;
        struct agent_file f = { .mode = DIR_MODE };
        mvm_autofree char *parent = NULL;
        uint32_t index = 0;
        bool known;
        int r;

        if (strncmp(dir, name, len) == 0 && (dir[len] == '\0' || dir[len] == '/'))
            continue;
        parent = strndup(name, len);
        if (!parent)
            return mvm_fail_nomem(err);
        known = keymap_get(&s->dirs, keymap_hash(s->seed, name, len), &index);
        if (known)
            f = s->given[index];
        f.name = parent;
        r = give(s, &f, err);
        if (r == 0 && !known)
            r = remember_dir(s, &f, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The entry's name without what means nothing: "/" in front, "." components, "/" behind; NULL for
 * the root. */
static int clean_name(const char *from, char **ret, mvm_error **err)
{
    mvm_autovalue(strbuf) name = STRBUF_INIT(AGENT_PATH_MAX - 1);
    int r;

    while (*from) {
        size_t len = strcspn(from, "/");

        if (len > 0 && !(len == 1 && *from == '.')) {
            if (name.len > 0)
                strbuf_addc(&name, '/');
            strbuf_add(&name, from, len);
        }
        from += len + (from[len] == '/');
    }
    r = strbuf_check(&name, "name in the tar stream", err);
    if (r < 0)
        return r;
    *ret = name.len > 0 ? strbuf_take(&name) : NULL;
    return 0;
}

static int entry_file(const struct tar_entry *e, char *name, struct agent_file *f, mvm_error **err)
{
    static const uint32_t types[] = {
        [TAR_FILE] = S_IFREG,  [TAR_DIR] = S_IFDIR,  [TAR_SYMLINK] = S_IFLNK, [TAR_CHAR] = S_IFCHR,
        [TAR_BLOCK] = S_IFBLK, [TAR_FIFO] = S_IFIFO, [TAR_OTHER] = S_IFSOCK
    };
    int64_t seconds = e->mtime.tv_sec;

    if (e->kind == TAR_HARDLINK)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                        "a hard link to '%.256s': the guest's agent takes none", e->link);
    if (!copy_name_is_valid(name))
        return mvm_fail(err, MVM_E_FORMAT, 0, "no name that may be written");
    if (e->kind == TAR_SYMLINK && strlen(e->link) >= AGENT_PATH_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "a target of %zu bytes", strlen(e->link));
    if (seconds > INT64_MAX / 1000000000 - 1 || seconds < INT64_MIN / 1000000000 + 1)
        seconds = 0; /* a time that no file of the guest can have */
    *f = (struct agent_file){ .name = name,
                              .mode = types[e->kind] | e->mode,
                              .uid = e->uid,
                              .gid = e->gid,
                              .size = e->size,
                              .mtime_ns = seconds * 1000000000 + e->mtime.tv_nsec,
                              .link = e->kind == TAR_SYMLINK ? (char *) e->link : NULL };
    return 0;
}

/* @len bytes, or zeros for NULL: a hole of a sparse file. */
static int give_bytes(struct tar_source *s, const uint8_t *data, uint64_t len, mvm_error **err)
{
    static const uint8_t zeros[AGENT_DATA_MAX];
    int r = 0;

    while (len > 0 && r == 0) {
        size_t n = len < AGENT_DATA_MAX ? (size_t) len : AGENT_DATA_MAX;

        r = copy_check_data(s->check, n, err);
        if (r == 0)
            r = s->sink->data(s->sink->user, (struct bytes_view){ data ? data : zeros, n }, err);
        data = data ? data + n : NULL;
        len -= n;
    }
    return r;
}

static int give_content(struct tar_source *s, struct tar_reader *t, uint64_t size, mvm_error **err)
{
    uint64_t at = 0, offset = 0;
    const void *data = NULL;
    size_t len = 0;
    int r;

    while ((r = tar_reader_data(t, &data, &len, &offset, err)) == 1) {
        if (offset < at || offset > size || len > size - offset)
            return mvm_fail(err, MVM_E_FORMAT, 0, "content beyond the file's size");
        r = give_bytes(s, NULL, offset - at, err);
        if (r == 0)
            r = give_bytes(s, data, len, err);
        if (r < 0)
            return r;
        at = offset + len;
    }
    return r < 0 ? r : give_bytes(s, NULL, size - at, err);
}

static int give_entry(struct tar_source *s, struct tar_reader *t, const struct tar_entry *e,
                      mvm_error **err)
{
    mvm_autofree char *name = NULL;
    struct agent_file f;
    int r = clean_name(e->name, &name, err);

    if (r < 0 || !name) /* the root is there, and stays as it is */
        return r;
    r = entry_file(e, name, &f, err);
    if (r == 0)
        r = enter_parents(s, name, err);
    if (r == 0)
        r = give(s, &f, err);
    if (r == 0 && e->kind == TAR_DIR)
        r = remember_dir(s, &f, err);
    if (r == 0 && e->kind == TAR_FILE)
        r = give_content(s, t, e->size, err);
    return r;
}

static int run(struct tar_source *s, const struct agent_file *root, mvm_error **err)
{
    mvm_auto(tar_reader) t = NULL;
    struct tar_entry e;
    int r = tar_reader_new_pull(pull, s, &t, err);

    if (r == 0)
        r = give(s, root, err);
    if (r < 0)
        return r;
    while ((r = tar_reader_next(t, &e, err)) == 1) {
        r = give_entry(s, t, &e, err);
        if (r < 0)
            return mvm_context(err, r, "'%.256s' in the tar stream", e.name);
    }
    return r < 0 ? r : copy_check_end(s->check, err);
}

int tar_source_run(int fd, const struct agent_file *root, struct copy_check *check,
                   const struct copy_sink *sink, mvm_error **err)
{
    struct tar_source *s = calloc(1, sizeof(*s));
    int r;

    if (!s) {
        (void) close(fd);
        return mvm_fail_nomem(err);
    }
    s->end = (struct stream_end) STREAM_END_NONE;
    s->check = check;
    s->sink = sink;
    r = stream_end_open(fd, false, &s->end, err);
    if (r == 0 && getrandom(&s->seed, sizeof(s->seed), 0) != sizeof(s->seed))
        r = mvm_fail(err, MVM_E_SYS, errno, "get random bytes");
    if (r == 0)
        r = run(s, root, err);
    stream_end_close(&s->end);
    keymap_deinit(&s->dirs);
    free(s->given);
    free(s);
    return r;
}
