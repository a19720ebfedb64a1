/* SPDX-License-Identifier: Apache-2.0 */
/* The state of one ring of a vhost-user server, and the messages about it. */
#ifndef VIRTIO_VHOST_USER_RING_H
#define VIRTIO_VHOST_USER_RING_H

#include "virtio/vhost-user-wire.h"
#include "virtio/vhost-user.h"

struct vhost_user_ring {
    struct vhost_user *owner; /* borrowed */
    unsigned index;
    struct vqueue vq;
    struct vqueue_place place; /* size 0, or no addresses: not known yet */
    bool has_place;
    uint16_t base;
    int kick_fd, call_fd, err_fd; /* owned; -EBADF: none */
    struct loop_source *kick;     /* owned, while the ring runs */
    bool enabled;
    bool broken; /* until GET_VRING_BASE */
    bool running;
};

struct vhost_user {
    const struct vhost_user_device *device; /* borrowed */
    struct loop *loop;                      /* borrowed */
    struct loop_source *source;             /* owned */
    int fd;                                 /* borrowed */
    struct vhost_user_reader reader;
    struct gmem memory;
    uint64_t features, protocol_features; /* agreed on */
    struct vhost_user_ring rings[VHOST_USER_QUEUES_MAX];
};

void ring_init(struct vhost_user_ring *ring, struct vhost_user *owner, unsigned index);
void ring_deinit(struct vhost_user_ring *ring);
/* Starts or stops it as its state says. */
int ring_update(struct vhost_user_ring *ring, mvm_error **err);
/* Stops it, where it runs; its index stays in @base. */
void ring_stop(struct vhost_user_ring *ring);
/* The memory table changed. */
int ring_move(struct vhost_user_ring *ring, mvm_error **err);

/* The messages that name a ring; the payload's length is checked already. */
int ring_set_num(struct vhost_user *vu, const struct vhost_user_msg *m, mvm_error **err);
int ring_set_addr(struct vhost_user *vu, const struct vhost_user_msg *m, mvm_error **err);
int ring_set_base(struct vhost_user *vu, const struct vhost_user_msg *m, mvm_error **err);
int ring_get_base(struct vhost_user *vu, const struct vhost_user_msg *m, mvm_error **err);
int ring_set_enable(struct vhost_user *vu, const struct vhost_user_msg *m, mvm_error **err);
/* SET_VRING_KICK, _CALL, _ERR */
int ring_set_fd(struct vhost_user *vu, struct vhost_user_msg *m, mvm_error **err);

#endif
