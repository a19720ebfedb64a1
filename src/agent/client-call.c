/* SPDX-License-Identifier: Apache-2.0 */
/* What a caller does with a call. */
#include "agent/client-internal.h"

static void on_deadline(void *user)
{
    struct agent_call *call = user;
    struct agent_client *c = call->client;
    mvm_autoerror mvm_error *err = NULL;
    int r = mvm_fail(&err, MVM_E_TIMEOUT, 0, "the guest's agent did not answer in time");

    c->busy++;
    call_fail(call, r, err);
    client_leave(c);
}

static uint8_t request_flags(enum agent_streams streams)
{
    return streams == AGENT_STREAMS_BOTH     ? TTRPC_REMOTE_OPEN
           : streams == AGENT_STREAMS_SERVER ? TTRPC_REMOTE_CLOSED
                                             : 0;
}

static int check_start(const struct agent_client *c, const struct agent_call_spec *spec,
                       mvm_error **err)
{
    if (c->broken)
        return mvm_fail(err, MVM_E_NET, 0, "the connection to the guest's agent has ended");
    if (c->n_calls >= AGENT_CALLS_MAX || c->next_stream > INT32_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "too many calls to the guest's agent");
    /* What the envelope adds is far below the difference of the guest's limit to ttrpc's. */
    if (spec->payload.len > AGENT_FRAME_MAX - 1024)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%s: request of %zu bytes", spec->method,
                        spec->payload.len);
    return 0;
}

int agent_call_start(struct agent_client *c, const struct agent_call_spec *spec,
                     struct agent_call **ret, mvm_error **err)
{
    const struct ttrpc_request request = {
        .service = { (const uint8_t *) AGENT_SERVICE, strlen(AGENT_SERVICE) },
        .method = { (const uint8_t *) spec->method, strlen(spec->method) },
        .payload = spec->payload,
        .timeout_ns = spec->timeout_ms * INT64_C(1000000)
    };
    mvm_autofree struct agent_call *call = NULL;
    int r = check_start(c, spec, err);

    if (r < 0)
        return r;
    call = calloc(1, sizeof(*call));
    if (!call)
        return mvm_fail_nomem(err);
    call->client = c;
    call->stream = c->next_stream;
    call->streams = spec->streams;
    call->local_closed = spec->streams != AGENT_STREAMS_BOTH;
    call->handler = spec->handler;
    call->user = spec->user;
    if (spec->timeout_ms > 0)
        r = loop_add_timer(c->loop,
                           spec->timeout_ms > INT32_MAX - AGENT_DEADLINE_GRACE_MS
                               ? INT32_MAX
                               : spec->timeout_ms + AGENT_DEADLINE_GRACE_MS,
                           on_deadline, call, &call->timer, err);
    if (r < 0)
        return r;
    ttrpc_request_frame(&request, call->stream, request_flags(spec->streams), client_out(c));
    r = client_push(c, err);
    if (r < 0) {
        loop_remove(call->timer);
        return r;
    }
    c->next_stream += 2;
    call->next = c->calls;
    c->calls = call;
    c->n_calls++;
    *ret = steal_ptr(&call);
    return 0;
}

int agent_call_send(struct agent_call *call, struct bytes_view message, mvm_error **err)
{
    if (call->local_closed)
        return mvm_fail(err, MVM_E_STATE, 0, "the call sends no more");
    if (message.len > AGENT_FRAME_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "message of %zu bytes, at most %u", message.len,
                        AGENT_FRAME_MAX);
    ttrpc_data_frame(message, call->stream, 0, client_out(call->client));
    return client_push(call->client, err);
}

bool agent_call_has_room(struct agent_call *call)
{
    call->wants_room = call->handler->room && client_queued(call->client) >= AGENT_SEND_HIGH;
    return client_queued(call->client) < AGENT_SEND_HIGH;
}

int agent_call_close(struct agent_call *call, mvm_error **err)
{
    if (call->local_closed)
        return 0;
    call->local_closed = true;
    ttrpc_data_frame((struct bytes_view){ .len = 0 }, call->stream,
                     TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, client_out(call->client));
    return client_push(call->client, err);
}

void agent_call_cancel(struct agent_call *call)
{
    if (!call)
        return;
    call_unlink(call);
    free(call);
}
