/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop on epoll: one loop, one thread. Callbacks may add and remove any source, their own
 * included, while it runs. A source is owned by who added it and removed with loop_remove().
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_source;
/* @events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as they came. */
typedef void loop_fd_fn(void *user, uint32_t events);
typedef void loop_timer_fn(void *user);

int loop_new(struct loop **ret, mvm_error **err);
void loop_free(struct loop *l);
MVM_DEFINE_AUTO(loop, loop_free)

/* @fd is borrowed, and must stay open until the source is removed. A regular file, which epoll
 * refuses, counts as always ready for what was asked. @events 0 pauses the source: not even a
 * closed peer is reported then; to wait for that alone, ask for EPOLLHUP. */
int loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *user,
                struct loop_source **ret, mvm_error **err);
int loop_set_events(struct loop_source *s, uint32_t events, mvm_error **err);
/* Once, @delay_ms from now, however long that is; loop_set_timer() winds it up again, negative
 * stops it. */
int loop_add_timer(struct loop *l, int64_t delay_ms, loop_timer_fn *fn, void *user,
                   struct loop_source **ret, mvm_error **err);
void loop_set_timer(struct loop_source *s, int64_t delay_ms);
void loop_remove(struct loop_source *s); /* NULL is fine */

/* What one round of callbacks left to do in common, such as telling a guest once of all that they
 * put into a ring. Called after each round and before the first one; true: there is more to do, so
 * call again after a look at what is ready, without waiting. NULL takes it away. */
typedef bool loop_idle_fn(void *user);
void loop_set_idle(struct loop *l, loop_idle_fn *fn, void *user);

/* Until loop_stop(), which may come first: the run then ends at once. MVM_E_STATE in a callback. */
int loop_run(struct loop *l, mvm_error **err);
void loop_stop(struct loop *l); /* calls no callback after the one that stops */

/* For a caller with a loop of its own: waits up to @timeout_ms (negative: without limit; 0: not at
 * all) until something is ready, and runs what is. MVM_E_STATE in a callback. */
int loop_run_once(struct loop *l, int timeout_ms, mvm_error **err);
/* A descriptor of @l, borrowed, that poll(2) finds readable while loop_run_once() has something to
 * run, be it a timer. */
int loop_get_fd(struct loop *l, int *ret_fd, mvm_error **err);

#endif
