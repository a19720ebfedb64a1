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
    bool watched; /* known to epoll */
    bool always;  /* a regular file: ready whenever wanted */
    bool removed;
    uint64_t due_ms; /* of a timer; UINT64_MAX: stopped */
    loop_fd_fn *fd_fn;
    loop_timer_fn *timer_fn;
    void *user;
};

struct loop {
    int epoll_fd; /* owned */
    bool running;
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
    autoclose_run(&l->epoll_fd);
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

/* epoll reports EPOLLHUP and EPOLLERR also to who asked for nothing, so a source that wants nothing
 * is taken out: else a closed peer would wake us again and again while its reader pauses. */
static int source_watch(struct loop_source *s, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = s };
    int op = !s->watched ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

    if (s->always || (!s->watched && !events))
        return 0;
    if (epoll_ctl(s->loop->epoll_fd, op, s->fd, &ev) < 0) {
        if (errno != EPERM || op != EPOLL_CTL_ADD)
            return -1;
        s->always = true;
        return 0;
    }
    s->watched = events != 0;
    return 0;
}

int loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *user,
                struct loop_source **ret, mvm_error **err)
{
    struct loop_source *s = source_new(l, user);

    if (!s)
        return mvm_fail_nomem(err);
    s->fd = fd;
    s->events = events;
    s->fd_fn = fn;
    if (source_watch(s, events) < 0) {
        s->removed = true;
        return mvm_fail(err, MVM_E_SYS, errno, "watch descriptor %d", fd);
    }
    *ret = s;
    return 0;
}

int loop_set_events(struct loop_source *s, uint32_t events, mvm_error **err)
{
    if (s->removed || s->events == events)
        return 0;
    if (source_watch(s, events) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "watch descriptor %d", s->fd);
    s->events = events;
    return 0;
}

int loop_add_timer(struct loop *l, int64_t delay_ms, loop_timer_fn *fn, void *user,
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

void loop_set_timer(struct loop_source *s, int64_t delay_ms)
{
    /* Does not overflow: the clock counts from the boot, and has 63 bits to go. */
    s->due_ms = delay_ms < 0 ? UINT64_MAX : clock_now_ms() + (uint64_t) delay_ms;
}

void loop_remove(struct loop_source *s)
{
    if (!s || s->removed)
        return;
    if (s->watched)
        (void) epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_DEL, s->fd,
                         NULL); /* the caller may have closed it already */
    s->removed = true;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

/* What a source that is always ready has to tell. */
static uint32_t source_ready(const struct loop_source *s)
{
    return s->always ? s->events & (EPOLLIN | EPOLLOUT) : 0;
}

/* Milliseconds until something is due by itself; -1: nothing is. */
static int loop_patience(const struct loop *l)
{
    uint64_t now = clock_now_ms(), first = UINT64_MAX;

    for (const struct loop_source *s = l->sources; s; s = s->next) {
        if (s->removed)
            continue;
        if (source_ready(s))
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

    for (struct loop_source *s = l->sources; s && !l->stopping; s = s->next) {
        if (s->removed)
            continue;
        if (s->timer_fn && s->due_ms <= now) {
            s->due_ms = UINT64_MAX;
            s->timer_fn(s->user);
        } else if (source_ready(s)) {
            s->fd_fn(s->user, source_ready(s));
        }
    }
}

/* Waits once and calls whom it concerns. After loop_stop() nobody is called any more: what is ready
 * is still so in the next run. */
static int loop_round(struct loop *l, mvm_error **err)
{
    struct epoll_event ev[LOOP_BATCH];
    int n = epoll_wait(l->epoll_fd, ev, LOOP_BATCH, loop_patience(l));

    if (n < 0 && errno != EINTR)
        return mvm_fail(err, MVM_E_SYS, errno, "wait for events");
    for (int i = 0; i < n && !l->stopping; i++) {
        struct loop_source *s = ev[i].data.ptr;
        uint32_t wanted = s->watched ? s->events | EPOLLHUP | EPOLLERR : 0;

        /* An earlier callback of this round may have removed it, or asked for something else. */
        if (!s->removed && (ev[i].events & wanted))
            s->fd_fn(s->user, ev[i].events & wanted);
    }
    loop_dispatch_own(l);
    loop_sweep(l, false);
    return 0;
}

int loop_run(struct loop *l, mvm_error **err)
{
    int r = 0;

    /* A run within a callback would free sources that the outer one still names. */
    if (l->running)
        return mvm_fail(err, MVM_E_STATE, 0, "the event loop runs already");
    l->running = true;
    while (r == 0 && !l->stopping)
        r = loop_round(l, err);
    l->running = false;
    l->stopping = false;
    return r;
}
