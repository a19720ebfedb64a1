/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/reaper.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

static void on_signal(void *user, uint32_t events)
{
    struct reaper *r = user;
    struct signalfd_siginfo info;

    (void) events;
    if (read(r->fd, &info, sizeof(info)) > 0) /* one may stand for many children */
        reaper_reap(r);
}

int reaper_open(struct reaper *r, struct loop *l, mvm_error **err)
{
    sigset_t child;

    (void) sigemptyset(&child); /* these two cannot fail */
    (void) sigaddset(&child, SIGCHLD);
    r->fd = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
    if (r->fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "watch for children");
    return loop_add_fd(l, r->fd, EPOLLIN, on_signal, r, &r->source, err);
}

void reaper_close(struct reaper *r)
{
    loop_remove(steal_ptr(&r->source));
    if (r->fd >= 0)
        (void) close(steal_fd(&r->fd));
}

void reaper_watch(struct reaper *r, struct child_watch *w)
{
    w->next = r->watches;
    r->watches = w;
}

void reaper_unwatch(struct reaper *r, struct child_watch *w)
{
    for (struct child_watch **at = &r->watches; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            return;
        }
}

void reaper_note(struct reaper *r, pid_t pid, int status)
{
    for (struct child_watch *w = r->watches; w; w = w->next)
        if (w->pid == pid) {
            reaper_unwatch(r, w);
            w->ended(w->user, status);
            return;
        }
}

void reaper_reap(struct reaper *r)
{
    int status, n = 0;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        reaper_note(r, pid, status);
        if (++n == REAPER_BATCH) {
            (void) raise(SIGCHLD); /* blocked, so that the next turn finds it; cannot fail */
            return;
        }
    }
    if (pid < 0 && errno == ECHILD && r->alone)
        r->alone(r->user);
}
