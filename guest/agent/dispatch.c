/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/dispatch.h"

#include <limits.h>

static const struct bytes_view no_payload;

static struct call *find_call(const struct conn *c, uint32_t id)
{
    for (struct call *call = c->calls; call; call = call->next)
        if (call->id == id && !call->done)
            return call;
    return NULL;
}

/* Ends the stream, and the call if there is one. */
static void refuse(struct conn *c, uint32_t id, enum ttrpc_code code, const char *text)
{
    struct call *call = find_call(c, id);

    if (call)
        call_fail(call, code, text);
    else
        conn_respond(c, id, code, text, no_payload);
}

static void on_deadline(void *user)
{
    call_fail(user, TTRPC_DEADLINE_EXCEEDED, "the call's time is over");
}

static int set_deadline(struct call *call, int64_t timeout_ns, mvm_error **err)
{
    int64_t ms = timeout_ns / 1000000 + (timeout_ns % 1000000 > 0);

    if (timeout_ns <= 0 || ms > INT_MAX) /* 24 days: as good as none */
        return 0;
    return loop_add_timer(call->conn->server->loop, (int) ms, on_deadline, call, &call->deadline,
                          err);
}

void dispatch_free_call(struct call *call)
{
    if (call->type->release)
        call->type->release(call);
    loop_remove(call->deadline);
    free(call);
}

static bool view_is(struct bytes_view v, const char *text)
{
    return v.len == strlen(text) && memcmp(v.data, text, v.len) == 0;
}

static void open_call(struct conn *c, uint32_t id, uint8_t flags, const struct ttrpc_request *m,
                      const struct call_type *type)
{
    struct call *call = calloc(1, sizeof(*call));
    mvm_autoerror mvm_error *why = NULL;
    int r;

    if (!call) {
        conn_respond(c, id, TTRPC_RESOURCE_EXHAUSTED, "out of memory", no_payload);
        return;
    }
    *call = (struct call){ .next = c->calls, .conn = c, .type = type, .id = id };
    call->client_closed = !(flags & TTRPC_REMOTE_OPEN);
    c->calls = call;
    c->n_calls++;
    r = set_deadline(call, m->timeout_ns, &why);
    if (r == 0)
        r = type->open(call, m->payload, &why);
    if (r < 0)
        call_fail_error(call, why);
}

static void request(struct conn *c, const struct ttrpc_header *h, struct bytes_view payload)
{
    mvm_autoerror mvm_error *why = NULL;
    const struct call_type *type;
    struct ttrpc_request m;

    if (ttrpc_request_decode(payload.data, payload.len, &m, &why) < 0)
        return refuse(c, h->stream, TTRPC_INVALID_ARGUMENT, mvm_error_message(why));
    if (c->server->failure)
        return refuse(c, h->stream, TTRPC_FAILED_PRECONDITION, c->server->failure);
    if (!view_is(m.service, AGENT_SERVICE))
        return refuse(c, h->stream, TTRPC_UNIMPLEMENTED, "no such service; " AGENT_SERVICE " is");
    type = call_type_find(m.method);
    if (!type)
        return refuse(c, h->stream, TTRPC_UNIMPLEMENTED, "no such method");
    if (type->client_streams != ((h->flags & TTRPC_REMOTE_OPEN) != 0))
        return refuse(c, h->stream, TTRPC_INVALID_ARGUMENT,
                      type->client_streams ? "this call needs a stream of messages"
                                           : "this call takes one message alone");
    if (type->client_streams && m.payload.len > 0)
        return refuse(c, h->stream, TTRPC_INVALID_ARGUMENT, "messages come after the request");
    conn_sweep(c); /* calls that were answered in this turn are open no more */
    if (c->n_calls >= CONN_CALLS_MAX)
        return refuse(c, h->stream, TTRPC_RESOURCE_EXHAUSTED, "too many calls on a connection");
    open_call(c, h->stream, h->flags, &m, type);
}

/* Streams are new, or the client and we do not mean the same thing by them. */
static bool stream_is_new(struct conn *c, uint32_t id)
{
    if (id % 2 == 0) {
        refuse(c, id, TTRPC_INVALID_ARGUMENT, "a client's stream has an odd number");
        return false;
    }
    if (id <= c->last_id) {
        refuse(c, id, TTRPC_INVALID_ARGUMENT, "numbers of streams grow");
        return false;
    }
    c->last_id = id;
    return true;
}

static void data(struct conn *c, const struct ttrpc_header *h, struct bytes_view payload)
{
    struct call *call = find_call(c, h->stream);
    mvm_autoerror mvm_error *why = NULL;
    int r = 0;

    if (!call && h->stream % 2 == 1 && h->stream <= c->last_id)
        return; /* sent before our response was read */
    if (!call)
        return refuse(c, h->stream, TTRPC_INVALID_ARGUMENT, "no such stream");
    if (call->client_closed)
        return refuse(c, h->stream, TTRPC_INVALID_ARGUMENT, "data after the end of the stream");
    if ((h->flags & TTRPC_NO_DATA) && payload.len > 0)
        return refuse(c, h->stream, TTRPC_INVALID_ARGUMENT, "data in a frame without data");
    if (!(h->flags & TTRPC_NO_DATA))
        r = call->type->message(call, payload, &why);
    if (r == 0 && !call->done && (h->flags & TTRPC_REMOTE_CLOSED)) {
        call->client_closed = true;
        r = call->type->closed(call, &why);
    }
    if (r < 0)
        call_fail_error(call, why);
}

bool dispatch_frame(struct conn *c, const struct ttrpc_header *h, struct bytes_view payload)
{
    switch (h->type) {
    case TTRPC_REQUEST:
        if (stream_is_new(c, h->stream))
            request(c, h, payload);
        return true;
    case TTRPC_DATA:
        data(c, h, payload);
        return true;
    default:
        return false;
    }
}

void dispatch_too_long(struct conn *c, const struct ttrpc_header *h)
{
    if (h->type == TTRPC_REQUEST && !stream_is_new(c, h->stream))
        return;
    if (h->type == TTRPC_DATA && !find_call(c, h->stream) && h->stream <= c->last_id)
        return;
    refuse(c, h->stream, TTRPC_RESOURCE_EXHAUSTED, "the message is too long");
}
