/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vhost-user server ("back-end"): the machine at the other end of a socket keeps the virtio
 * device's registers, and hands us the guest's memory and the rings; we are the device.
 *
 * A ring runs while it has a place, a kick descriptor and is enabled; it starts and stops as
 * messages say, and the device hears of both. GET_VRING_BASE stops a ring and gives its index back,
 * which is how a machine resets the device. The peer is not trusted: each length, index, address
 * and descriptor is checked, and what breaks the rules ends the session with one line that says
 * what. A ring whose contents break the rules stops the device instead (vhost_user_break()): the
 * guest did that.
 *
 * Thread-safety: the thread of the loop.
 */
#ifndef VIRTIO_VHOST_USER_H
#define VIRTIO_VHOST_USER_H

#include "base/loop.h"
#include "virtio/vqueue.h"

/* Feature bit 30 of vhost-user itself, which no driver sees. */
#define VHOST_USER_F_PROTOCOL_FEATURES 30
#define VHOST_USER_PROTOCOL_F_MQ 0
#define VHOST_USER_PROTOCOL_F_REPLY_ACK 3
#define VHOST_USER_PROTOCOL_F_CONFIG 9

/* virtio-fs has one ring and those of its requests; vsock two. */
#define VHOST_USER_QUEUES_MAX 16
/* VHOST_USER_MAX_CONFIG_SIZE of the protocol. */
#define VHOST_USER_CONFIG_MAX 256

struct vhost_user_device {
    uint64_t features;          /* of virtio; bit 30 is added here */
    uint64_t protocol_features; /* of those above */
    unsigned n_queues;
    const uint8_t *config; /* borrowed, read-only for the driver */
    size_t config_len;

    void (*started)(void *user, unsigned queue);
    /* Its vqueue is not to be touched any more; those of the others are until they stop too. */
    void (*stopped)(void *user, unsigned queue);
    void (*kicked)(void *user, unsigned queue);
    /* The peer is gone: @reason NULL for an orderly end. Nothing is called afterwards. */
    void (*ended)(void *user, const char *reason);
    void *user;
};

struct vhost_user;

/* @fd: the connected socket, borrowed. @device: borrowed. */
int vhost_user_new(struct loop *loop, int fd, const struct vhost_user_device *device,
                   struct vhost_user **ret, mvm_error **err);
void vhost_user_free(struct vhost_user *vu);
MVM_DEFINE_AUTO(vhost_user, vhost_user_free)

/* The ring, between started() and stopped(); else NULL. */
struct vqueue *vhost_user_queue(struct vhost_user *vu, unsigned queue);
/* Sends the guest an interrupt. */
void vhost_user_notify(struct vhost_user *vu, unsigned queue);
/* The guest broke the rules in @queue: tells the machine, where it gave a descriptor for that, and
 * stops all rings until the driver has reset the device. Calls stopped(). */
void vhost_user_break(struct vhost_user *vu, unsigned queue);

#endif
