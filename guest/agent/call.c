/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/call.h"

#include "guest/agent/conn.h"
#include "guest/agent/methods.h"

static const struct call_type *const types[] = {
    &call_health, &call_exec,  &call_run,   &call_stat,  &call_list,
    &call_read,   &call_write, &call_stats, &call_clock, &call_shutdown,
};

const struct call_type *call_type_find(struct bytes_view method)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (method.len == strlen(types[i]->method) &&
            memcmp(method.data, types[i]->method, method.len) == 0)
            return types[i];
    return NULL;
}

struct server *call_server(const struct call *c)
{
    return c->conn->server;
}

struct strbuf *call_message(struct call *c)
{
    struct strbuf *message = &c->conn->server->message;

    strbuf_reset(message);
    return message;
}

static struct bytes_view message_view(const struct call *c)
{
    const struct strbuf *m = &c->conn->server->message;

    return (struct bytes_view){ .data = (const uint8_t *) strbuf_str(m), .len = m->len };
}

int call_send(struct call *c, mvm_error **err)
{
    int r = strbuf_check(&c->conn->server->message, "message", err);

    if (r == 0) {
        ttrpc_data_frame(message_view(c), c->id, 0, &c->conn->out);
        conn_kick(c->conn);
    }
    return r;
}

void call_answer(struct call *c)
{
    mvm_autoerror mvm_error *why = NULL;

    if (strbuf_check(&c->conn->server->message, "answer", &why) < 0)
        return call_fail_error(c, why);
    if (!c->done)
        conn_respond(c->conn, c->id, TTRPC_OK, "", message_view(c));
    c->done = true;
}

void call_fail(struct call *c, enum ttrpc_code code, const char *text)
{
    if (!c->done)
        conn_respond(c->conn, c->id, code, text, (struct bytes_view){ .len = 0 });
    c->done = true;
}

static enum ttrpc_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return TTRPC_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
    case EISDIR:
        return TTRPC_ALREADY_EXISTS;
    case EACCES:
    case EPERM:
        return TTRPC_PERMISSION_DENIED;
    case EINVAL:
    case ELOOP:
    case EXDEV:
    case ENAMETOOLONG:
        return TTRPC_INVALID_ARGUMENT;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENOMEM:
        return TTRPC_RESOURCE_EXHAUSTED;
    case EROFS:
    case EBUSY:
    case ETXTBSY:
        return TTRPC_FAILED_PRECONDITION;
    default:
        return TTRPC_INTERNAL;
    }
}

static enum ttrpc_code code_of(const mvm_error *why)
{
    switch (mvm_error_code(why)) {
    case MVM_E_ARG:
    case MVM_E_FORMAT:
        return TTRPC_INVALID_ARGUMENT;
    case MVM_E_LIMIT:
    case MVM_E_NOMEM:
        return TTRPC_RESOURCE_EXHAUSTED;
    case MVM_E_NOT_FOUND:
        return TTRPC_NOT_FOUND;
    case MVM_E_EXISTS:
        return TTRPC_ALREADY_EXISTS;
    case MVM_E_CHILD:
        return TTRPC_PERMISSION_DENIED;
    case MVM_E_STATE:
        return TTRPC_FAILED_PRECONDITION;
    case MVM_E_CANCELLED:
        return TTRPC_ABORTED;
    case MVM_E_SYS:
        return code_of_errno(mvm_error_errno(why));
    default:
        return TTRPC_INTERNAL;
    }
}

void call_fail_error(struct call *c, const mvm_error *why)
{
    call_fail(c, code_of(why), mvm_error_message(why));
}

bool call_has_room(const struct call *c)
{
    return !c->done && conn_has_room(c->conn);
}

void call_again(struct call *c)
{
    conn_kick(c->conn);
}
