/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: frames in, a queue of bytes out, and the calls that are open on it.
 *
 * Frames are taken from the socket as fast as their answers leave: above CONN_QUEUE_STOP waiting
 * bytes nothing is read any more, so that a client which sends and does not read fills its own
 * socket. What breaks ttrpc itself closes the connection; what is wrong with one stream ends that
 * stream with a status.
 */
#ifndef GUEST_AGENT_CONN_H
#define GUEST_AGENT_CONN_H

#include "guest/agent/call.h"
#include "guest/agent/server.h"

struct conn {
    struct conn *next;
    struct server *server; /* borrowed */
    int fd;                /* owned */
    bool connecting;
    bool dead;         /* to be freed when the current event is over */
    bool paused;       /* frames wait in the parser for the queue to drain */
    bool ends_machine; /* its end is the machine's */
    struct loop_source *source;
    struct loop_source *kick; /* runs conn_service() at the end of the turn */
    struct ttrpc_parser parser;
    struct strbuf out;
    size_t sent;        /* bytes of @out that are gone */
    struct call *calls; /* owned list */
    unsigned n_calls;
    uint32_t last_id; /* the newest stream */
};

/* Takes @fd over, on failure too. */
int conn_new(struct server *s, int fd, bool connecting, struct conn **ret, mvm_error **err);
void conn_free(struct conn *c); /* NULL is fine; its calls are released */
/* Releases the calls that have been answered, or all of a dead connection. Not within a call's own
 * step. */
void conn_sweep(struct conn *c);
bool conn_has_room(const struct conn *c);
/* There is something to send, or to clean up: when the turn ends. */
void conn_kick(struct conn *c);
/* A response, and so the end of a stream, whether a call is open on it or not. */
void conn_respond(struct conn *c, uint32_t stream, enum ttrpc_code code, const char *text,
                  struct bytes_view payload);

#endif
