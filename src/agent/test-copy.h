/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of copy.h: the guest is a server that gives a script of items, or writes down what it
 * is given. */
#ifndef AGENT_TEST_COPY_H
#define AGENT_TEST_COPY_H

#include "agent/copy-internal.h"
#include "agent/test-server.h"
#include "base/scan.h"
#include "base/test-sandbox.h"

struct fixture {
    struct sandbox *sb;
    void *sandbox;
    struct loop *loop;
    struct test_server server;
    struct agent_client *client;
    /* Read: the items that are sent, then the status. */
    const struct agent_item *items;
    size_t n_items;
    int32_t status;
    /* Stat: a mode; 0: NOT_FOUND. @links: paths and what they point to. */
    uint32_t stat_mode;
    const char *const (*links)[2];
    size_t n_links;
    /* Write: what came, a line an item; a status after so many items. */
    struct strbuf log;
    unsigned n_written, fail_after;
    uint64_t written_bytes;
    uint32_t write_stream;
    /* What a copy out gave. */
    struct copy_result result;
    char text[512];
};

static inline void serve_read(struct fixture *f, uint32_t stream)
{
    for (size_t i = 0; i < f->n_items; i++) {
        mvm_autovalue(strbuf) buf = STRBUF_INIT(AGENT_FRAME_MAX);

        agent_tree_item_encode(&f->items[i], &buf);
        test_server_send(&f->server, stream, 0, bytes_view_of(buf.data, buf.len));
    }
    test_server_respond(&f->server, stream, f->status,
                        f->status ? bytes_view_of("no such file", 12)
                                  : (struct bytes_view){ .len = 0 });
}

static inline void serve_stat(struct fixture *f, uint32_t stream, struct bytes_view payload)
{
    mvm_autovalue(agent_path_request) m = { .path = NULL };
    mvm_autovalue(strbuf) buf = STRBUF_INIT(AGENT_FRAME_MAX);
    struct agent_file file = { .name = (char *) "x", .mode = f->stat_mode };

    assert_int_equal(
        agent_path_request_decode(AGENT_CALL_STAT, payload.data, payload.len, &m, NULL), 0);
    for (size_t i = 0; i < f->n_links && !m.follow; i++)
        if (strcmp(f->links[i][0], m.path) == 0) {
            file.mode = S_IFLNK | 0777;
            file.link = (char *) f->links[i][1];
        }
    agent_file_encode(&file, &buf);
    test_server_respond(&f->server, stream, file.mode ? 0 : TTRPC_NOT_FOUND,
                        file.mode ? bytes_view_of(buf.data, buf.len) : bytes_view_of("none", 4));
}

static inline void on_request(struct test_server *s, const struct ttrpc_header *h,
                              const struct ttrpc_request *m)
{
    struct fixture *f = s->user;

    if (m->method.data[0] == 'R') {
        mvm_autovalue(agent_path_request) path = { .path = NULL };

        assert_int_equal(agent_path_request_decode(AGENT_CALL_READ, m->payload.data, m->payload.len,
                                                   &path, NULL),
                         0);
        assert_true(path.recursive);
        serve_read(f, h->stream);
    } else if (m->method.data[0] == 'S') {
        serve_stat(f, h->stream, m->payload);
    } else {
        f->write_stream = h->stream;
    }
}

static inline void on_data(struct test_server *s, const struct ttrpc_header *h,
                           struct bytes_view payload)
{
    mvm_autovalue(agent_item) m = { .own = false };
    mvm_autovalue(strbuf) buf = STRBUF_INIT(AGENT_FRAME_MAX);
    struct fixture *f = s->user;

    if (h->stream != f->write_stream)
        return;
    if (h->flags & TTRPC_REMOTE_CLOSED) {
        agent_write_response_encode(&(struct agent_write_response){ .files = 1 }, &buf);
        test_server_respond(s, h->stream, 0, bytes_view_of(buf.data, buf.len));
        return;
    }
    assert_int_equal(agent_write_input_decode(payload.data, payload.len, &m, NULL), 0);
    if (f->fail_after && ++f->n_written == f->fail_after) {
        f->write_stream = 0;
        test_server_respond(s, h->stream, TTRPC_RESOURCE_EXHAUSTED,
                            bytes_view_of("no space left", 13));
        return;
    }
    if (m.kind == AGENT_ITEM_TARGET)
        strbuf_addf(&f->log, "target %s%s\n", m.path, m.own ? " own" : "");
    else if (m.kind == AGENT_ITEM_INFO)
        strbuf_addf(&f->log, "%o '%s' %llu%s%s\n", m.info.mode, m.info.name ? m.info.name : "",
                    (unsigned long long) m.info.size, m.info.link ? " -> " : "",
                    m.info.link ? m.info.link : "");
    else
        f->written_bytes += m.data.len;
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int fd;

    assert_non_null(f);
    assert_int_equal(sandbox_setup(&f->sandbox), 0);
    f->sb = f->sandbox;
    assert_int_equal(loop_new(&f->loop, NULL), 0);
    fd = test_server_start(&f->server, f->loop);
    f->server.request = on_request;
    f->server.data = on_data;
    f->server.user = f;
    f->log = (struct strbuf) STRBUF_INIT(1u << 20);
    assert_int_equal(agent_client_new(f->loop, fd, NULL, NULL, &f->client, NULL), 0);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    int r;

    agent_client_free(f->client);
    test_server_stop(&f->server);
    loop_free(f->loop);
    strbuf_deinit(&f->log);
    r = sandbox_teardown(&f->sandbox);
    free(f);
    return r;
}

#define INFO(n, m, s)                                \
    {                                                \
        .kind = AGENT_ITEM_INFO, .info = {           \
            .name = (char *) (n),                    \
            .mode = (m),                             \
            .size = (s),                             \
            .mtime_ns = INT64_C(1700000000500000000) \
        }                                            \
    }
#define LINK(n, to)                        \
    {                                      \
        .kind = AGENT_ITEM_INFO, .info = { \
            .name = (char *) (n),          \
            .mode = S_IFLNK | 0777,        \
            .link = (char *) (to)          \
        }                                  \
    }
#define DATA(text)                                                                     \
    {                                                                                  \
        .kind = AGENT_ITEM_DATA, .data = {(const uint8_t *) (text), sizeof(text) - 1 } \
    }
#define DIR_ITEM(n) INFO(n, S_IFDIR | 0755, 0)

static const struct copy_options plain = { .archive = false };

/* A path in the sandbox's root; owned. */
static inline char *in_root(struct fixture *f, const char *name)
{
    char *path = NULL;

    assert_true(asprintf(&path, "%s/root%s%s", f->sb->path, *name ? "/" : "", name) > 0);
    return path;
}

static const struct agent_item copy_test_tree[] = {
    INFO(NULL, S_IFDIR | 0555, 0), /* in which nothing could be made afterwards */
    INFO("a", S_IFREG | 04751, 5),
    DATA("he"),
    DATA("llo"),
    DIR_ITEM("d"),
    INFO("d/empty", S_IFREG | 0600, 0),
    DIR_ITEM("d/e"),
    INFO("d/e/\xff\x80", S_IFREG | 0644, 1),
    DATA("x"),
    LINK("d/l", "../../../outside"),
    INFO("z", S_IFREG | 0644, 1),
    DATA("z"),
};

#endif
