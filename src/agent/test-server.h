/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of this folder: a ttrpc server on the test's own loop, made of the same codec. What it
 * answers is the test's business. */
#ifndef AGENT_TEST_SERVER_H
#define AGENT_TEST_SERVER_H

#include "agent/client.h"
#include "agent/messages.h"
#include "agent/wire.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cmocka.h>

struct test_server {
    struct loop *loop;
    int fd; /* -EBADF once closed */
    struct loop_source *source;
    struct ttrpc_parser parser;
    struct strbuf out;
    size_t sent;
    void (*request)(struct test_server *s, const struct ttrpc_header *h,
                    const struct ttrpc_request *m);
    void (*data)(struct test_server *s, const struct ttrpc_header *h, struct bytes_view payload);
    void *user;
    bool deaf; /* reads nothing */
};

static inline void test_server_watch(struct test_server *s)
{
    uint32_t events = (s->deaf ? 0 : EPOLLIN) | (s->out.len > s->sent ? EPOLLOUT : 0);

    if (s->source)
        assert_int_equal(loop_set_events(s->source, events, NULL), 0);
}

static inline void test_server_flush(struct test_server *s)
{
    while (s->fd >= 0 && s->sent < s->out.len) {
        ssize_t n = send(s->fd, s->out.data + s->sent, s->out.len - s->sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0)
            break;
        s->sent += (size_t) n;
    }
    if (s->sent == s->out.len) {
        strbuf_reset(&s->out);
        s->sent = 0;
    }
    test_server_watch(s);
}

static inline void test_server_close(struct test_server *s)
{
    loop_remove(s->source);
    s->source = NULL;
    if (s->fd >= 0)
        (void) close(s->fd);
    s->fd = -EBADF;
}

static inline void test_server_take(struct test_server *s)
{
    struct ttrpc_request m;
    struct ttrpc_header h;
    struct bytes_view payload;

    while (s->fd >= 0 && ttrpc_parser_next(&s->parser, &h, &payload, NULL) == 1) {
        if (h.type == TTRPC_REQUEST) {
            assert_int_equal(ttrpc_request_decode(payload.data, payload.len, &m, NULL), 0);
            assert_int_equal(m.service.len, strlen(AGENT_SERVICE));
            if (s->request)
                s->request(s, &h, &m);
        } else {
            assert_int_equal(h.type, TTRPC_DATA);
            if (s->data)
                s->data(s, &h, payload);
        }
    }
}

static inline void test_server_on_event(void *user, uint32_t events)
{
    struct test_server *s = user;
    size_t len = 0;
    uint8_t *room;
    ssize_t n;

    if (events & EPOLLOUT)
        test_server_flush(s);
    if (!(events & ~(uint32_t) EPOLLOUT))
        return;
    room = ttrpc_parser_room(&s->parser, &len);
    assert_non_null(room);
    n = recv(s->fd, room, len, MSG_DONTWAIT);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            test_server_close(s);
        return;
    }
    ttrpc_parser_filled(&s->parser, (size_t) n);
    test_server_take(s);
}

/* Gives the client's end. */
static inline int test_server_start(struct test_server *s, struct loop *loop)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    s->loop = loop;
    s->fd = fds[1];
    s->out = (struct strbuf) STRBUF_INIT(64u << 20);
    ttrpc_parser_init(&s->parser, AGENT_FRAME_MAX);
    assert_int_equal(loop_add_fd(loop, s->fd, EPOLLIN, test_server_on_event, s, &s->source, NULL),
                     0);
    return fds[0];
}

static inline void test_server_stop(struct test_server *s)
{
    test_server_close(s);
    ttrpc_parser_deinit(&s->parser);
    strbuf_deinit(&s->out);
}

static inline void test_server_respond(struct test_server *s, uint32_t stream, int32_t code,
                                       struct bytes_view message_or_payload)
{
    struct ttrpc_response m = { .code = code };

    *(code ? &m.message : &m.payload) = message_or_payload;
    ttrpc_response_frame(&m, stream, &s->out);
    test_server_flush(s);
}

static inline void test_server_send(struct test_server *s, uint32_t stream, uint8_t flags,
                                    struct bytes_view message)
{
    ttrpc_data_frame(message, stream, flags, &s->out);
    test_server_flush(s);
}

static inline void test_server_send_raw(struct test_server *s, const void *data, size_t len)
{
    strbuf_add(&s->out, data, len);
    test_server_flush(s);
}

/* Runs the loop until *@done; fails the test after ten seconds. */
static inline void test_run_until(struct loop *loop, const bool *done)
{
    uint64_t end = clock_now_ms() + 10000;

    while (!*done && clock_now_ms() < end)
        assert_int_equal(loop_run_once(loop, 100, NULL), 0);
    assert_true(*done);
}

/* Runs what is ready. */
static inline void test_run_ready(struct loop *loop)
{
    for (int i = 0; i < 20; i++)
        assert_int_equal(loop_run_once(loop, 0, NULL), 0);
}

#endif
