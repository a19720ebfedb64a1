/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's ttrpc client, on one connection to the guest's agent, for one loop and its thread.
 *
 * Many calls run at once, each with a stream of its own. What comes back is the guest's word and is
 * checked: an answer that cannot be understood ends its call, a frame that belongs to no call, or
 * no ttrpc, ends the connection and with it every call (MVM_E_NET). A status becomes a code:
 * NOT_FOUND is MVM_E_NOT_FOUND, PERMISSION_DENIED MVM_E_CHILD (a program that cannot be run),
 * DEADLINE_EXCEEDED MVM_E_TIMEOUT, UNIMPLEMENTED MVM_E_UNSUPPORTED; what has no code of its own is
 * MVM_E_GUEST.
 *
 * ttrpc cannot cancel: a call that was given up keeps its stream, and what still comes for it is
 * dropped.
 *
 * Callbacks may start, send on, and cancel calls, and free the client. None is called from within
 * agent_call_start(), agent_call_send() or agent_call_cancel().
 */
#ifndef AGENT_CLIENT_H
#define AGENT_CLIENT_H

#include "agent/agent-limits.h"
#include "agent/ttrpc.h"
#include "base/loop.h"

#include <stdbool.h>

/* Calls that run at once: above what a library's user starts, and small enough for lists. */
#define AGENT_CALLS_MAX 256
/* Bytes that wait to be sent: above the first, agent_call_has_room() says no; above the second,
 * nothing more is taken, which holds a few of the longest messages besides. */
#define AGENT_SEND_HIGH (256u << 10)
#define AGENT_SEND_MAX (4u << 20)
/* How much later than the guest, which knows the deadline, we give a call up. */
#define AGENT_DEADLINE_GRACE_MS 1000

struct agent_client;
struct agent_call;

/* Once, when the connection has ended by itself: after all calls ended. @err is borrowed. */
typedef void agent_closed_fn(void *user, const mvm_error *err);

/* Takes @fd over, also on failure: a connected stream socket. @closed may be NULL. */
int agent_client_new(struct loop *loop, int fd, agent_closed_fn *closed, void *user,
                     struct agent_client **ret, mvm_error **err);
/* Drops the calls that still run; their callbacks are not called any more. */
void agent_client_free(struct agent_client *c);
MVM_DEFINE_AUTO(agent_client, agent_client_free)
struct loop *agent_client_loop(const struct agent_client *c);

enum agent_streams {
    AGENT_STREAMS_NONE,   /* one request, one response */
    AGENT_STREAMS_SERVER, /* messages come before the response */
    AGENT_STREAMS_BOTH    /* ours go, too: agent_call_send() */
};
struct agent_call_handler {
    /* A message of the guest, borrowed. Negative ends the call with that and *err. NULL where
     * streams are NONE. */
    int (*message)(void *user, struct bytes_view message, mvm_error **err);
    /* agent_call_has_room() said no, and would now say yes. May be NULL. */
    void (*room)(void *user);
    /* Once, as the last of this call, which is gone: 0 and the response's payload, or a code and
     * why; both borrowed. */
    void (*ended)(void *user, int r, struct bytes_view payload, const mvm_error *err);
};
struct agent_call_spec {
    const char *method;        /* of AGENT_SERVICE */
    struct bytes_view payload; /* of the request */
    enum agent_streams streams;
    int timeout_ms;                           /* 0: none */
    const struct agent_call_handler *handler; /* outlives the call */
    void *user;
};
/* The call is the client's, and valid until "ended" is called or agent_call_cancel(). MVM_E_NET
 * when the connection has ended, MVM_E_LIMIT for too long a request or too many calls. */
int agent_call_start(struct agent_client *c, const struct agent_call_spec *spec,
                     struct agent_call **ret, mvm_error **err);
/* Queues one message. MVM_E_LIMIT for one that is too long, MVM_E_BUSY above AGENT_SEND_MAX,
 * MVM_E_STATE after agent_call_close(). */
int agent_call_send(struct agent_call *call, struct bytes_view message, mvm_error **err);
/* Whether bulk data should be sent now. Control messages need not ask. */
bool agent_call_has_room(struct agent_call *call);
/* We send no more. Once; later calls do nothing. */
int agent_call_close(struct agent_call *call, mvm_error **err);
/* Gives the call up: nothing of it is called any more. NULL is fine. */
void agent_call_cancel(struct agent_call *call);

/* One unary call, running the loop until it has ended. Appends the response's payload. MVM_E_STATE
 * in a callback. */
int agent_client_call(struct agent_client *c, const char *method, struct bytes_view request,
                      int timeout_ms, struct strbuf *response, mvm_error **err);

/* What a status is for our callers: 0 for TTRPC_OK, else a code with @message, escaped. */
int agent_status_check(int32_t code, struct bytes_view message, mvm_error **err);

#endif
