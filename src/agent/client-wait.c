/* SPDX-License-Identifier: Apache-2.0 */
/* A unary call for a caller without a loop of its own. */
#include "agent/client.h"

struct waiting {
    struct strbuf *response;
    mvm_error **err;
    bool ended;
    int r;
};

static void on_ended(void *user, int r, struct bytes_view payload, const mvm_error *err)
{
    struct waiting *w = user;

    w->ended = true;
    w->r = r;
    if (r < 0)
        w->r = mvm_fail(w->err, r, 0, "%s", mvm_error_message(err));
    else if (payload.len > 0)
        strbuf_add(w->response, payload.data, payload.len);
}

int agent_client_call(struct agent_client *c, const char *method, struct bytes_view request,
                      int timeout_ms, struct strbuf *response, mvm_error **err)
{
    static const struct agent_call_handler handler = { .ended = on_ended };
    struct waiting w = { .response = response, .err = err };
    const struct agent_call_spec spec = { .method = method,
                                          .payload = request,
                                          .timeout_ms = timeout_ms,
                                          .handler = &handler,
                                          .user = &w };
    struct agent_call *call = NULL;
    int r = agent_call_start(c, &spec, &call, err);

    while (r == 0 && !w.ended)
        r = loop_run_once(agent_client_loop(c), -1, err);
    if (!w.ended && call)
        agent_call_cancel(call);
    if (r == 0)
        r = w.r;
    if (r == 0)
        r = strbuf_check(response, method, err);
    return r;
}
