/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Level-triggered epoll. Removed sources stay in memory until the round of events that may still
 * name them is over: epoll_wait() hands out pointers, and a callback may remove a source whose
 * event comes later in the same batch. Descriptors may be a thousand, and a round costs what its
 * events cost; timers and files that are always ready are few (a handful per VM), so a list and a
 * linear search do for them.
 */
#include "base/loop.h"

#include "base/clock.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#define LOOP_BATCH 32

struct loop_source {
    struct loop *loop; /* borrowed */
    struct loop_source **list;
    struct loop_source *next, *previous;
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
    int timer_fd; /* owned, in epoll_fd with no source: what loop_get_fd() needs; else -EBADF */
    bool running;
    bool stopping;
    bool busy;                   /* the idle callback has more to do */
    bool own_removed;            /* @own has a source that is to be freed */
    struct loop_source *watched; /* owned list: what epoll reports */
    struct loop_source *own;     /* owned list: what it does not */
    struct loop_source *dead;    /* owned list: removed from @watched in this round */
    loop_idle_fn *idle_fn;
    void *idle_user;
};

int loop_new(struct loop **ret, mvm_error **err)
{
    mvm_auto(loop) l = calloc(1, sizeof(*l));

    if (!l)
        return mvm_fail_nomem(err);
    l->timer_fd = -EBADF;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make an event loop");
    *ret = steal_ptr(&l);
    return 0;
}

static void source_unlink(struct loop_source *s)
{
    if (s->previous)
        s->previous->next = s->next;
    else
        *s->list = s->next;
    if (s->next)
        s->next->previous = s->previous;
}

static void source_link(struct loop_source *s, struct loop_source **list)
{
    s->list = list;
    s->previous = NULL;
    s->next = *list;
    if (s->next)
        s->next->previous = s;
    *list = s;
}

/* Frees the sources of the list for which @all or which were removed. */
static void list_sweep(struct loop_source *list, bool all)
{
    struct loop_source *next;

    for (struct loop_source *s = list; s; s = next) {
        next = s->next;
        if (all || s->removed) {
            source_unlink(s);
            free(s);
        }
    }
}

static void loop_sweep(struct loop *l)
{
    list_sweep(l->dead, true);
    if (l->own_removed)
        list_sweep(l->own, false);
    l->own_removed = false;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    list_sweep(l->watched, true);
    list_sweep(l->own, true);
    list_sweep(l->dead, true);
    autoclose_run(&l->timer_fd);
    autoclose_run(&l->epoll_fd);
    free(l);
}

static struct loop_source *source_new(struct loop *l, struct loop_source **list, void *user)
{
    struct loop_source *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->loop = l;
    s->fd = -EBADF;
    s->due_ms = UINT64_MAX;
    s->user = user;
    source_link(s, list);
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
        source_unlink(s);
        source_link(s, &s->loop->own);
        return 0;
    }
    s->watched = events != 0;
    return 0;
}

/* What a source that is always ready has to tell. */
static uint32_t source_ready(const struct loop_source *s)
{
    return s->always ? s->events & (EPOLLIN | EPOLLOUT) : 0;
}

/* Milliseconds until something is due by itself; -1: nothing is. */
static int loop_patience(const struct loop *l)
{
    uint64_t now, first = UINT64_MAX;

    if (l->busy)
        return 0;
    if (!l->own)
        return -1;
    now = clock_now_ms();
    for (const struct loop_source *s = l->own; s; s = s->next) {
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

/* Lets the epoll descriptor tell of what is due by itself, where somebody else polls it. During a
 * run that is put off to its end. */
static void loop_arm(struct loop *l)
{
    struct itimerspec when = { .it_value = { .tv_sec = 0 } };
    int patience;

    if (l->timer_fd < 0 || l->running)
        return;
    patience = loop_patience(l);
    if (patience >= 0) {
        when.it_value.tv_sec = patience / 1000;
        when.it_value.tv_nsec = patience % 1000 * 1000000L + (patience == 0);
    }
    (void) timerfd_settime(l->timer_fd, 0, &when, NULL); /* a valid descriptor and a valid time */
}

int loop_get_fd(struct loop *l, int *ret_fd, mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;

    if (l->timer_fd < 0) {
        struct epoll_event ev = { .events = EPOLLIN };

        fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (fd < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "make an event loop's timer");
        l->timer_fd = steal_fd(&fd);
        loop_arm(l);
    }
    *ret_fd = l->epoll_fd;
    return 0;
}

int loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *user,
                struct loop_source **ret, mvm_error **err)
{
    struct loop_source *s = source_new(l, &l->watched, user);

    if (!s)
        return mvm_fail_nomem(err);
    s->fd = fd;
    s->events = events;
    s->fd_fn = fn;
    if (source_watch(s, events) < 0) {
        source_unlink(s);
        free(s);
        return mvm_fail(err, MVM_E_SYS, errno, "watch descriptor %d", fd);
    }
    loop_arm(l);
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
    loop_arm(s->loop);
    return 0;
}

int loop_add_timer(struct loop *l, int64_t delay_ms, loop_timer_fn *fn, void *user,
                   struct loop_source **ret, mvm_error **err)
{
    struct loop_source *s = source_new(l, &l->own, user);

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
    loop_arm(s->loop);
}

void loop_remove(struct loop_source *s)
{
    if (!s || s->removed)
        return;
    if (s->watched)
        (void) epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_DEL, s->fd,
                         NULL); /* the caller may have closed it already */
    s->removed = true;
    if (s->list == &s->loop->own) { /* which may be in the middle of being walked */
        s->loop->own_removed = true;
        return;
    }
    source_unlink(s);
    source_link(s, &s->loop->dead);
}

void loop_set_idle(struct loop *l, loop_idle_fn *fn, void *user)
{
    l->idle_fn = fn;
    l->idle_user = user;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

/* What epoll does not tell: timers, and files that are always ready. */
static void loop_dispatch_own(struct loop *l)
{
    uint64_t now = l->own ? clock_now_ms() : 0;

    for (struct loop_source *s = l->own; s && !l->stopping; s = s->next) {
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

static void loop_run_idle(struct loop *l)
{
    if (!l->stopping)
        l->busy = l->idle_fn && l->idle_fn(l->idle_user);
}

/* Waits once, up to @timeout_ms, and calls whom it concerns. After loop_stop() nobody is called any
 * more: what is ready is still so in the next run. */
static int loop_round(struct loop *l, int timeout_ms, mvm_error **err)
{
    struct epoll_event ev[LOOP_BATCH];
    int patience = loop_patience(l), n;

    if (patience < 0 || (timeout_ms >= 0 && timeout_ms < patience))
        patience = timeout_ms;
    n = epoll_wait(l->epoll_fd, ev, LOOP_BATCH, patience);
    if (n < 0 && errno != EINTR)
        return mvm_fail(err, MVM_E_SYS, errno, "wait for events");
    for (int i = 0; i < n && !l->stopping; i++) {
        struct loop_source *s = ev[i].data.ptr;
        uint32_t wanted = s && s->watched ? s->events | EPOLLHUP | EPOLLERR : 0;

        /* An earlier callback of this round may have removed it, or asked for something else. */
        if (s && !s->removed && (ev[i].events & wanted))
            s->fd_fn(s->user, ev[i].events & wanted);
    }
    loop_dispatch_own(l);
    loop_run_idle(l);
    loop_sweep(l);
    return 0;
}

int loop_run(struct loop *l, mvm_error **err)
{
    int r = 0;

    /* A run within a callback would free sources that the outer one still names. */
    if (l->running)
        return mvm_fail(err, MVM_E_STATE, 0, "the event loop runs already");
    l->running = true;
    loop_run_idle(l);
    while (r == 0 && !l->stopping)
        r = loop_round(l, -1, err);
    l->running = false;
    l->stopping = false;
    loop_arm(l);
    return r;
}

int loop_run_once(struct loop *l, int timeout_ms, mvm_error **err)
{
    int r = 0;

    if (l->running)
        return mvm_fail(err, MVM_E_STATE, 0, "the event loop runs already");
    l->running = true;
    if (!l->stopping)
        r = loop_round(l, timeout_ms, err);
    l->running = false;
    l->stopping = false;
    loop_arm(l);
    return r;
}
