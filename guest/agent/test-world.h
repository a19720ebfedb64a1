/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests: a server in a loop of its own, and clients over socket pairs, all in this process. Who
 * waits for a frame runs the loop meanwhile.
 */
#ifndef GUEST_AGENT_TEST_WORLD_H
#define GUEST_AGENT_TEST_WORLD_H

#include "guest/agent/server.h"

#include "base/clock.h"
#include "base/path.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

/* Longer than anything takes on a busy machine. */
#define WORLD_PATIENCE_MS 20000

struct world {
    struct loop *loop;
    struct server server;
    struct krun_config config;
    struct boot_config boot;
    struct agent_image image;
    struct agent_machine machine;
    char root[64];
    unsigned ends, kill_alls, syncs;
    int64_t clock_ns;
    pid_t main_group; /* what the test's kill_all kills */
};

struct frame {
    struct frame *next;
    struct ttrpc_header h;
    struct strbuf payload;
};

struct client {
    struct world *w;
    int fd;
    uint32_t next_id;
    bool closed; /* by the server */
    struct ttrpc_parser parser;
    struct frame *frames;
};

static inline int world_start(void *user, const struct agent_start *start, struct program *ret,
                              mvm_error **err)
{
    struct world *w = user;
    int r = machine_start(&w->image, start, ret, err);

    if (r == 0 && start->argv.n == 0)
        w->main_group = ret->pid;
    return r;
}

/* The processes of the main program's group stand for all of the machine. */
static inline void world_kill_all(void *user)
{
    struct world *w = user;

    w->kill_alls++;
    if (w->main_group > 0)
        (void) kill(-w->main_group, SIGKILL);
}

static inline void world_sync(void *user)
{
    ((struct world *) user)->syncs++;
}

static inline int world_set_clock(void *user, int64_t unix_ns, mvm_error **err)
{
    (void) err;
    ((struct world *) user)->clock_ns = unix_ns;
    return 0;
}

static inline void world_end(void *user)
{
    ((struct world *) user)->ends++;
}

static inline void world_open(struct world *w, const char *failure)
{
    sigset_t blocked;

    *w = (struct world){ .root = "/tmp/test-agent-XXXXXX" };
    (void) sigemptyset(&blocked);
    (void) sigaddset(&blocked, SIGCHLD);
    (void) sigaddset(&blocked, SIGPIPE); /* PID 1 does not get it */
    assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, NULL), 0);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_non_null(mkdtemp(w->root));
    w->image = (struct agent_image){
        .users = USER_CACHE_INIT, .config = &w->config, .boot = &w->boot, .hostname = "host"
    };
    w->machine = (struct agent_machine){
        .user = w,
        .start = world_start,
        .signal = machine_signal,
        .kill_session = machine_kill_session,
        .kill_all = world_kill_all,
        .sync = world_sync,
        .set_clock = world_set_clock,
        .end = world_end,
        .root_fd = open(w->root, O_PATH | O_DIRECTORY | O_CLOEXEC),
    };
    assert_true(w->machine.root_fd >= 0);
    assert_int_equal(loop_new(&w->loop, NULL), 0);
    assert_int_equal(server_init(&w->server, w->loop, &w->machine, failure, NULL), 0);
}

static inline void world_close(struct world *w)
{
    mvm_autoclose int tmp = -EBADF;

    server_deinit(&w->server);
    loop_free(w->loop);
    user_cache_deinit(&w->image.users);
    krun_config_deinit(&w->config);
    boot_config_deinit(&w->boot);
    (void) close(w->machine.root_fd);
    tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(path_remove_tree(tmp, w->root + strlen("/tmp/"), NULL), 0);
}

static inline void client_open(struct client *c, struct world *w)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    *c = (struct client){ .w = w, .fd = ends[0], .next_id = 1 };
    ttrpc_parser_init(&c->parser, TTRPC_FRAME_MAX);
    assert_int_equal(server_add(&w->server, ends[1], false, NULL), 0);
}

static inline void frame_free(struct frame *f)
{
    if (f)
        strbuf_deinit(&f->payload);
    free(f);
}

static inline void client_close(struct client *c)
{
    while (c->frames) {
        struct frame *f = c->frames;

        c->frames = f->next;
        frame_free(f);
    }
    ttrpc_parser_deinit(&c->parser);
    if (c->fd >= 0)
        (void) close(steal_fd(&c->fd));
}

static inline void client_keep(struct client *c, struct ttrpc_header h, struct bytes_view payload)
{
    struct frame *f = calloc(1, sizeof(*f)), **at = &c->frames;

    assert_non_null(f);
    f->h = h;
    f->payload = (struct strbuf) STRBUF_INIT(TTRPC_FRAME_MAX);
    strbuf_add(&f->payload, payload.data, payload.len);
    while (*at)
        at = &(*at)->next;
    *at = f;
}

/* Takes all that has come. */
static inline void client_pump(struct client *c)
{
    struct ttrpc_header h;
    struct bytes_view payload;

    for (;;) {
        size_t room;
        uint8_t *to;
        ssize_t n;

        while (ttrpc_parser_next(&c->parser, &h, &payload, NULL) == 1)
            client_keep(c, h, payload);
        to = ttrpc_parser_room(&c->parser, &room);
        assert_non_null(to);
        n = recv(c->fd, to, room, 0);
        if (n <= 0) {
            c->closed = c->closed || n == 0 || errno == ECONNRESET;
            return;
        }
        ttrpc_parser_filled(&c->parser, (size_t) n);
    }
}

static inline void world_turn(struct world *w, int ms)
{
    assert_true(loop_run_once(w->loop, ms, NULL) >= 0);
}

/* The next frame of @stream, or NULL after @ms. */
static inline struct frame *client_take(struct client *c, uint32_t stream, int ms)
{
    uint64_t deadline = clock_now_ms() + (uint64_t) ms;

    for (;;) {
        client_pump(c);
        for (struct frame **at = &c->frames; *at; at = &(*at)->next)
            if ((*at)->h.stream == stream) {
                struct frame *f = *at;

                *at = f->next;
                return f;
            }
        if (c->closed || clock_now_ms() >= deadline)
            return NULL;
        world_turn(c->w, 5);
    }
}

static inline bool client_is_closed(struct client *c)
{
    uint64_t deadline = clock_now_ms() + WORLD_PATIENCE_MS;

    while (!c->closed && clock_now_ms() < deadline) {
        client_pump(c);
        world_turn(c->w, 5);
    }
    return c->closed;
}

/* Writes, running the server when it does not fit. */
static inline void client_write(struct client *c, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = send(c->fd, at, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            world_turn(c->w, 5);
            client_pump(c);
            continue;
        }
        if (n < 0) /* the server has closed it */
            return;
        at += n;
        len -= (size_t) n;
    }
}

static inline struct bytes_view text_view(const char *text)
{
    return (struct bytes_view){ .data = (const uint8_t *) text, .len = strlen(text) };
}

static inline struct bytes_view buf_view(const struct strbuf *sb)
{
    return (struct bytes_view){ .data = (const uint8_t *) strbuf_str(sb), .len = sb->len };
}

struct request {
    const char *service, *method;
    struct bytes_view payload;
    int64_t timeout_ns;
    uint32_t stream; /* 0: the next one */
    uint8_t flags;
};

static inline uint32_t client_request(struct client *c, struct request q)
{
    mvm_autovalue(strbuf) out = STRBUF_INIT(TTRPC_FRAME_MAX);
    const struct ttrpc_request m = {
        .service = text_view(q.service ? q.service : AGENT_SERVICE),
        .method = text_view(q.method),
        .payload = q.payload,
        .timeout_ns = q.timeout_ns,
    };

    if (q.stream == 0) {
        q.stream = c->next_id;
        c->next_id += 2;
    }
    ttrpc_request_frame(&m, q.stream, q.flags, &out);
    assert_int_equal(out.failed, 0);
    client_write(c, out.data, out.len);
    return q.stream;
}

static inline void client_data(struct client *c, uint32_t stream, struct bytes_view message,
                               uint8_t flags)
{
    mvm_autovalue(strbuf) out = STRBUF_INIT(TTRPC_FRAME_MAX);

    ttrpc_data_frame(message, stream, flags, &out);
    client_write(c, out.data, out.len);
}

/* Takes the response of @stream, skipping its data; gives the code, with the payload in @payload
 * and the text in @text when these are wanted. */
static inline int client_response(struct client *c, uint32_t stream, struct strbuf *payload,
                                  struct strbuf *text)
{
    for (;;) {
        struct frame *f = client_take(c, stream, WORLD_PATIENCE_MS);
        struct ttrpc_response m;
        int code;

        if (!f)
            fail_msg("stream %u: no response%s", stream, c->closed ? ", connection closed" : "");
        if (f->h.type != TTRPC_RESPONSE) {
            frame_free(f);
            continue;
        }
        assert_int_equal(ttrpc_response_decode((const uint8_t *) strbuf_str(&f->payload),
                                               f->payload.len, &m, NULL),
                         0);
        if (payload)
            strbuf_add(payload, m.payload.data, m.payload.len);
        if (text)
            strbuf_add(text, m.message.data, m.message.len);
        code = m.code;
        frame_free(f);
        return code;
    }
}

static inline int client_call(struct client *c, const char *method, struct bytes_view payload,
                              struct strbuf *ret_payload)
{
    uint32_t id = client_request(c, (struct request){ .method = method, .payload = payload });

    return client_response(c, id, ret_payload, NULL);
}

static inline int client_health(struct client *c)
{
    return client_call(c, "Health", (struct bytes_view){ .len = 0 }, NULL);
}

static inline unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void) closedir(dir);
    return n;
}

#endif
