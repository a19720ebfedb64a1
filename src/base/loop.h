/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop on epoll: one loop, one thread. Callbacks may add and remove any source, their own
 * included, while it runs. A source is owned by who added it and removed with loop_remove().
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/error.h"
#include "base/mem.h"

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

/* Until loop_stop(), which may come first: the run then ends at once. MVM_E_STATE in a callback. */
int loop_run(struct loop *l, mvm_error **err);
void loop_stop(struct loop *l); /* calls no callback after the one that stops */

#endif
