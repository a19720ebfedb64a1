/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a packet of the socket device (virtio 1.2, 5.10.6). */
#ifndef VIRTIO_VSOCK_PACKET_H
#define VIRTIO_VSOCK_PACKET_H

#include <stdint.h>

#define VSOCK_HEADER_SIZE 44
#define VSOCK_CID_HOST 2
#define VSOCK_CID_GUEST 3
#define VSOCK_PORT_ANY UINT32_MAX /* names no port: VMADDR_PORT_ANY of vsock(7) */

#define VSOCK_TYPE_STREAM 1

enum vsock_op {
    VSOCK_OP_REQUEST = 1,
    VSOCK_OP_RESPONSE = 2,
    VSOCK_OP_RST = 3,
    VSOCK_OP_SHUTDOWN = 4,
    VSOCK_OP_RW = 5,
    VSOCK_OP_CREDIT_UPDATE = 6,
    VSOCK_OP_CREDIT_REQUEST = 7,
};

/* Flags of VSOCK_OP_SHUTDOWN: its sender will receive, or send, no more. */
#define VSOCK_SHUT_RCV 1u
#define VSOCK_SHUT_SEND 2u
#define VSOCK_SHUT_BOTH 3u

struct vsock_packet {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port;
    uint32_t len; /* of the data behind the header */
    uint16_t type, op;
    uint32_t flags;
    uint32_t buf_alloc; /* bytes that the sender's side of this connection can hold */
    uint32_t fwd_cnt;   /* bytes that it has passed on so far, modulo 2^32 */
};

void vsock_packet_encode(const struct vsock_packet *p, uint8_t out[VSOCK_HEADER_SIZE]);
void vsock_packet_decode(const uint8_t in[VSOCK_HEADER_SIZE], struct vsock_packet *ret);

#endif
