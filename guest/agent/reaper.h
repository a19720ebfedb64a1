/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that waits for children. PID 1 gets every orphan of the guest; a status goes to who
 * watches that process, and nobody else may take it (guest.md W-14). The id of a watched process
 * stays its own until it is told to have ended: it is not reaped before.
 */
#ifndef GUEST_AGENT_REAPER_H
#define GUEST_AGENT_REAPER_H

#include "base/loop.h"

#include <sys/types.h>

/* Statuses taken in one turn of the loop: the guest's programs can make orphans faster than they
 * are reaped, and the agent's clients have to be heard meanwhile. */
#define REAPER_BATCH 64

struct child_watch {
    pid_t pid;
    void (*ended)(void *user, int status); /* @status as of waitpid(2); the watch is off by then */
    void *user;
    struct child_watch *next;
};

struct reaper {
    struct child_watch *watches; /* borrowed list */
    struct loop_source *source;
    int fd;                    /* owned: a signalfd */
    void (*alone)(void *user); /* there is no child left */
    void *user;
};
#define REAPER_INIT  \
    {                \
        .fd = -EBADF \
    }
/* The caller has blocked SIGCHLD. */
int reaper_open(struct reaper *r, struct loop *l, mvm_error **err);
void reaper_close(struct reaper *r);
/* In the same turn of the loop as the fork. */
void reaper_watch(struct reaper *r, struct child_watch *w);
void reaper_unwatch(struct reaper *r, struct child_watch *w); /* one that is off is fine */
/* Hands a status out. */
void reaper_note(struct reaper *r, pid_t pid, int status);
/* Takes statuses; when there are more than REAPER_BATCH, the rest in the next turns. */
void reaper_reap(struct reaper *r);

#endif
