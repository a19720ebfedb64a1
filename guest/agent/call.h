/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of a client, from its request to its response. A method is a table of steps; each gives
 * 0, or an error that ends the call with the status that fits (call_fail_error()). A call that has
 * been answered is released when the current event is over, and hears nothing before.
 */
#ifndef GUEST_AGENT_CALL_H
#define GUEST_AGENT_CALL_H

#include "agent/ttrpc.h"
#include "base/loop.h"

#include <stdbool.h>

struct call;
struct conn;
struct server;

struct call_type {
    const char *method;
    bool client_streams; /* the client's messages follow its request, which is empty */
    int (*open)(struct call *c, struct bytes_view request, mvm_error **err);
    int (*message)(struct call *c, struct bytes_view message, mvm_error **err);
    int (*closed)(struct call *c, mvm_error **err); /* the client's side has ended */
    int (*room)(struct call *c, mvm_error **err);   /* the queue has room: go on */
    void (*release)(struct call *c);                /* frees state, whatever became of the call */
};

struct call {
    struct call *next;
    struct conn *conn; /* borrowed */
    const struct call_type *type;
    uint32_t id;
    bool client_closed;
    bool done;
    struct loop_source *deadline; /* owned; NULL: none */
    void *state;                  /* of the method */
};

/* NULL: no such method. */
const struct call_type *call_type_find(struct bytes_view method);

struct server *call_server(const struct call *c);
/* The buffer for the message that is to be sent next, empty. */
struct strbuf *call_message(struct call *c);
/* Sends what call_message() got. call_answer() ends the call with it, and with an error should it
 * not have been encoded. */
int call_send(struct call *c, mvm_error **err);
void call_answer(struct call *c);
void call_fail(struct call *c, enum ttrpc_code code, const char *text);
void call_fail_error(struct call *c, const mvm_error *why);
/* More may be read for the client. */
bool call_has_room(const struct call *c);
/* The room step is to be called again, in a later turn. */
void call_again(struct call *c);

#endif
