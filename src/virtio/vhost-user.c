/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vhost-user-ring.h"

#include <sys/epoll.h>

/* SET_MEM_TABLE: a count, padding, and regions of four numbers. */
#define TABLE_HEADER 8
#define TABLE_REGION 32
/* GET_CONFIG and SET_CONFIG: offset, size, flags, bytes. */
#define CONFIG_HEADER 12

static uint64_t offered_features(const struct vhost_user *vu)
{
    return vu->device->features | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
}

static int reply_u64(struct vhost_user *vu, const struct vhost_user_msg *m, uint64_t value,
                     mvm_error **err)
{
    return vhost_user_reply(vu->fd, m, &value, sizeof(value), err);
}

static int get_u64(struct vhost_user *vu, struct vhost_user_msg *m, mvm_error **err)
{
    return reply_u64(vu, m,
                     m->request == VHOST_USER_GET_FEATURES ? offered_features(vu)
                     : m->request == VHOST_USER_GET_PROTOCOL_FEATURES
                         ? vu->device->protocol_features
                         : vu->device->n_queues,
                     err);
}

static int set_features(struct vhost_user *vu, struct vhost_user_msg *m, mvm_error **err)
{
    const bool protocol = m->request == VHOST_USER_SET_PROTOCOL_FEATURES;
    const uint64_t offered = protocol ? vu->device->protocol_features : offered_features(vu);
    uint64_t wanted;

    memcpy(&wanted, m->payload, sizeof(wanted));
    if (wanted & ~offered)
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s %#llx, of which %#llx was not offered",
                        vhost_user_request_name(m->request), (unsigned long long) wanted,
                        (unsigned long long) (wanted & ~offered));
    *(protocol ? &vu->protocol_features : &vu->features) = wanted;
    return 0;
}

static int set_owner(struct vhost_user *vu, struct vhost_user_msg *m, mvm_error **err)
{
    (void) vu;
    (void) m;
    (void) err;
    return 0; /* a session has one owner, who has this socket */
}

static int reset_owner(struct vhost_user *vu, struct vhost_user_msg *m, mvm_error **err)
{
    (void) m;
    (void) err;
    for (unsigned i = 0; i < vu->device->n_queues; i++) {
        vu->rings[i].enabled = false;
        ring_stop(&vu->rings[i]);
    }
    return 0;
}

static int set_mem_table(struct vhost_user *vu, struct vhost_user_msg *m, mvm_error **err)
{
    struct gmem_spec specs[GMEM_REGIONS_MAX];
    uint32_t n;
    int r;

    memcpy(&n, m->payload, sizeof(n));
    if (n > GMEM_REGIONS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%u memory regions, at most %d", n, GMEM_REGIONS_MAX);
    if (m->size < TABLE_HEADER + n * TABLE_REGION || m->n_fds != n)
        return mvm_fail(err, MVM_E_FORMAT, 0, "%u memory regions in %u bytes with %zu descriptors",
                        n, m->size, m->n_fds);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t words[4];

        memcpy(words, m->payload + TABLE_HEADER + i * TABLE_REGION, sizeof(words));
        specs[i] = (struct gmem_spec){ .base = words[0],
                                       .size = words[1],
                                       .user = words[2],
                                       .offset = words[3],
                                       .fd = m->fds[i] };
    }
    r = gmem_map(&vu->memory, specs, n, err);
    for (unsigned i = 0; r == 0 && i < vu->device->n_queues; i++)
        r = ring_move(&vu->rings[i], err);
    /* With the memory gone no ring has a place any more, also not while the device hears of the
     * first one's stop and still looks at the others. */
    for (unsigned i = 0; r < 0 && i < vu->device->n_queues; i++)
        vu->rings[i].vq.size = 0;
    for (unsigned i = 0; r < 0 && i < vu->device->n_queues; i++)
        ring_stop(&vu->rings[i]);
    return r;
}

/* What lies outside is answered with no bytes: the protocol's way to say so. */
static int get_config(struct vhost_user *vu, struct vhost_user_msg *m, mvm_error **err)
{
    const struct vhost_user_device *device = vu->device;
    uint8_t answer[CONFIG_HEADER + VHOST_USER_CONFIG_MAX] = { 0 };
    uint32_t offset, size;

    memcpy(&offset, m->payload, sizeof(offset));
    memcpy(&size, m->payload + 4, sizeof(size));
    if (offset > device->config_len || size > VHOST_USER_CONFIG_MAX ||
        size > m->size - CONFIG_HEADER)
        return vhost_user_reply(vu->fd, m, NULL, 0, err);
    memcpy(answer, m->payload, CONFIG_HEADER);
    memcpy(answer + CONFIG_HEADER, device->config + offset,
           size < device->config_len - offset ? size : device->config_len - offset);
    return vhost_user_reply(vu->fd, m, answer, CONFIG_HEADER + size, err);
}

static int set_config(struct vhost_user *vu, struct vhost_user_msg *m, mvm_error **err)
{
    (void) vu;
    (void) m;
    return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "the device's config cannot be written");
}

#define RING_HANDLER(name)                                                                     \
    static int handle_##name(struct vhost_user *vu, struct vhost_user_msg *m, mvm_error **err) \
    {                                                                                          \
        return ring_##name(vu, m, err);                                                        \
    }
RING_HANDLER(set_num)
RING_HANDLER(set_addr)
RING_HANDLER(set_base)
RING_HANDLER(get_base)
RING_HANDLER(set_enable)

/* Who gets how many bytes and descriptors, and whether it answers by itself. */
static const struct handler {
    int (*fn)(struct vhost_user *vu, struct vhost_user_msg *m, mvm_error **err);
    uint16_t min, max; /* bytes of payload */
    uint8_t max_fds;
    bool answers;
    uint64_t needs; /* protocol features */
} handlers[] = {
    [VHOST_USER_GET_FEATURES] = { get_u64, 0, 0, 0, true, 0 },
    [VHOST_USER_SET_FEATURES] = { set_features, 8, 8, 0, false, 0 },
    [VHOST_USER_SET_OWNER] = { set_owner, 0, 0, 0, false, 0 },
    [VHOST_USER_RESET_OWNER] = { reset_owner, 0, 0, 0, false, 0 },
    [VHOST_USER_SET_MEM_TABLE] = { set_mem_table, TABLE_HEADER,
                                   TABLE_HEADER + GMEM_REGIONS_MAX *TABLE_REGION, GMEM_REGIONS_MAX,
                                   false, 0 },
    [VHOST_USER_SET_VRING_NUM] = { handle_set_num, 8, 8, 0, false, 0 },
    [VHOST_USER_SET_VRING_ADDR] = { handle_set_addr, 40, 40, 0, false, 0 },
    [VHOST_USER_SET_VRING_BASE] = { handle_set_base, 8, 8, 0, false, 0 },
    [VHOST_USER_GET_VRING_BASE] = { handle_get_base, 8, 8, 0, true, 0 },
    [VHOST_USER_SET_VRING_KICK] = { ring_set_fd, 8, 8, 1, false, 0 },
    [VHOST_USER_SET_VRING_CALL] = { ring_set_fd, 8, 8, 1, false, 0 },
    [VHOST_USER_SET_VRING_ERR] = { ring_set_fd, 8, 8, 1, false, 0 },
    [VHOST_USER_GET_PROTOCOL_FEATURES] = { get_u64, 0, 0, 0, true, 0 },
    [VHOST_USER_SET_PROTOCOL_FEATURES] = { set_features, 8, 8, 0, false, 0 },
    [VHOST_USER_GET_QUEUE_NUM] = { get_u64, 0, 0, 0, true, VIRTIO_BIT(VHOST_USER_PROTOCOL_F_MQ) },
    [VHOST_USER_SET_VRING_ENABLE] = { handle_set_enable, 8, 8, 0, false, 0 },
    [VHOST_USER_GET_CONFIG] = { get_config, CONFIG_HEADER, CONFIG_HEADER + VHOST_USER_CONFIG_MAX, 0,
                                true, VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG) },
    [VHOST_USER_SET_CONFIG] = { set_config, CONFIG_HEADER, CONFIG_HEADER + VHOST_USER_CONFIG_MAX, 0,
                                false, VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG) },
};

static const struct handler *find_handler(const struct vhost_user *vu, uint32_t request)
{
    const struct handler *h = request < ARRAY_SIZE(handlers) ? &handlers[request] : NULL;

    return h && h->fn && (h->needs & ~vu->device->protocol_features) == 0 ? h : NULL;
}

static int check_message(const struct handler *h, const struct vhost_user_msg *m, mvm_error **err)
{
    const char *name = vhost_user_request_name(m->request);

    if (m->size < h->min || m->size > h->max)
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s with %u bytes", name, m->size);
    if (m->n_fds > h->max_fds)
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s with %zu descriptors", name, m->n_fds);
    return 0;
}

/* A peer that asks for an acknowledgement (REPLY_ACK) hears of a refusal, and goes on or not;
 * without one the two would disagree from here on, so that the session ends. */
static int handle_message(struct vhost_user *vu, struct vhost_user_msg *m, mvm_error **err)
{
    const bool ack = (m->flags & VHOST_USER_NEED_REPLY) != 0 &&
                     (vu->protocol_features & VIRTIO_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK)) != 0;
    const struct handler *h = find_handler(vu, m->request);
    mvm_autoerror mvm_error *reason = NULL;
    int r;

    if (!h)
        r = mvm_fail(&reason, MVM_E_UNSUPPORTED, 0, "request %u (%s) was not offered", m->request,
                     vhost_user_request_name(m->request));
    else
        r = check_message(h, m, &reason);
    if (r == 0)
        r = h->fn(vu, m, &reason);
    if (ack && (!h || !h->answers))
        return reply_u64(vu, m, r < 0, err);
    if (r < 0)
        error_move(err, steal_ptr(&reason));
    return r;
}

static void session_end(struct vhost_user *vu, const char *reason)
{
    loop_remove(steal_ptr(&vu->source));
    for (unsigned i = 0; i < vu->device->n_queues; i++)
        ring_stop(&vu->rings[i]);
    vu->device->ended(vu->device->user, reason);
}

static void peer_ready(void *user, uint32_t events)
{
    struct vhost_user *vu = user;
    mvm_autoerror mvm_error *err = NULL;
    int r;

    (void) events;
    /* One message a round: rings are served meanwhile. */
    r = vhost_user_read(&vu->reader, vu->fd, &err);
    if (r == 1) {
        r = handle_message(vu, &vu->reader.msg, &err);
        vhost_user_reader_reset(&vu->reader);
    }
    if (r < 0)
        session_end(vu, mvm_error_message(err));
    else if (r == VHOST_USER_READ_END)
        session_end(vu, vu->reader.got > 0 ? "the machine is gone amid a message" : NULL);
}

int vhost_user_new(struct loop *loop, int fd, const struct vhost_user_device *device,
                   struct vhost_user **ret, mvm_error **err)
{
    mvm_auto(vhost_user) vu = NULL;
    int r;

    if (device->n_queues > VHOST_USER_QUEUES_MAX || device->config_len > VHOST_USER_CONFIG_MAX)
        return mvm_fail(err, MVM_E_ARG, 0, "a device of %u rings and %zu bytes of config",
                        device->n_queues, device->config_len);
    vu = calloc(1, sizeof(*vu));
    if (!vu)
        return mvm_fail_nomem(err);
    vu->device = device;
    vu->loop = loop;
    vu->fd = fd;
    for (unsigned i = 0; i < device->n_queues; i++)
        ring_init(&vu->rings[i], vu, i);
    r = loop_add_fd(loop, fd, EPOLLIN, peer_ready, vu, &vu->source, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&vu);
    return 0;
}

void vhost_user_free(struct vhost_user *vu)
{
    if (!vu)
        return;
    loop_remove(vu->source);
    for (unsigned i = 0; i < vu->device->n_queues; i++)
        ring_deinit(&vu->rings[i]);
    vhost_user_msg_deinit(&vu->reader.msg);
    gmem_deinit(&vu->memory);
    free(vu);
}

struct vqueue *vhost_user_queue(struct vhost_user *vu, unsigned queue)
{
    return vu->rings[queue].running ? &vu->rings[queue].vq : NULL;
}

/* An eventfd that is full has told already. */
static void event_signal(int fd)
{
    const uint64_t one = 1;

    if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
        return;
}

void vhost_user_notify(struct vhost_user *vu, unsigned queue)
{
    event_signal(vu->rings[queue].call_fd);
}

void vhost_user_break(struct vhost_user *vu, unsigned queue)
{
    event_signal(vu->rings[queue].err_fd);
    for (unsigned i = 0; i < vu->device->n_queues; i++) {
        vu->rings[i].broken = true;
        ring_stop(&vu->rings[i]);
    }
}
