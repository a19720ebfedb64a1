/* SPDX-License-Identifier: Apache-2.0 */
/* The connection and its calls, as client.c and client-call.c share them. */
#ifndef AGENT_CLIENT_INTERNAL_H
#define AGENT_CLIENT_INTERNAL_H

#include "agent/client.h"

struct agent_call {
    struct agent_client *client; /* borrowed */
    struct agent_call *next;
    uint32_t stream;
    enum agent_streams streams;
    bool local_closed, remote_closed, wants_room;
    struct loop_source *timer; /* owned; NULL: no deadline */
    const struct agent_call_handler *handler;
    void *user;
};

struct agent_client {
    struct loop *loop; /* borrowed */
    int fd;            /* owned */
    struct loop_source *source;
    struct ttrpc_parser parser;
    struct strbuf out;
    size_t sent; /* bytes of @out that are gone */
    uint32_t next_stream;
    struct agent_call *calls; /* owned list */
    size_t n_calls;
    agent_closed_fn *closed;
    void *user;
    unsigned busy; /* callbacks that run; memory stays until they are through */
    bool broken, freed;
};

/* client.c: bytes that wait to be sent. */
size_t client_queued(const struct agent_client *c);
/* Where a frame is added; what was sent makes room first. */
struct strbuf *client_out(struct agent_client *c);
/* After a frame was added: sends at once what goes at once. That the socket is broken comes to
 * light in the loop. */
int client_push(struct agent_client *c, mvm_error **err);
/* After a callback, for which ->busy was counted up: frees a client that was freed meanwhile. */
void client_leave(struct agent_client *c);
/* Takes it out of the client's list and ends its deadline. */
void call_unlink(struct agent_call *call);
/* Ends a call of which something may still come, with the error @err of @r. */
void call_fail(struct agent_call *call, int r, const mvm_error *err);

#endif
