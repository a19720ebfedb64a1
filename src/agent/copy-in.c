/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/copy-internal.h"

#include "agent/wire.h"
#include "base/clock.h"
#include "base/path.h"

#include <fcntl.h>
#include <sys/stat.h>

/* The guest answers a Stat at once, or not at all. */
#define STAT_TIMEOUT_MS 30000
/* Links at the end of a destination, each to the next: as the kernel (path_resolution(7)). */
#define COPY_LINKS_MAX 40

/* One Write call, as a sink. */
struct writing {
    struct agent_client *client; /* borrowed */
    struct agent_call *call;     /* NULL once it has ended */
    bool own;
    bool ended;
    int r;
    mvm_error *error; /* owned */
    struct strbuf message;
};

/* Write sends nothing but its response. */
static int on_message(void *user, struct bytes_view message, mvm_error **err)
{
    (void) user;
    return mvm_fail(err, MVM_E_FORMAT, 0, "a message of %zu bytes where none may come",
                    message.len);
}

static void on_room(void *user)
{
    (void) user; /* who waits for room asks for it again after each round of the loop */
}

static void on_ended(void *user, int r, struct bytes_view payload, const mvm_error *err)
{
    struct agent_write_response response;
    struct writing *w = user;

    w->call = NULL;
    w->ended = true;
    w->r = r < 0 ? mvm_fail(&w->error, r, 0, "%s", mvm_error_message(err))
                 : agent_write_response_decode(payload.data, payload.len, &response, &w->error);
}

static const struct agent_call_handler handler = { .message = on_message,
                                                   .room = on_room,
                                                   .ended = on_ended };

/* Runs the loop until there is room, or with @to_end until the call has ended. */
static int writing_wait(struct writing *w, bool to_end, mvm_error **err)
{
    uint64_t since = clock_now_ms();
    int r = 0;

    while (r == 0 && !w->ended && (to_end || !agent_call_has_room(w->call))) {
        if (clock_now_ms() - since > COPY_IDLE_MS)
            r = mvm_fail(err, MVM_E_TIMEOUT, 0, "the guest took nothing for %d s",
                         COPY_IDLE_MS / 1000);
        else
            r = loop_run_once(agent_client_loop(w->client), 1000, err);
    }
    if (r == 0 && w->ended && w->r < 0) {
        r = w->r;
        error_move(err, steal_ptr(&w->error));
    } else if (r == 0 && w->ended && !to_end) {
        r = mvm_fail(err, MVM_E_FORMAT, 0, "the guest's agent ended before all was sent");
    }
    return r;
}

static int send_item(struct writing *w, const struct agent_item *m, mvm_error **err)
{
    int r = writing_wait(w, false, err);

    if (r < 0)
        return r;
    strbuf_reset(&w->message);
    agent_write_input_encode(m, &w->message);
    r = strbuf_check(&w->message, "message", err);
    return r < 0 ? r
                 : agent_call_send(w->call, bytes_view_of(w->message.data, w->message.len), err);
}

static int sink_info(void *user, const struct agent_file *f, mvm_error **err)
{
    /* A shallow copy: what it owns stays the caller's. */
    struct agent_item m = { .kind = AGENT_ITEM_INFO, .info = *f };
    struct writing *w = user;

    if (!w->own)
        m.info.mode &= S_IFMT | 01777; /* set-id bits for root's file would be another thing */
    return send_item(w, &m, err);
}

static int sink_data(void *user, struct bytes_view data, mvm_error **err)
{
    const struct agent_item m = { .kind = AGENT_ITEM_DATA, .data = data };

    return send_item(user, &m, err);
}

static int writing_start(struct writing *w, struct agent_client *c, const char *path, bool own,
                         mvm_error **err)
{
    const struct agent_call_spec spec = {
        .method = "Write", .streams = AGENT_STREAMS_BOTH, .handler = &handler, .user = w
    };
    const struct agent_item target = { .kind = AGENT_ITEM_TARGET,
                                       .path = (char *) path,
                                       .own = own };
    int r;

    *w = (struct writing){ .client = c, .own = own, .message = STRBUF_INIT(AGENT_FRAME_MAX) };
    r = agent_call_start(c, &spec, &w->call, err);
    return r < 0 ? r : send_item(w, &target, err);
}

static int writing_finish(struct writing *w, mvm_error **err)
{
    int r = w->call ? agent_call_close(w->call, err) : 0;

    return r < 0 ? r : writing_wait(w, true, err);
}

static void writing_deinit(struct writing *w)
{
    agent_call_cancel(w->call);
    w->call = NULL;
    strbuf_deinit(&w->message);
    mvm_error_free(w->error);
    w->error = NULL;
}

/* What a copy into the guest is made of. */
struct input {
    int dir_fd;       /* of a tree, borrowed */
    const char *name; /* of a tree */
    int tar_fd;       /* else: taken over */
    const struct agent_file *root;
};

static int input_run(struct agent_client *c, struct input *in, const char *target,
                     const struct copy_options *o, struct copy_result *ret, mvm_error **err)
{
    struct copy_result result = { .files = 0 };
    mvm_autovalue(copy_check) check = COPY_CHECK_INIT(o, &result);
    mvm_autoclose int tar_fd = in->tar_fd;
    struct writing w;
    const struct copy_sink sink = { .info = sink_info, .data = sink_data, .user = &w };
    int r = writing_start(&w, c, target, o->archive, err);

    if (r == 0)
        r = in->root ? tar_source_run(steal_fd(&tar_fd), in->root, &check, &sink, err)
                     : tree_source_run(in->dir_fd, in->name, o->follow, &check, &sink, err);
    if (r == 0)
        r = writing_finish(&w, err);
    writing_deinit(&w);
    *ret = result;
    return r < 0 ? mvm_context(err, r, "copy to '%s' in the guest", target) : 0;
}

/* What the guest has at @path. MVM_E_NOT_FOUND for nothing. */
static int guest_stat(struct agent_client *c, const char *path, bool follow, struct agent_file *ret,
                      mvm_error **err)
{
    const struct agent_path_request m = { .path = (char *) path, .follow = follow };
    mvm_autovalue(strbuf) request = STRBUF_INIT(AGENT_FRAME_MAX);
    mvm_autovalue(strbuf) response = STRBUF_INIT(AGENT_FRAME_MAX);
    int r;

    agent_path_request_encode(AGENT_CALL_STAT, &m, &request);
    r = strbuf_check(&request, "request", err);
    if (r == 0)
        r = agent_client_call(c, "Stat", bytes_view_of(request.data, request.len), STAT_TIMEOUT_MS,
                              &response, err);
    if (r == 0)
        r = agent_file_decode((const uint8_t *) response.data, response.len, ret, err);
    return r < 0 ? mvm_context(err, r, "'%s' in the guest", path) : 0;
}

/* As an absolute path of the guest, where nothing else makes sense: docker-cp(1) does the same. */
static int guest_path_absolute(const char *path, char **ret, mvm_error **err)
{
    char *made = NULL;

    if (asprintf(&made, "%s%s", path[0] == '/' ? "" : "/", path) < 0)
        return mvm_fail_nomem(err);
    if (strlen(made) >= AGENT_PATH_MAX) {
        free(made);
        return mvm_fail(err, MVM_E_ARG, 0, "a path of %zu bytes", strlen(path));
    }
    *ret = made;
    return 0;
}

/* The path that @link, found at *@at, means; replaces *@at. */
static int guest_follow(char **at, const char *link, mvm_error **err)
{
    size_t folder = link[0] == '/' ? 0 : (size_t) (strrchr(*at, '/') + 1 - *at);
    char *made = NULL;

    if (asprintf(&made, "%.*s%s", (int) folder, *at, link) < 0)
        return mvm_fail_nomem(err);
    free(*at);
    *at = made;
    return strlen(made) < AGENT_PATH_MAX
               ? 0
               : mvm_fail(err, MVM_E_LIMIT, 0, "a path of %zu bytes", strlen(made));
}

/* What is at *@at, which becomes the path without a link at its end. 1: something; 0: nothing. */
static int guest_look(struct agent_client *c, char **at, struct agent_file *ret, mvm_error **err)
{
    for (int links = 0; links <= COPY_LINKS_MAX; links++) {
        mvm_autovalue(agent_file) f = { .mode = 0 };
        mvm_autoerror mvm_error *why = NULL;
        int r = guest_stat(c, *at, false, &f, &why);

        if (r == MVM_E_NOT_FOUND)
            return 0;
        if (r < 0) {
            error_move(err, steal_ptr(&why));
            return r;
        }
        if (!S_ISLNK(f.mode)) {
            *ret = f;
            f = (struct agent_file){ .name = NULL };
            return 1;
        }
        r = guest_follow(at, f.link ? f.link : "", err);
        if (r < 0)
            return r;
    }
    return mvm_fail(err, MVM_E_ARG, ELOOP, "'%s' in the guest", *at);
}

/* copy_place_resolve() for the guest's side. *ret is owned. */
static int guest_place(struct agent_client *c, const char *path,
                       const struct copy_source_name *source, bool source_is_dir, char **ret,
                       mvm_error **err)
{
    mvm_autofree char *at = NULL;
    mvm_autovalue(agent_file) there = { .mode = 0 };
    int r = guest_path_absolute(path, &at, err);

    if (r == 0)
        r = guest_look(c, &at, &there, err);
    if (r < 0)
        return r;
    if (r > 0 && S_ISDIR(there.mode) && source->base)
        return asprintf(ret, "%s%s%s", at, at[strlen(at) - 1] == '/' ? "" : "/", source->base) < 0
                   ? mvm_fail_nomem(err)
                   : 0;
    if (!source_is_dir && at[strlen(at) - 1] == '/')
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "'%s' in the guest: no such folder", at);
    if (r > 0 && !S_ISDIR(there.mode) && source_is_dir)
        return mvm_fail(err, MVM_E_EXISTS, 0, "'%s' in the guest is no folder", at);
    *ret = steal_ptr(&at);
    return 0;
}

int copy_in_at(struct agent_client *c, int dir_fd, const char *name, const char *guest_path,
               const struct copy_options *o, struct copy_result *ret, mvm_error **err)
{
    struct input in = { .dir_fd = dir_fd, .name = name, .tar_fd = -EBADF };

    if (!path_is_component(name))
        return mvm_fail(err, MVM_E_ARG, 0, "'%s' is no name", name);
    return input_run(c, &in, guest_path, o, ret, err);
}

int copy_in(struct agent_client *c, const char *host_path, const char *guest_path,
            const struct copy_options *o, struct copy_result *ret, mvm_error **err)
{
    mvm_autovalue(copy_source_name) source = { .base = NULL };
    mvm_autofree char *target = NULL;
    struct input in = { .dir_fd = AT_FDCWD, .name = host_path, .tar_fd = -EBADF };
    struct stat st;
    int r;

    /* A path with a slash or "/." at its end is looked at through a link, as everywhere. */
    if (fstatat(AT_FDCWD, host_path, &st, o->follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno, "look at '%s'",
                        host_path);
    r = copy_source_name_of(host_path, &source, err);
    if (r == 0)
        r = guest_place(c, guest_path, &source, S_ISDIR(st.st_mode), &target, err);
    return r < 0 ? r : input_run(c, &in, target, o, ret, err);
}

int copy_in_tar(struct agent_client *c, int fd, const char *guest_path,
                const struct copy_options *o, struct copy_result *ret, mvm_error **err)
{
    mvm_autovalue(agent_file) root = { .mode = 0 };
    mvm_autofree char *target = NULL;
    struct input in = { .root = &root, .tar_fd = fd };
    mvm_autoclose int owned = fd;
    int r = guest_path_absolute(guest_path, &target, err);

    if (r == 0)
        r = guest_stat(c, target, true, &root, err);
    if (r == 0 && !S_ISDIR(root.mode))
        r = mvm_fail(err, MVM_E_EXISTS, 0, "'%s' in the guest is no folder", target);
    if (r < 0)
        return r;
    free(root.name); /* the source itself has the empty one */
    root.name = NULL;
    (void) steal_fd(&owned);
    return input_run(c, &in, target, o, ret, err);
}
