/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of file calls: a world whose root is a folder, and a client. */
#ifndef GUEST_AGENT_TEST_FILES_H
#define GUEST_AGENT_TEST_FILES_H

#include "guest/agent/test-world.h"

#include "agent/messages.h"

#include <sys/stat.h>

static struct world w;
static struct client c;

static inline int set_up(void **state)
{
    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    return 0;
}

static inline int tear_down(void **state)
{
    (void) state;
    client_close(&c);
    world_turn(&w, 0);
    world_close(&w);
    return 0;
}

/* In the root of the test. */
static inline const char *at(const char *path)
{
    static char full[2][512];
    static int turn;

    turn = !turn;
    (void) snprintf(full[turn], sizeof(full[turn]), "%s/%s", w.root, path);
    return full[turn];
}

static inline void put(const char *path, const char *text)
{
    FILE *f = fopen(at(path), "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static inline struct agent_path_request path_of(const char *path, bool follow, bool recursive)
{
    return (struct agent_path_request){ .path = (char *) path,
                                        .follow = follow,
                                        .recursive = recursive };
}

static inline uint32_t ask_path(enum agent_path_call call, struct agent_path_request m)
{
    static const char *const methods[] = { "Stat", "List", "Read" };
    mvm_autovalue(strbuf) ask = STRBUF_INIT(16384);

    agent_path_request_encode(call, &m, &ask);
    assert_int_equal(ask.failed, 0);
    return client_request(&c,
                          (struct request){ .method = methods[call], .payload = buf_view(&ask) });
}

struct tree {
    struct strbuf text; /* "name type[:content or link]\n" each */
    int code;
};

static inline void note_item(struct tree *t, const struct agent_item *m, uint64_t *left)
{
    if (m->kind == AGENT_ITEM_DATA) {
        assert_true(m->data.len > 0 && m->data.len <= *left);
        *left -= m->data.len;
        strbuf_add(&t->text, m->data.data, m->data.len);
        return;
    }
    assert_int_equal(*left, 0);
    strbuf_addf(&t->text, "\n%s %o", m->info.name ? m->info.name : "", m->info.mode);
    if (m->info.link)
        strbuf_addf(&t->text, " %s", m->info.link);
    strbuf_addc(&t->text, ':');
    *left = m->info.size;
}

static inline void read_tree(struct tree *t, struct agent_path_request m)
{
    uint32_t id = ask_path(AGENT_CALL_READ, m);
    uint64_t left = 0;
    bool done = false;

    t->text = (struct strbuf) STRBUF_INIT(64u << 20);
    while (!done) {
        struct frame *f = client_take(&c, id, WORLD_PATIENCE_MS);
        const uint8_t *data;

        assert_non_null(f);
        data = (const uint8_t *) strbuf_str(&f->payload);
        if (f->h.type == TTRPC_DATA) {
            mvm_autovalue(agent_item) item = { .path = NULL };

            assert_int_equal(agent_tree_item_decode(data, f->payload.len, &item, NULL), 0);
            note_item(t, &item, &left);
        } else {
            struct ttrpc_response response;

            assert_int_equal(ttrpc_response_decode(data, f->payload.len, &response, NULL), 0);
            t->code = response.code;
            done = true;
        }
        frame_free(f);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
