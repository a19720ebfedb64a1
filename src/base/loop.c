/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Level-triggered epoll. Removed sources stay in memory until the round of events that may still
 * name them is over: epoll_wait() hands out pointers, and a callback may remove a source whose
 * event comes later in the same batch. Timers are few (a handful per VM), so a list and a linear
 * search do.
 */
#include "base/loop.h"

#include "base/clock.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/epoll.h>

#define LOOP_BATCH 32

struct loop_source {
    struct loop *loop; /* borrowed */
    struct loop_source *next;
    int fd; /* borrowed; -EBADF for a timer */
    uint32_t events;
    bool always; /* a regular file: ready whenever wanted */
    bool removed;
    uint64_t due_ms; /* of a timer; UINT64_MAX: stopped */
    loop_fd_fn *fd_fn;
    loop_timer_fn *timer_fn;
    void *user;
};

struct loop {
    int epoll_fd; /* owned */
    bool stopping;
    struct loop_source *sources; /* owned list */
};

int loop_new(struct loop **ret, mvm_error **err)
{
    mvm_auto(loop) l = calloc(1, sizeof(*l));

    if (!l)
        return mvm_fail_nomem(err);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make an event loop");
    *ret = steal_ptr(&l);
    return 0;
}

/* Frees the sources for which @all or which were removed. */
static void loop_sweep(struct loop *l, bool all)
{
    for (struct loop_source **at = &l->sources; *at;) {
        struct loop_source *s = *at;

        if (all || s->removed) {
            *at = s->next;
            free(s);
        } else {
            at = &s->next;
        }
    }
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    loop_sweep(l, true);
    if (l->epoll_fd >= 0)
        (void) close(l->epoll_fd);
    free(l);
}

static struct loop_source *source_new(struct loop *l, void *user)
{
    struct loop_source *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->loop = l;
    s->fd = -EBADF;
    s->due_ms = UINT64_MAX;
    s->user = user;
    s->next = l->sources;
    l->sources = s;
    return s;
}

int loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *user,
                struct loop_source **ret, mvm_error **err)
{
    struct loop_source *s = source_new(l, user);
    struct epoll_event ev = { .events = events, .data.ptr = s };

    if (!s)
        return mvm_fail_nomem(err);
    s->fd = fd;
    s->events = events;
    s->fd_fn = fn;
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        if (errno != EPERM) {
            s->removed = true;
            return mvm_fail(err, MVM_E_SYS, errno, "watch descriptor %d", fd);
        }
        s->always = true;
    }
    *ret = s;
    return 0;
}

int loop_set_events(struct loop_source *s, uint32_t events, mvm_error **err)
{
    struct epoll_event ev = { .events = events, .data.ptr = s };

    if (s->events == events)
        return 0;
    s->events = events;
    if (!s->always && epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "watch descriptor %d", s->fd);
    return 0;
}

int loop_add_timer(struct loop *l, int delay_ms, loop_timer_fn *fn, void *user,
                   struct loop_source **ret, mvm_error **err)
{
    struct loop_source *s = source_new(l, user);

    if (!s)
        return mvm_fail_nomem(err);
    s->timer_fn = fn;
    loop_set_timer(s, delay_ms);
    *ret = s;
    return 0;
}

void loop_set_timer(struct loop_source *s, int delay_ms)
{
    s->due_ms = delay_ms < 0 ? UINT64_MAX : clock_now_ms() + (uint64_t) delay_ms;
}

void loop_remove(struct loop_source *s)
{
    if (!s || s->removed)
        return;
    if (s->fd_fn && !s->always)
        (void) epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_DEL, s->fd,
                         NULL); /* the caller may have closed it already */
    s->removed = true;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

/* Milliseconds until something is due by itself; -1: nothing is. */
static int loop_patience(const struct loop *l)
{
    uint64_t now = clock_now_ms(), first = UINT64_MAX;

    for (const struct loop_source *s = l->sources; s; s = s->next) {
        if (s->removed)
            continue;
        if (s->always && s->events)
            return 0;
        if (s->due_ms < first)
            first = s->due_ms;
    }
    if (first == UINT64_MAX)
        return -1;
    if (first <= now)
        return 0;
    return first - now > INT_MAX ? INT_MAX : (int) (first - now);
}

/* What epoll does not tell: timers, and files that are always ready. */
static void loop_dispatch_own(struct loop *l)
{
    uint64_t now = clock_now_ms();

    for (struct loop_source *s = l->sources; s; s = s->next) {
        if (s->removed)
            continue;
        if (s->timer_fn && s->due_ms <= now) {
            s->due_ms = UINT64_MAX;
            s->timer_fn(s->user);
        } else if (s->always && s->events) {
            s->fd_fn(s->user, s->events);
        }
    }
}

int loop_run(struct loop *l, mvm_error **err)
{
    struct epoll_event ev[LOOP_BATCH];

    l->stopping = false;
    while (!l->stopping) {
        int n = epoll_wait(l->epoll_fd, ev, LOOP_BATCH, loop_patience(l));

        if (n < 0 && errno != EINTR)
            return mvm_fail(err, MVM_E_SYS, errno, "wait for events");
        for (int i = 0; i < n; i++) {
            struct loop_source *s = ev[i].data.ptr;

            if (!s->removed)
                s->fd_fn(s->user, ev[i].events);
        }
        loop_dispatch_own(l);
        loop_sweep(l, false);
    }
    return 0;
}
