/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vhost-user-ring.h"

#include "base/io.h"

#include <sys/epoll.h>

/* SET_VRING_KICK, _CALL and _ERR: the ring in the low 8 bits, and whether no descriptor comes
 * along. */
#define RING_INDEX_MASK 0xffu
#define RING_NO_FD 0x100u

static uint32_t word_get(const struct vhost_user_msg *m, size_t at)
{
    uint32_t v;

    memcpy(&v, m->payload + at, sizeof(v));
    return v;
}

static uint64_t quad_get(const struct vhost_user_msg *m, size_t at)
{
    uint64_t v;

    memcpy(&v, m->payload + at, sizeof(v));
    return v;
}

void ring_init(struct vhost_user_ring *ring, struct vhost_user *owner, unsigned index)
{
    *ring = (struct vhost_user_ring){
        .owner = owner, .index = index, .kick_fd = -EBADF, .call_fd = -EBADF, .err_fd = -EBADF
    };
}

static void replace_fd(int *fd, int by)
{
    if (*fd >= 0)
        (void) close(*fd);
    *fd = by;
}

/* Takes the kick's source away without a word to the device. */
static void ring_halt(struct vhost_user_ring *ring)
{
    loop_remove(steal_ptr(&ring->kick));
    ring->running = false;
    ring->base = ring->vq.next_avail;
}

void ring_deinit(struct vhost_user_ring *ring)
{
    if (ring->running)
        ring_halt(ring);
    replace_fd(&ring->kick_fd, -EBADF);
    replace_fd(&ring->call_fd, -EBADF);
    replace_fd(&ring->err_fd, -EBADF);
}

/* The number does not matter. A descriptor that gives none though it is readable would be so for
 * ever. */
static void ring_kicked(void *user, uint32_t events)
{
    struct vhost_user_ring *ring = user;
    uint64_t count;
    ssize_t n = read(ring->kick_fd, &count, sizeof(count));

    (void) events;
    if (n != (ssize_t) sizeof(count) && (n >= 0 || (errno != EAGAIN && errno != EINTR)))
        (void) loop_set_events(ring->kick, 0, NULL); /* taking away cannot fail */
    ring->owner->device->kicked(ring->owner->device->user, ring->index);
}

static int ring_start(struct vhost_user_ring *ring, mvm_error **err)
{
    struct vhost_user *vu = ring->owner;
    int r = vqueue_start(&ring->vq, &vu->memory, &ring->place, ring->base, vu->features, err);

    if (r == 0)
        r = loop_add_fd(vu->loop, ring->kick_fd, EPOLLIN, ring_kicked, ring, &ring->kick, err);
    if (r < 0)
        return mvm_context(err, r, "ring %u", ring->index);
    ring->running = true;
    vu->device->started(vu->device->user, ring->index);
    return 0;
}

void ring_stop(struct vhost_user_ring *ring)
{
    if (!ring->running)
        return;
    ring_halt(ring);
    ring->owner->device->stopped(ring->owner->device->user, ring->index);
}

int ring_update(struct vhost_user_ring *ring, mvm_error **err)
{
    /* Without protocol features a ring is enabled from its start ("Ring states"). */
    bool enabled = ring->enabled ||
                   !(ring->owner->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES));
    bool wanted = enabled && ring->kick_fd >= 0 && ring->has_place && ring->place.size > 0 &&
                  !ring->broken;

    if (wanted && !ring->running)
        return ring_start(ring, err);
    if (!wanted)
        ring_stop(ring);
    return 0;
}

int ring_move(struct vhost_user_ring *ring, mvm_error **err)
{
    int r = ring->running ? vqueue_move(&ring->vq, &ring->place, err) : 0;

    return r < 0 ? mvm_context(err, r, "ring %u", ring->index) : 0;
}

static int find_ring(struct vhost_user *vu, const struct vhost_user_msg *m, uint32_t index,
                     struct vhost_user_ring **ret, mvm_error **err)
{
    if (index >= vu->device->n_queues)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%s of ring %u: there are %u",
                        vhost_user_request_name(m->request), index, vu->device->n_queues);
    *ret = &vu->rings[index];
    return 0;
}

/* The messages below change what a running ring stands on: a machine stops the ring first. */
static int find_still_ring(struct vhost_user *vu, const struct vhost_user_msg *m,
                           struct vhost_user_ring **ret, mvm_error **err)
{
    int r = find_ring(vu, m, word_get(m, 0), ret, err);

    if (r == 0 && (*ret)->running)
        r = mvm_fail(err, MVM_E_STATE, 0, "%s of ring %u while it runs",
                     vhost_user_request_name(m->request), (*ret)->index);
    return r;
}

int ring_set_num(struct vhost_user *vu, const struct vhost_user_msg *m, mvm_error **err)
{
    struct vhost_user_ring *ring;
    uint32_t num = word_get(m, 4);
    int r = find_still_ring(vu, m, &ring, err);

    if (r < 0)
        return r;
    if (num == 0 || num > VQUEUE_SIZE_MAX || (num & (num - 1)))
        return mvm_fail(err, MVM_E_FORMAT, 0, "ring %u of %u entries", ring->index, num);
    ring->place.size = (uint16_t) num;
    return 0;
}

/* Addresses of a ring that runs may be sent again, since a change of the log needs that; they have
 * to be the same ones. */
int ring_set_addr(struct vhost_user *vu, const struct vhost_user_msg *m, mvm_error **err)
{
    const struct vqueue_place place = { .desc = quad_get(m, 8),
                                        .used = quad_get(m, 16),
                                        .avail = quad_get(m, 24) };
    struct vhost_user_ring *ring;
    int r = find_ring(vu, m, word_get(m, 0), &ring, err);

    if (r < 0)
        return r;
    if (word_get(m, 4) != 0)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "ring %u with flags %#x: a log was not offered",
                        ring->index, word_get(m, 4));
    if (ring->running && (place.desc != ring->place.desc || place.used != ring->place.used ||
                          place.avail != ring->place.avail))
        return mvm_fail(err, MVM_E_STATE, 0, "ring %u moves while it runs", ring->index);
    ring->place.desc = place.desc;
    ring->place.used = place.used;
    ring->place.avail = place.avail;
    ring->has_place = true;
    return ring_update(ring, err);
}

int ring_set_base(struct vhost_user *vu, const struct vhost_user_msg *m, mvm_error **err)
{
    struct vhost_user_ring *ring;
    int r = find_still_ring(vu, m, &ring, err);

    if (r < 0)
        return r;
    if (word_get(m, 4) > UINT16_MAX)
        return mvm_fail(err, MVM_E_FORMAT, 0, "ring %u at %u", ring->index, word_get(m, 4));
    ring->base = (uint16_t) word_get(m, 4);
    return 0;
}

/* The end of a ring's life: what comes next is set up anew, and trusted anew. */
int ring_get_base(struct vhost_user *vu, const struct vhost_user_msg *m, mvm_error **err)
{
    struct vhost_user_ring *ring;
    uint32_t answer[2];
    int r = find_ring(vu, m, word_get(m, 0), &ring, err);

    if (r < 0)
        return r;
    ring_stop(ring);
    ring->broken = false;
    replace_fd(&ring->kick_fd, -EBADF);
    replace_fd(&ring->call_fd, -EBADF);
    answer[0] = ring->index;
    answer[1] = ring->base;
    return vhost_user_reply(vu->fd, m, answer, sizeof(answer), err);
}

int ring_set_enable(struct vhost_user *vu, const struct vhost_user_msg *m, mvm_error **err)
{
    struct vhost_user_ring *ring;
    int r = find_ring(vu, m, word_get(m, 0), &ring, err);

    if (r < 0)
        return r;
    if (word_get(m, 4) > 1)
        return mvm_fail(err, MVM_E_FORMAT, 0, "ring %u enabled with %u", ring->index,
                        word_get(m, 4));
    ring->enabled = word_get(m, 4) == 1;
    return ring_update(ring, err);
}

/* Reading or writing an eventfd must never make us wait. */
static int take_event_fd(struct vhost_user_msg *m, uint64_t word, int *ret, mvm_error **err)
{
    const char *name = vhost_user_request_name(m->request);
    bool none = (word & RING_NO_FD) != 0;

    if (word > (RING_NO_FD | RING_INDEX_MASK))
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s with %#llx", name, (unsigned long long) word);
    if (m->n_fds != (none ? 0 : 1))
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s with %zu descriptors", name, m->n_fds);
    if (none) {
        *ret = -EBADF;
        return 0;
    }
    if (io_set_nonblock(m->fds[0], true, err) < 0)
        return mvm_context(err, MVM_E_FORMAT, "%s", name);
    *ret = vhost_user_msg_take_fd(m, 0);
    return 0;
}

int ring_set_fd(struct vhost_user *vu, struct vhost_user_msg *m, mvm_error **err)
{
    const uint64_t word = quad_get(m, 0);
    struct vhost_user_ring *ring;
    int fd = -EBADF;
    int r = find_ring(vu, m, (uint32_t) (word & RING_INDEX_MASK), &ring, err);

    if (r == 0)
        r = take_event_fd(m, word, &fd, err);
    if (r < 0)
        return r;
    if (m->request == VHOST_USER_SET_VRING_CALL) {
        replace_fd(&ring->call_fd, fd); /* none: the driver looks by itself */
        return 0;
    }
    if (m->request == VHOST_USER_SET_VRING_ERR) {
        replace_fd(&ring->err_fd, fd);
        return 0;
    }
    if (fd < 0)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "ring %u without a kick descriptor",
                        ring->index);
    ring_stop(ring); /* and goes on with the new descriptor */
    replace_fd(&ring->kick_fd, fd);
    return ring_update(ring, err);
}
