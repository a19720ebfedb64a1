/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/copy-internal.h"

#include "agent/wire.h"
#include "base/clock.h"
#include "base/path.h"

#include <fcntl.h>

/* One Read call, whose items go to a sink as they come. */
struct reading {
    struct copy_check check;
    struct copy_sink sink;
    uint64_t heard_ms; /* when something came last */
    bool ended;
    int r;
    mvm_error *error; /* owned */
};

static int on_message(void *user, struct bytes_view message, mvm_error **err)
{
    mvm_autovalue(agent_item) m = { .own = false };
    struct reading *c = user;
    int r = agent_tree_item_decode(message.data, message.len, &m, err);

    if (r == 0 && m.kind == AGENT_ITEM_INFO) {
        r = copy_check_info(&c->check, &m.info, err);
        if (r == 1)
            r = c->sink.info(c->sink.user, &m.info, err);
    } else if (r == 0) {
        r = copy_check_data(&c->check, m.data.len, err);
        if (r == 0 && m.data.len > 0)
            r = c->sink.data(c->sink.user, m.data, err);
    }
    c->heard_ms = clock_now_ms(); /* after the sink, which may have waited for its reader */
    return r;
}

static void on_ended(void *user, int r, struct bytes_view payload, const mvm_error *err)
{
    struct reading *c = user;

    (void) payload;
    c->ended = true;
    c->r = r < 0 ? mvm_fail(&c->error, r, 0, "%s", mvm_error_message(err)) : 0;
}

static int request_encode(const char *path, bool follow, struct strbuf *out, mvm_error **err)
{
    mvm_autovalue(agent_path_request) m = { .follow = follow, .recursive = true };

    if (asprintf(&m.path, "%s%s", path[0] == '/' ? "" : "/", path) < 0) {
        m.path = NULL;
        return mvm_fail_nomem(err);
    }
    if (strlen(m.path) >= AGENT_PATH_MAX)
        return mvm_fail(err, MVM_E_ARG, 0, "a path of %zu bytes", strlen(m.path));
    agent_path_request_encode(AGENT_CALL_READ, &m, out);
    return strbuf_check(out, "request", err);
}

static int read_tree(struct agent_client *client, const char *path, struct reading *c,
                     mvm_error **err)
{
    static const struct agent_call_handler handler = { .message = on_message, .ended = on_ended };
    mvm_autovalue(strbuf) request = STRBUF_INIT(AGENT_FRAME_MAX);
    struct agent_call_spec spec = {
        .method = "Read", .streams = AGENT_STREAMS_SERVER, .handler = &handler, .user = c
    };
    struct agent_call *call = NULL;
    int r = request_encode(path, c->check.options->follow, &request, err);

    if (r < 0)
        return r;
    spec.payload = bytes_view_of(request.data, request.len);
    r = agent_call_start(client, &spec, &call, err);
    c->heard_ms = clock_now_ms();
    while (r == 0 && !c->ended) {
        if (clock_now_ms() - c->heard_ms > COPY_IDLE_MS)
            r = mvm_fail(err, MVM_E_TIMEOUT, 0, "nothing came for %d s", COPY_IDLE_MS / 1000);
        else
            r = loop_run_once(agent_client_loop(client), 1000, err);
    }
    if (call && !c->ended)
        agent_call_cancel(call);
    if (r == 0 && c->r < 0) {
        r = c->r;
        error_move(err, steal_ptr(&c->error));
    }
    return r < 0 ? r : copy_check_end(&c->check, err);
}

/* Runs the call, and gives the numbers also of what was copied before a failure. */
static int reading_run(struct agent_client *client, const char *path, const struct copy_options *o,
                       struct copy_sink sink, struct copy_result *ret, mvm_error **err)
{
    struct copy_result result = { .files = 0 };
    struct reading c = { .check = COPY_CHECK_INIT(o, &result), .sink = sink };
    int r = read_tree(client, path, &c, err);

    copy_check_deinit(&c.check);
    mvm_error_free(c.error);
    *ret = result;
    return r < 0 ? mvm_context(err, r, "copy '%s' from the guest", path) : 0;
}

static int copy_to_tree(struct agent_client *client, const char *path, copy_place_fn *place,
                        void *user, const struct copy_options *o, struct copy_result *ret,
                        mvm_error **err)
{
    mvm_auto(tree_sink) sink = NULL;
    int r = tree_sink_new(place, user, o, &sink, err);

    if (r < 0)
        return r;
    r = reading_run(client, path, o, tree_sink_get(sink), ret, err);
    return r < 0 ? r : tree_sink_finish(sink, err);
}

struct wanted_place {
    const char *host_path;
    struct copy_source_name source;
};

static int place_by_path(void *user, bool source_is_dir, struct copy_place *ret, mvm_error **err)
{
    const struct wanted_place *w = user;

    return copy_place_resolve(w->host_path, &w->source, source_is_dir, ret, err);
}

int copy_out(struct agent_client *c, const char *guest_path, const char *host_path,
             const struct copy_options *o, struct copy_result *ret, mvm_error **err)
{
    struct wanted_place w = { .host_path = host_path };
    int r = copy_source_name_of(guest_path, &w.source, err);

    if (r < 0)
        return r;
    r = copy_to_tree(c, guest_path, place_by_path, &w, o, ret, err);
    copy_source_name_deinit(&w.source);
    return r;
}

struct fixed_place {
    int dir_fd;
    const char *name;
};

static int place_fixed(void *user, bool source_is_dir, struct copy_place *ret, mvm_error **err)
{
    const struct fixed_place *f = user;
    mvm_autovalue(copy_place) p = COPY_PLACE_NONE;

    (void) source_is_dir;
    p.dir_fd = fcntl(f->dir_fd, F_DUPFD_CLOEXEC, 3);
    if (p.dir_fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "hold the folder");
    p.name = f->name ? strdup(f->name) : NULL;
    if (f->name && !p.name)
        return mvm_fail_nomem(err);
    *ret = p;
    p = (struct copy_place) COPY_PLACE_NONE;
    return 0;
}

int copy_out_at(struct agent_client *c, const char *guest_path, int dir_fd, const char *name,
                const struct copy_options *o, struct copy_result *ret, mvm_error **err)
{
    struct fixed_place f = { .dir_fd = dir_fd, .name = name };

    if (name && !path_is_component(name))
        return mvm_fail(err, MVM_E_ARG, 0, "'%s' is no name", name);
    return copy_to_tree(c, guest_path, place_fixed, &f, o, ret, err);
}

int copy_out_tar(struct agent_client *c, const char *guest_path, int fd,
                 const struct copy_options *o, struct copy_result *ret, mvm_error **err)
{
    mvm_autovalue(copy_source_name) source = { .base = NULL };
    mvm_auto(tar_sink) sink = NULL;
    mvm_autoclose int owned = fd;
    int r = copy_source_name_of(guest_path, &source, err);

    if (r < 0)
        return r;
    r = tar_sink_new(steal_fd(&owned), source.base ? source.base : ".", &sink, err);
    if (r < 0)
        return r;
    r = reading_run(c, guest_path, o, tar_sink_get(sink), ret, err);
    return r < 0 ? r : tar_sink_finish(sink, err);
}
