/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of vhost-user as bytes and descriptors (QEMU, docs/interop/vhost-user.rst, "Message
 * Specification"): numbers are in the host's byte order, which is little-endian on all that we run
 * on. */
#ifndef VIRTIO_VHOST_USER_WIRE_H
#define VIRTIO_VHOST_USER_WIRE_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>

enum vhost_user_request {
    VHOST_USER_GET_FEATURES = 1,
    VHOST_USER_SET_FEATURES = 2,
    VHOST_USER_SET_OWNER = 3,
    VHOST_USER_RESET_OWNER = 4,
    VHOST_USER_SET_MEM_TABLE = 5,
    VHOST_USER_SET_VRING_NUM = 8,
    VHOST_USER_SET_VRING_ADDR = 9,
    VHOST_USER_SET_VRING_BASE = 10,
    VHOST_USER_GET_VRING_BASE = 11,
    VHOST_USER_SET_VRING_KICK = 12,
    VHOST_USER_SET_VRING_CALL = 13,
    VHOST_USER_SET_VRING_ERR = 14,
    VHOST_USER_GET_PROTOCOL_FEATURES = 15,
    VHOST_USER_SET_PROTOCOL_FEATURES = 16,
    VHOST_USER_GET_QUEUE_NUM = 17,
    VHOST_USER_SET_VRING_ENABLE = 18,
    VHOST_USER_GET_CONFIG = 24,
    VHOST_USER_SET_CONFIG = 25,
};

#define VHOST_USER_HEADER 12
#define VHOST_USER_VERSION 1u
#define VHOST_USER_VERSION_MASK 3u
#define VHOST_USER_REPLY 4u
#define VHOST_USER_NEED_REPLY 8u

/* The longest is the table of 8 memory regions with 8 + 8 * 32 bytes, or 12 + 256 bytes of config.
 */
#define VHOST_USER_PAYLOAD_MAX 512
/* One descriptor a memory region. */
#define VHOST_USER_FDS_MAX 8

struct vhost_user_msg {
    uint32_t request, flags, size;
    uint8_t payload[VHOST_USER_PAYLOAD_MAX];
    int fds[VHOST_USER_FDS_MAX]; /* owned */
    size_t n_fds;
};
/* Closes the descriptors that nobody took. */
void vhost_user_msg_deinit(struct vhost_user_msg *m);
/* Hands over descriptor @i. */
int vhost_user_msg_take_fd(struct vhost_user_msg *m, size_t i);

/* Reads what is there of the next message of a socket, without waiting; a message may come in
 * pieces. */
struct vhost_user_reader {
    struct vhost_user_msg msg; /* whole once vhost_user_read() says so */
    uint8_t header[VHOST_USER_HEADER];
    size_t got; /* of header and payload */
};
#define VHOST_USER_READ_END 2
/* 1: a whole message; 0: not yet; VHOST_USER_READ_END: the peer is gone. Negative: the peer breaks
 * the rules, and nothing more is to be read. */
int vhost_user_read(struct vhost_user_reader *r, int fd, mvm_error **err);
/* Makes ready for the next message. */
void vhost_user_reader_reset(struct vhost_user_reader *r);

/* The answer to @m. A peer that does not read it is MVM_E_SYS: nobody waits for it. */
int vhost_user_reply(int fd, const struct vhost_user_msg *m, const void *payload, size_t len,
                     mvm_error **err);

/* "SET_MEM_TABLE"; "unknown" for a request that the protocol has not. */
const char *vhost_user_request_name(uint32_t request);

#endif
