/* SPDX-License-Identifier: Apache-2.0 */
/* A device with some of everything that it serves, for the tests of the device (cmocka). */
#ifndef VIRTIO_VSOCK_TEST_FIXTURE_H
#define VIRTIO_VSOCK_TEST_FIXTURE_H

#include "virtio/vsock/test-guest.h"

#include "base/path.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PORT 5000 /* of the guest's program */

/* Ports of the host: 1 is a listening socket, 2 an absent one, 3 one with a backlog of 1; the
 * device's own listening sockets, and one that is joined once. */
struct fixture {
    struct guest g;
    int server, full;
    int listen_fd, agent_fd, hybrid_fd, once_far;
};

static inline void path_in(const struct fixture *f, const char *name, char path[108])
{
    (void) snprintf(path, 108, "%s/%s", f->g.folder, name);
}

static inline int make_listener(const struct fixture *f, const char *name, int backlog)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    path_in(f, name, un.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *) &un, sizeof(un)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static inline int dial(const struct fixture *f, const char *name)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    path_in(f, name, un.sun_path);
    assert_int_equal(connect(fd, (struct sockaddr *) &un, sizeof(un)), 0);
    return fd;
}

static inline int take_client(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    mvm_autovalue(strv) words = { .n = 0 };
    struct rlimit files;
    int pair[2];

    assert_non_null(f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    (void) snprintf(f->g.folder, sizeof(f->g.folder), "/tmp/microvm-vsock-XXXXXX");
    assert_non_null(mkdtemp(f->g.folder));
    f->server = make_listener(f, "server", 4096);
    f->full = make_listener(f, "full", 0);
    f->listen_fd = make_listener(f, "listen", 4096);
    f->agent_fd = make_listener(f, "agent", 16);
    f->hybrid_fd = make_listener(f, "hybrid", 256);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    f->once_far = pair[0];
    (void) strv_addf(&words, "connect:1:%s/server", f->g.folder);
    (void) strv_addf(&words, "connect:2:%s/absent", f->g.folder);
    (void) strv_addf(&words, "connect:3:%s/full", f->g.folder);
    (void) strv_addf(&words, "listen:1000:%d", f->listen_fd);
    (void) strv_addf(&words, "agent:2000:%d", f->agent_fd);
    (void) strv_addf(&words, "once:2000:%d", pair[1]);
    (void) strv_addf(&words, "hybrid:%d:%s/h", f->hybrid_fd, f->g.folder);
    assert_int_equal(guest_init(&f->g, words.items), 0);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    mvm_autoclose int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct fixture *f = *state;
    const int fds[] = { f->server, f->full, f->listen_fd, f->agent_fd, f->hybrid_fd, f->once_far };

    guest_deinit(&f->g);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        (void) close(fds[i]);
    assert_int_equal(path_remove_tree(tmp, f->g.folder + strlen("/tmp/"), NULL), 0);
    free(f);
    return 0;
}

/* The next packet has to be this one. */
static inline struct vsock_packet assert_packet(struct fixture *f, enum vsock_op op,
                                                uint32_t guest_port, uint32_t host_port)
{
    struct vsock_packet p = { .op = 0 };

    if (!guest_take(&f->g, &p, NULL))
        fail_msg("no packet instead of %d for %u", op, guest_port);
    if (p.op != op || p.dst_port != guest_port || p.src_port != host_port)
        fail_msg("packet %u from %u to %u instead of %d from %u to %u", p.op, p.src_port,
                 p.dst_port, op, host_port, guest_port);
    assert_int_equal(p.dst_cid, VSOCK_CID_GUEST);
    return p;
}

static inline void assert_silence(struct fixture *f)
{
    struct vsock_packet p;

    if (guest_take(&f->g, &p, NULL))
        fail_msg("packet %u from %u to %u instead of none", p.op, p.src_port, p.dst_port);
}

static inline void assert_logged(const struct fixture *f, const char *part)
{
    if (!strstr(f->g.last_line, part))
        fail_msg("'%s' without '%s'", f->g.last_line, part);
}

/* A connection from the guest to the server; gives the server's end. */
static inline int join(struct fixture *f, uint32_t port)
{
    guest_give_all(&f->g);
    guest_send(&f->g, port, 1, VSOCK_OP_REQUEST, NULL, 0);
    (void) assert_packet(f, VSOCK_OP_RESPONSE, port, 1);
    return take_client(f->server);
}

/* The agent's one connection to the host, after which clients of its are let in. */
static inline void agent_comes(struct fixture *f, uint32_t port)
{
    guest_give_all(&f->g);
    guest_send(&f->g, port, 2000, VSOCK_OP_REQUEST, NULL, 0);
    (void) assert_packet(f, VSOCK_OP_RESPONSE, port, 2000);
}

/* The driver resets the device and begins anew. */
static inline void reset_device(struct fixture *f)
{
    vsock_device_stopped(f->g.device, VSOCK_QUEUE_RX);
    vsock_device_stopped(f->g.device, VSOCK_QUEUE_TX);
    guest_step(&f->g);
    assert_int_equal(guest_start(&f->g), 0);
}

static inline void assert_read(int fd, const char *text)
{
    char got[256] = "";
    ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

    assert_int_equal(n, strlen(text));
    assert_string_equal(got, text);
}

static inline void assert_end(int fd)
{
    char c;

    assert_int_equal(recv(fd, &c, 1, 0), 0);
}

static inline void shut(struct fixture *f, uint32_t port, uint32_t host_port, uint32_t flags)
{
    struct vsock_packet p = guest_packet(port, host_port, VSOCK_OP_SHUTDOWN);

    p.flags = flags;
    guest_offer(&f->g, &p, NULL, 0);
    guest_step(&f->g);
}

static inline unsigned connections(const struct fixture *f)
{
    struct vsock_usage usage;

    vsock_device_usage(f->g.device, &usage);
    return usage.connections;
}

/* Whoever waits has waited long enough. */
static inline void let_time_pass(struct fixture *f)
{
    for (struct conn *c = f->g.device->conns; c; c = c->next)
        if (c->deadline_ms)
            c->deadline_ms = 1;
    (void) poll(NULL, 0, VSOCK_TICK_MS + 5);
    guest_step(&f->g);
}

static inline struct conn *only_conn(const struct fixture *f)
{
    assert_non_null(f->g.device->conns);
    assert_null(f->g.device->conns->next);
    return f->g.device->conns;
}

/* Sends @len bytes in packets of at most 64 KiB without a look at what the host does. */
static inline void pour(struct fixture *f, uint32_t port, size_t len)
{
    static char data[64 << 10];

    while (len > 0) {
        uint32_t part = len < sizeof(data) ? (uint32_t) len : (uint32_t) sizeof(data);

        guest_send(&f->g, port, 1, VSOCK_OP_RW, data, part);
        len -= part;
    }
}

static inline size_t drain(struct fixture *f, int fd)
{
    static char data[64 << 10];
    size_t total = 0;

    for (int idle = 0; idle < 3; idle++) {
        ssize_t n;

        while ((n = recv(fd, data, sizeof(data), 0)) > 0) {
            total += (size_t) n;
            idle = 0;
        }
        guest_step(&f->g);
    }
    return total;
}

static inline uint64_t held(const struct fixture *f)
{
    struct vsock_usage usage;

    vsock_device_usage(f->g.device, &usage);
    return usage.held;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
