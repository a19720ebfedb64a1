/* SPDX-License-Identifier: Apache-2.0 */
/* From the frames of a connection to its calls. */
#ifndef GUEST_AGENT_DISPATCH_H
#define GUEST_AGENT_DISPATCH_H

#include "guest/agent/conn.h"

/* False: this is no client's frame, and the connection is to be closed. */
bool dispatch_frame(struct conn *c, const struct ttrpc_header *h, struct bytes_view payload);
/* A frame that was skipped for its length. */
void dispatch_too_long(struct conn *c, const struct ttrpc_header *h);
/* Of a call that is in no list any more. */
void dispatch_free_call(struct call *call);

#endif
