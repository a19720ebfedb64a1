/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vsock/packet.h"

#include "base/le.h"

void vsock_packet_encode(const struct vsock_packet *p, uint8_t out[VSOCK_HEADER_SIZE])
{
    le64_put(out, p->src_cid);
    le64_put(out + 8, p->dst_cid);
    le32_put(out + 16, p->src_port);
    le32_put(out + 20, p->dst_port);
    le32_put(out + 24, p->len);
    le16_put(out + 28, p->type);
    le16_put(out + 30, p->op);
    le32_put(out + 32, p->flags);
    le32_put(out + 36, p->buf_alloc);
    le32_put(out + 40, p->fwd_cnt);
}

void vsock_packet_decode(const uint8_t in[VSOCK_HEADER_SIZE], struct vsock_packet *ret)
{
    *ret = (struct vsock_packet){ .src_cid = le64_get(in),
                                  .dst_cid = le64_get(in + 8),
                                  .src_port = le32_get(in + 16),
                                  .dst_port = le32_get(in + 20),
                                  .len = le32_get(in + 24),
                                  .type = le16_get(in + 28),
                                  .op = le16_get(in + 30),
                                  .flags = le32_get(in + 32),
                                  .buf_alloc = le32_get(in + 36),
                                  .fwd_cnt = le32_get(in + 40) };
}
