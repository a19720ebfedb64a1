/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of one byte stream: from a descriptor that is read to one that is written, with a
 * bounded buffer between. A stalled reader stops this relay's reading and nothing else.
 */
#ifndef RUNNER_RELAY_H
#define RUNNER_RELAY_H

#include "base/error.h"
#include "base/loop.h"
#include "base/stream-end.h"

#include <stdbool.h>
#include <stdint.h>

#define RELAY_BUFFER_SIZE 65536

enum relay_event {
    RELAY_INPUT_ENDED,   /* nothing more to read; the buffer may still hold bytes */
    RELAY_OUTPUT_BROKEN, /* nobody reads any more; what comes is dropped */
    RELAY_DONE           /* input ended, and all is written */
};
struct relay;
typedef void relay_fn(void *user, struct relay *r, enum relay_event event);

/* The ends are taken over, also on failure. */
int relay_new(struct loop *loop, struct stream_end in, struct stream_end out, relay_fn *fn,
              void *user, struct relay **ret, mvm_error **err);
void relay_free(struct relay *r);
MVM_DEFINE_AUTO(relay, relay_free)

#endif
