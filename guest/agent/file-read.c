/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stat, List and Read. A path is the client's word: symbolic links in it are followed, and end
 * inside the root. In a tree nothing is followed: each name is opened in the folder that holds it.
 *
 * A tree is read piece by piece, as the connection's queue has room. What others do to it meanwhile
 * may show or not: an entry that has gone is left out. But a file that is replaced, or whose
 * content does not fill the size that was told, ends the call.
 */
#include "guest/agent/file-info.h"
#include "guest/agent/methods.h"
#include "guest/agent/server.h"

#include "base/path.h"

#include <dirent.h>
#include <fcntl.h>

struct level {
    DIR *dir;        /* owned */
    size_t name_len; /* of the folder's own name in reader.name */
};

struct reader {
    bool lists; /* List: one folder, and not its own entry */
    bool recursive;
    bool started;
    int root_fd;        /* owned: the asked path, O_PATH */
    struct strbuf name; /* relative to the asked path */
    struct level levels[FILE_DEPTH_MAX];
    size_t depth;
    int file_fd;   /* owned; -EBADF: between files */
    uint64_t left; /* bytes of it to come */
};

static int open_asked(struct call *c, enum agent_path_call kind, struct bytes_view request,
                      struct agent_path_request *m, int *ret_fd, mvm_error **err)
{
    int r = agent_path_request_decode(kind, request.data, request.len, m, err);
    bool follow = kind == AGENT_CALL_LIST || m->follow;

    if (r < 0)
        return r;
    return path_open_in_root(call_server(c)->machine->root_fd, m->path,
                             O_PATH | (follow ? 0 : O_NOFOLLOW), ret_fd, err);
}

static int stat_open(struct call *c, struct bytes_view request, mvm_error **err)
{
    mvm_autovalue(agent_path_request) m = { .path = NULL };
    mvm_autoclose int fd = -EBADF;
    struct agent_file f;
    int r;

    r = open_asked(c, AGENT_CALL_STAT, request, &m, &fd, err);
    if (r == 0)
        r = file_info_get(fd, "", "", &f, err);
    if (r < 0)
        return r;
    agent_file_encode(&f, call_message(c));
    file_info_release(&f);
    call_answer(c);
    return 0;
}

static int send_info(struct call *c, const struct agent_file *f, mvm_error **err)
{
    const struct reader *r = c->state;
    const struct agent_item item = { .kind = AGENT_ITEM_INFO, .info = *f };

    if (r->lists)
        agent_file_encode(f, call_message(c));
    else
        agent_tree_item_encode(&item, call_message(c));
    return call_send(c, err);
}

/* Takes @fd, an open folder, over. */
static int push_level(struct reader *r, int fd, size_t name_len, mvm_error **err)
{
    struct level *l = &r->levels[r->depth];

    if (r->depth == FILE_DEPTH_MAX) {
        (void) close(fd);
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d folders in each other", FILE_DEPTH_MAX);
    }
    *l = (struct level){ .dir = fdopendir(fd), .name_len = name_len };
    if (!l->dir) {
        int saved = errno;

        (void) close(fd);
        return mvm_fail(err, MVM_E_SYS, saved, "read the folder '%s'", strbuf_str(&r->name));
    }
    r->depth++;
    return 0;
}

/* Sends the info of @name in @dir_fd, and opens what its content comes from. */
static int begin_item(struct call *c, int dir_fd, const char *name, mvm_error **err)
{
    struct reader *r = c->state;
    struct agent_file f;
    int fd = -EBADF, rc;

    rc = file_info_get(dir_fd, name, r->lists ? name : strbuf_str(&r->name), &f, err);
    if (rc < 0)
        return rc;
    if (!r->lists && (S_ISREG(f.mode) || S_ISDIR(f.mode)))
        rc = file_info_open(dir_fd, name, &f, &fd, err);
    if (rc == 0)
        rc = send_info(c, &f, err);
    r->left = f.size;
    if (fd >= 0 && rc == 0 && S_ISDIR(f.mode))
        rc = push_level(r, steal_fd(&fd), r->name.len, err);
    else if (fd >= 0 && f.size > 0)
        r->file_fd = steal_fd(&fd);
    if (fd >= 0)
        (void) close(fd);
    file_info_release(&f);
    return rc;
}

static int send_piece(struct call *c, mvm_error **err)
{
    struct reader *r = c->state;
    size_t want = r->left < AGENT_DATA_MAX ? (size_t) r->left : AGENT_DATA_MAX;
    uint8_t *buffer = call_server(c)->buffer;
    ssize_t n = read(r->file_fd, buffer, want);
    struct agent_item item = { .kind = AGENT_ITEM_DATA, .data = { .data = buffer } };

    if (n < 0 && errno == EINTR)
        return 0;
    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read '%s'", strbuf_str(&r->name));
    if (n == 0)
        return mvm_fail(err, MVM_E_CANCELLED, 0, "'%s' became shorter while it was read",
                        strbuf_str(&r->name));
    item.data.len = (size_t) n;
    r->left -= (uint64_t) n;
    if (r->left == 0)
        (void) close(steal_fd(&r->file_fd));
    agent_tree_item_encode(&item, call_message(c));
    return call_send(c, err);
}

static void set_name(struct reader *r, size_t folder_len, const char *entry)
{
    r->name.len = folder_len;
    if (folder_len > 0)
        strbuf_addc(&r->name, '/');
    strbuf_adds(&r->name, entry);
}

static int next_entry(struct call *c, mvm_error **err)
{
    struct reader *r = c->state;
    struct level *l = &r->levels[r->depth - 1];
    mvm_autoerror mvm_error *why = NULL;
    struct dirent *entry;
    int rc;

    errno = 0;
    entry = readdir(l->dir);
    if (!entry && errno != 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read the folder '%s'", strbuf_str(&r->name));
    if (!entry) {
        (void) closedir(l->dir);
        r->depth--;
        return 0;
    }
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return 0;
    set_name(r, l->name_len, entry->d_name);
    rc = strbuf_check(&r->name, "a path", &why);
    if (rc == 0)
        rc = begin_item(c, dirfd(l->dir), entry->d_name, &why);
    if (rc == MVM_E_SYS && mvm_error_errno(why) == ENOENT)
        return 0; /* it has gone since the folder was read; nothing was sent of it */
    error_move(err, steal_ptr(&why));
    return rc;
}

/* The asked path itself, opened anew for reading: by the same descriptor, whatever its name is by
 * now. */
static int begin_root(struct call *c, mvm_error **err)
{
    struct reader *r = c->state;
    struct agent_file f;
    char self[64];
    int fd, rc;

    rc = file_info_get(r->root_fd, "", "", &f, err);
    if (rc < 0)
        return rc;
    if (S_ISDIR(f.mode) && !r->recursive && !r->lists)
        rc = mvm_fail(err, MVM_E_ARG, 0, "is a folder");
    else if (!S_ISDIR(f.mode) && r->lists)
        rc = mvm_fail(err, MVM_E_ARG, 0, "is no folder");
    else if (!r->lists)
        rc = send_info(c, &f, err);
    r->left = f.size;
    if (rc == 0 && (S_ISDIR(f.mode) || f.size > 0)) {
        (void) snprintf(self, sizeof(self), "/proc/self/fd/%d", r->root_fd); /* fits */
        fd = open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
            rc = mvm_fail(err, MVM_E_SYS, errno, "open it for reading");
        else if (S_ISDIR(f.mode))
            rc = push_level(r, fd, 0, err);
        else
            r->file_fd = fd;
    }
    file_info_release(&f);
    return rc;
}

static int reader_go_on(struct call *c, mvm_error **err)
{
    struct reader *r = c->state;
    int rc = 0;

    while (rc == 0 && call_has_room(c)) {
        if (!r->started) {
            r->started = true;
            rc = begin_root(c, err);
        } else if (r->file_fd >= 0) {
            rc = send_piece(c, err);
        } else if (r->depth > 0) {
            rc = next_entry(c, err);
        } else {
            (void) call_message(c);
            call_answer(c);
        }
    }
    return rc;
}

static int reader_open(struct call *c, enum agent_path_call kind, struct bytes_view request,
                       mvm_error **err)
{
    mvm_autovalue(agent_path_request) m = { .path = NULL };
    struct reader *r = calloc(1, sizeof(*r));
    int rc;

    if (!r)
        return mvm_fail_nomem(err);
    rc = server_add_tree(call_server(c), err);
    if (rc < 0) {
        free(r);
        return rc;
    }
    c->state = r;
    r->lists = kind == AGENT_CALL_LIST;
    r->root_fd = r->file_fd = -EBADF;
    r->name = (struct strbuf) STRBUF_INIT(AGENT_PATH_MAX - 1);
    rc = open_asked(c, kind, request, &m, &r->root_fd, err);
    r->recursive = m.recursive;
    if (rc == 0)
        rc = reader_go_on(c, err);
    return rc < 0 && m.path ? mvm_context(err, rc, "%s", m.path) : rc;
}

static int list_open(struct call *c, struct bytes_view request, mvm_error **err)
{
    return reader_open(c, AGENT_CALL_LIST, request, err);
}

static int read_open(struct call *c, struct bytes_view request, mvm_error **err)
{
    return reader_open(c, AGENT_CALL_READ, request, err);
}

static void reader_release(struct call *c)
{
    struct reader *r = c->state;

    if (!r)
        return;
    while (r->depth > 0)
        (void) closedir(r->levels[--r->depth].dir);
    if (r->file_fd >= 0)
        (void) close(r->file_fd);
    if (r->root_fd >= 0)
        (void) close(r->root_fd);
    strbuf_deinit(&r->name);
    free(r);
    call_server(c)->n_trees--;
}

const struct call_type call_stat = { .method = "Stat", .open = stat_open };
const struct call_type call_list = {
    .method = "List",
    .open = list_open,
    .room = reader_go_on,
    .release = reader_release,
};
const struct call_type call_read = {
    .method = "Read",
    .open = read_open,
    .room = reader_go_on,
    .release = reader_release,
};
