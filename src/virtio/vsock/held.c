/* SPDX-License-Identifier: Apache-2.0 */
/* What the host's socket did not take: at most the window that the guest was promised, in memory
 * that is there only while it is needed. */
#include "virtio/vsock/device-internal.h"

#include <sys/socket.h>

#define HELD_FIRST 4096

/* Makes room for @len more bytes behind what is held. */
static int held_grow(struct conn *c, size_t len)
{
    size_t cap = c->held_cap ? c->held_cap : HELD_FIRST;
    char *grown;

    if (c->held_at > 0 && c->held_at + c->held_len + len > c->held_cap) {
        memmove(c->held, c->held + c->held_at, c->held_len);
        c->held_at = 0;
    }
    if (c->held_at + c->held_len + len <= c->held_cap)
        return 0;
    while (cap < c->held_len + len)
        cap *= 2;
    grown = realloc(c->held, cap);
    if (!grown)
        return MVM_E_NOMEM;
    c->held = grown;
    c->held_cap = cap;
    return 0;
}

int held_add(struct conn *c, const struct iovec *iov, unsigned n, size_t skip)
{
    size_t len = (size_t) iov_total(iov, n) - skip;
    int r = held_grow(c, len);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < n; i++) {
        size_t part = iov[i].iov_len;

        if (skip >= part) {
            skip -= part;
            continue;
        }
        memcpy(c->held + c->held_at + c->held_len, (const char *) iov[i].iov_base + skip,
               part - skip);
        c->held_len += part - skip;
        skip = 0;
    }
    c->device->held += len;
    return 0;
}

void held_drop(struct conn *c)
{
    c->device->held -= c->held_len;
    free(steal_ptr(&c->held));
    c->held_at = c->held_len = c->held_cap = 0;
}

bool held_may_wait(struct conn *c, int error)
{
    if (error != ENOBUFS)
        return error == EAGAIN;
    c->starved = true;
    if (!c->deadline_ms)
        conn_set_deadline(c, VSOCK_TICK_MS);
    return true;
}

bool held_flush(struct conn *c)
{
    c->starved = false;
    while (c->held_len > 0) {
        ssize_t n = send(c->fd, c->held + c->held_at, c->held_len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return held_may_wait(c, errno);
        c->held_at += (size_t) n;
        c->held_len -= (size_t) n;
        c->device->held -= (size_t) n;
        credit_passed(c, (uint32_t) n);
    }
    held_drop(c);
    return true;
}
