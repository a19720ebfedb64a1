/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that says anything: the input is a sequence of messages, each with a byte before it
 * that says how many descriptors go along (low 4 bits) and of which kinds. The device looks at each
 * ring that runs, as a real one would.
 */
#include "virtio/vhost-user-wire.h"
#include "virtio/vhost-user.h"

#include "base/le.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY 65536
#define QUEUES 2

struct session {
    struct loop *loop;
    struct vhost_user *vu;
    int near, far;
    int kinds[4]; /* guest memory, eventfd, a pipe's end, no file at all to map */
    unsigned rounds;
    bool running[QUEUES], ended;
};

static void started(void *user, unsigned queue)
{
    struct session *s = user;

    if (s->running[queue] || s->ended)
        abort();
    s->running[queue] = true;
}

/* Takes some chains, looks at every byte of them, and gives them back. */
static int take_chains(struct session *s, unsigned queue)
{
    struct vqueue *vq = vhost_user_queue(s->vu, queue);
    struct iovec iov[8];
    struct vchain chain = { .iov = iov, .max = 8 };
    int r = 0;

    for (unsigned n = 0; vq && n < 8 && (r = vqueue_peek(vq, 0, &chain)) > 0; n++) {
        uint8_t copy[256];

        (void) iov_read(chain.iov, chain.n_out, copy, sizeof(copy));
        (void) iov_write(chain.iov + chain.n_out, chain.n_in, "answer", 6);
        vqueue_take(vq);
        vqueue_put(vq, chain.head, 6);
    }
    if (vq && r >= 0 && vqueue_publish(vq))
        vhost_user_notify(s->vu, queue);
    return r;
}

/* The other ring may still be looked at. */
static void stopped(void *user, unsigned queue)
{
    struct session *s = user;

    if (!s->running[queue])
        abort();
    s->running[queue] = false;
    (void) take_chains(s, 1 - queue);
}

static void kicked(void *user, unsigned queue)
{
    struct session *s = user;

    if (take_chains(s, queue) < 0)
        vhost_user_break(s->vu, queue);
}

static void ended(void *user, const char *reason)
{
    struct session *s = user;

    (void) reason;
    if (s->running[0] || s->running[1] || s->ended)
        abort();
    s->ended = true;
}

static bool two_rounds(void *user)
{
    struct session *s = user;

    if (s->rounds++ < 2)
        return true;
    loop_stop(s->loop);
    return false;
}

static void step(struct session *s)
{
    for (unsigned i = 0; i < QUEUES; i++)
        if (s->running[i])
            kicked(s, i);
    s->rounds = 0;
    (void) loop_run(s->loop, NULL);
}

static size_t send_one(struct session *s, const uint8_t *data, size_t size)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(15 * sizeof(int))];
    } control = { .space = { 0 } };
    const unsigned n_fds = data[0] & 15;
    size_t len = VHOST_USER_HEADER;
    struct iovec iov = { (void *) (data + 1), 0 };
    struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (size - 1 >= VHOST_USER_HEADER && le32_get(data + 9) <= 600)
        len += le32_get(data + 9);
    if (len > size - 1)
        len = size - 1;
    iov.iov_len = len;
    if (n_fds > 0) {
        struct cmsghdr *c;
        int fds[15];

        for (unsigned i = 0; i < n_fds; i++)
            fds[i] = s->kinds[((data[0] >> 4) + (i ? data[0] >> 6 : 0)) & 3];
        mh.msg_control = &control;
        mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    if (len > 0 && sendmsg(s->far, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return size;
    return 1 + len;
}

static void drop_answers(const struct session *s)
{
    char drop[1024];

    while (recv(s->far, drop, sizeof(drop), MSG_DONTWAIT) > 0)
        ;
}

/* A memory with rings that have something in them. */
static int make_memory(void)
{
    int fd = memfd_create("guest", MFD_CLOEXEC);
    static uint8_t page[4096];

    for (size_t i = 0; i < sizeof(page); i++)
        page[i] = (uint8_t) (i % 16 == 0    ? i / 16
                             : i % 16 == 8  ? 64
                             : i % 16 == 14 ? i / 16 + 1
                                            : 0);
    if (fd < 0 || ftruncate(fd, MEMORY) < 0 || pwrite(fd, page, sizeof(page), 0) < 0)
        abort();
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t config[8] = { 3 };
    struct session s = { .rounds = 0 };
    const struct vhost_user_device device = {
        .features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
                    VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC),
        .protocol_features = VIRTIO_BIT(VHOST_USER_PROTOCOL_F_MQ) |
                             VIRTIO_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
                             VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG),
        .n_queues = QUEUES,
        .config = config,
        .config_len = sizeof(config),
        .started = started,
        .stopped = stopped,
        .kicked = kicked,
        .ended = ended,
        .user = &s,
    };
    int pair[2], pipe_fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        pipe2(pipe_fds, O_CLOEXEC) < 0 || loop_new(&s.loop, NULL) < 0)
        abort();
    s.near = pair[0];
    s.far = pair[1];
    s.kinds[0] = make_memory();
    s.kinds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s.kinds[2] = pipe_fds[0];
    s.kinds[3] = pipe_fds[1];
    if (vhost_user_new(s.loop, s.near, &device, &s.vu, NULL) < 0)
        abort();
    loop_set_idle(s.loop, two_rounds, &s);
    while (size > 0 && !s.ended) {
        size_t used = send_one(&s, data, size);

        data += used;
        size -= used;
        step(&s);
        drop_answers(&s);
    }
    vhost_user_free(s.vu);
    loop_free(s.loop);
    for (size_t i = 0; i < 4; i++)
        (void) close(s.kinds[i]);
    (void) close(s.near);
    (void) close(s.far);
    return 0;
}
