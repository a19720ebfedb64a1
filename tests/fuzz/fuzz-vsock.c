/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that does anything with its rings and packets, and a host whose programs come and go. The
 * input is a sequence of steps: a byte that says which, and what it needs (see do_step).
 */
#include "virtio/vsock/test-guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLIENTS 8

struct world {
    struct guest g;
    int server, listener, hybrid, once_far;
    int clients[CLIENTS]; /* -1: none */
    unsigned next;
    const uint8_t *data;
    size_t size;
};

static uint8_t byte(struct world *w)
{
    if (w->size == 0)
        return 0;
    w->size--;
    return *w->data++;
}

static const uint8_t *bytes(struct world *w, size_t len, size_t *ret_len)
{
    const uint8_t *at = w->data;

    *ret_len = len < w->size ? len : w->size;
    w->data += *ret_len;
    w->size -= *ret_len;
    return at;
}

static int make_listener(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    (void) snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    (void) unlink(path);
    if (bind(fd, (struct sockaddr *) &un, sizeof(un)) < 0 || listen(fd, 1) < 0)
        abort();
    return fd;
}

static int dial(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    (void) snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *) &un, sizeof(un)) == 0)
        return fd;
    (void) close(fd);
    return -1;
}

static void keep_client(struct world *w, int fd)
{
    int *slot = &w->clients[w->next++ % CLIENTS];

    if (*slot >= 0)
        (void) close(*slot);
    *slot = fd;
}

/* A packet whose header is right but for what the input changes. */
static void packet_step(struct world *w)
{
    static const uint32_t host_ports[] = { 1, 2, 2000, 52, 1u << 30, (1u << 30) + 1, 9, 1000 };
    struct vsock_packet p = { 0 };
    const uint8_t how = byte(w), op = byte(w);
    size_t len;
    const uint8_t *at;

    p = guest_packet(how & 3 ? 5000 + (how & 3) : 1000, host_ports[(how >> 2) & 7],
                     (enum vsock_op)(op & 15));
    if (how & 0x20)
        p.fwd_cnt = byte(w);
    if (how & 0x40)
        p.buf_alloc = byte(w);
    p.flags = op >> 4;
    at = bytes(w, how & 0x80 ? 3 : byte(w), &len);
    p.len = (uint32_t) len;
    if (how & 0x80 && len == 3) { /* anything in one place of the header, or a lot of data */
        uint8_t raw[VSOCK_HEADER_SIZE];

        vsock_packet_encode(&p, raw);
        raw[at[0] % VSOCK_HEADER_SIZE] = at[1];
        vsock_packet_decode(raw, &p);
        guest_offer(&w->g, &p, w->g.memory.mem, at[2] * 256u);
        return;
    }
    guest_offer(&w->g, &p, at, (uint32_t) len);
}

static void host_step(struct world *w)
{
    const uint8_t how = byte(w);
    int fd = w->clients[(how >> 4) % CLIENTS];
    char drop[4096];
    size_t len;
    const uint8_t *at;

    switch (how & 7) {
    case 0:
        keep_client(w, accept4(w->server, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
        break;
    case 1:
        (void) snprintf(drop, sizeof(drop), "%s-l", w->g.folder);
        keep_client(w, dial(drop));
        break;
    case 2:
        (void) snprintf(drop, sizeof(drop), "%s-h", w->g.folder);
        keep_client(w, dial(drop));
        break;
    case 3:
        at = bytes(w, byte(w), &len);
        (void) send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        break;
    case 4:
        (void) recv(fd, drop, sizeof(drop), MSG_DONTWAIT);
        break;
    case 5:
        (void) shutdown(fd, how & 8 ? SHUT_WR : SHUT_RD);
        break;
    case 6:
        if (fd >= 0)
            (void) close(fd);
        w->clients[(how >> 4) % CLIENTS] = -1;
        break;
    default:
        (void) send(w->once_far, "agent", 5, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void) recv(w->once_far, drop, sizeof(drop), MSG_DONTWAIT);
    }
}

/* Overwrites anything in the rings or the buffers. */
static void scribble_step(struct world *w)
{
    const size_t at = (byte(w) | (size_t) byte(w) << 8 | (size_t) (byte(w) & 1) << 16) %
                      (GUEST_RX_AT - 256);
    size_t len;
    const uint8_t *from = bytes(w, byte(w) & 31, &len);

    memcpy(w->g.memory.mem + at, from, len);
}

static void restart(struct world *w)
{
    vsock_device_stopped(w->g.device, VSOCK_QUEUE_RX);
    vsock_device_stopped(w->g.device, VSOCK_QUEUE_TX);
    if (guest_start(&w->g) < 0)
        abort();
}

static void do_step(struct world *w)
{
    const uint8_t what = byte(w);
    struct vsock_packet p;

    switch (what & 7) {
    case 0:
    case 1:
        packet_step(w);
        break;
    case 2:
        host_step(w);
        break;
    case 3:
        guest_give_all(&w->g);
        break;
    case 4:
        w->g.refill = (what & 8) != 0;
        for (int n = 0; n < 16 && guest_take(&w->g, &p, NULL); n++)
            ;
        break;
    case 5:
        scribble_step(w);
        break;
    case 6:
        for (struct conn *c = w->g.device->conns; c; c = c->next)
            if (c->deadline_ms && (what & 8))
                c->deadline_ms = 1;
        loop_set_timer(w->g.device->tick, 0);
        break;
    default:
        if (what == 0xff)
            restart(w);
    }
}

/* One round of the loop between two looks at the rings, without waiting. */
static void run(struct guest *g)
{
    for (int i = 0; i < 2; i++) {
        struct loop_source *timer = NULL;

        if (loop_add_timer(g->loop, 0, guest_stop_loop, g->loop, &timer, NULL) < 0 ||
            loop_run(g->loop, NULL) < 0)
            abort();
        loop_remove(timer);
    }
}

static void check(const struct world *w)
{
    const struct vsock_device *v = w->g.device;
    uint64_t promised = 0, held = 0;
    unsigned n = 0;

    for (const struct conn *c = v->conns; c; c = c->next, n++) {
        if (c->held_len > c->window || c->received - c->passed > c->window)
            abort();
        promised += c->window;
        held += c->held_len;
    }
    if (n != v->n_conns || promised != v->promised || held != v->held ||
        v->n_resets > VSOCK_RESETS_MAX)
        abort();
}

static void open_world(struct world *w)
{
    mvm_autovalue(strv) words = { .n = 0 };
    char path[64];
    int pair[2];

    (void) snprintf(w->g.folder, sizeof(w->g.folder), "/tmp/mvm-fuzz-%d", (int) getpid());
    for (size_t i = 0; i < CLIENTS; i++)
        w->clients[i] = -1;
    (void) snprintf(path, sizeof(path), "%s-s", w->g.folder);
    w->server = make_listener(path);
    (void) snprintf(path, sizeof(path), "%s-l", w->g.folder);
    w->listener = make_listener(path);
    (void) snprintf(path, sizeof(path), "%s-h", w->g.folder);
    w->hybrid = make_listener(path);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    w->once_far = pair[0];
    if (strv_addf(&words, "connect:1:%s-s", w->g.folder) < 0 ||
        strv_addf(&words, "listen:1000:%d", w->listener) < 0 ||
        strv_addf(&words, "once:2000:%d", pair[1]) < 0 ||
        strv_addf(&words, "hybrid:%d:%s-h", w->hybrid, w->g.folder) < 0 ||
        guest_init(&w->g, words.items) < 0)
        abort();
}

static void close_world(struct world *w)
{
    static const char *const endings[] = { "-s", "-l", "-h" };
    const int fds[] = { w->server, w->listener, w->hybrid, w->once_far };
    const int once = w->g.device->once_used[2] ? -1 : w->g.ports.items[2].fd;

    guest_deinit(&w->g);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        (void) close(fds[i]);
    if (once >= 0)
        (void) close(once);
    for (size_t i = 0; i < CLIENTS; i++)
        if (w->clients[i] >= 0)
            (void) close(w->clients[i]);
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        char path[64];

        (void) snprintf(path, sizeof(path), "%s%s", w->g.folder, endings[i]);
        (void) unlink(path);
    }
}

/* What the guest left behind outlives it. */
static void end_machine(struct world *w)
{
    vsock_device_stopped(w->g.device, VSOCK_QUEUE_RX);
    vsock_device_stopped(w->g.device, VSOCK_QUEUE_TX);
    vsock_device_finish(w->g.device);
    run(&w->g);
    check(w);
    for (const struct conn *c = w->g.device->conns; c; c = c->next)
        if (c->state != CONN_FLUSH || c->held_len == 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = { .data = data, .size = size };

    open_world(&w);
    while (w.size > 0) {
        do_step(&w);
        run(&w.g);
        check(&w);
        if (w.g.broke) {
            w.g.broke = 0;
            if (guest_start(&w.g) < 0)
                abort();
        }
    }
    end_machine(&w);
    close_world(&w);
    return 0;
}
