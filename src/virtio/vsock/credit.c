/* SPDX-License-Identifier: Apache-2.0 */
/* Credit of a connection (virtio 1.2, 5.10.6.3). All counters wrap at 2^32. */
#include "virtio/vsock/device-internal.h"

/* At a half of what the guest may have under way, so that it need not wait for our word. That is no
 * more than its own window: Linux caps what it sends by that in newer kernels, so that ours alone
 * would have it wait for ever. */
static void credit_tell(struct conn *c)
{
    const uint32_t most = c->window < c->peer_window ? c->window : c->peer_window;

    if (c->hashed && c->passed != c->passed_told && c->passed - c->passed_told >= most / 2)
        conn_owe(c, OWE_CREDIT);
}

/* The guest's count moves forward, up to what we sent. A count that lies behind the last one comes
 * from a packet that another of the guest's CPUs overtook, and says nothing new. */
bool credit_update(struct conn *c, const struct vsock_packet *p)
{
    uint32_t moved = p->fwd_cnt - c->peer_passed;
    uint32_t under_way = c->sent - c->peer_passed;

    if (moved > under_way && moved < UINT32_MAX / 2)
        return false; /* passed on what it never got */
    if (moved <= under_way)
        c->peer_passed = p->fwd_cnt;
    if (moved > 0 || p->buf_alloc != c->peer_window)
        c->asked = false;
    c->peer_window = p->buf_alloc;
    credit_tell(c);
    return true;
}

uint32_t credit_left(const struct conn *c)
{
    uint32_t under_way = c->sent - c->peer_passed;

    return under_way < c->peer_window ? c->peer_window - under_way : 0; /* a window may shrink */
}

bool credit_received(struct conn *c, uint32_t len)
{
    if (len > c->window - (c->received - c->passed))
        return false;
    c->received += len;
    return true;
}

void credit_passed(struct conn *c, uint32_t len)
{
    c->passed += len;
    credit_tell(c);
}
