/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint.h"

#include "base/mem.h"

#include <sys/epoll.h>

#define EVENTS_AT_ONCE 16

int endpoint_watch(struct endpoint *e, int epoll_fd, mvm_error **err)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = e };

    if (e->fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, e->fd, &event) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "watch a stream");
    return 0;
}

static void endpoint_note(struct endpoint *e, uint32_t events)
{
    bool hup = events & (EPOLLHUP | EPOLLERR);

    e->readable = e->readable || (events & EPOLLIN) || hup;
    e->writable = e->writable || (events & EPOLLOUT) || hup;
    e->was_connected = e->was_connected || !hup;
    e->hung_up = e->is_port && hup && e->was_connected;
}

int endpoint_wait(int epoll_fd, int timeout_ms, mvm_error **err)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int n = epoll_wait(epoll_fd, events, EVENTS_AT_ONCE, timeout_ms);

    if (n < 0 && errno != EINTR)
        return mvm_fail(err, MVM_E_SYS, errno, "wait for the streams");
    for (int i = 0; i < n; i++)
        endpoint_note(events[i].data.ptr, events[i].events);
    return 0;
}

ssize_t endpoint_read(struct endpoint *e, void *data, size_t len)
{
    ssize_t n;

    if (e->fd < 0)
        return ENDPOINT_END;
    if (!e->readable)
        return 0;
    do
        n = read(e->fd, data, len);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        e->was_connected = true;
        return n;
    }
    e->readable = false;
    if (n < 0 && errno == EAGAIN)
        return 0;
    /* A port reads 0 while nobody is at its other end; a terminal gives EIO after its last user. */
    return n == 0 && e->is_port ? 0 : ENDPOINT_END;
}

ssize_t endpoint_write(struct endpoint *e, const void *data, size_t len)
{
    ssize_t n;

    if (e->fd < 0)
        return ENDPOINT_END;
    if (!e->writable)
        return 0;
    do
        n = write(e->fd, data, len);
    while (n < 0 && errno == EINTR);
    if (n >= 0) {
        e->was_connected = true;
        return n;
    }
    e->writable = false;
    return errno == EAGAIN ? 0 : ENDPOINT_END;
}

void endpoint_close(struct endpoint *e)
{
    if (e->fd >= 0)
        (void) close(steal_fd(&e->fd));
    e->readable = e->writable = false;
}
