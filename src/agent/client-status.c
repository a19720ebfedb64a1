/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/client.h"

/* Bytes of the guest's text that are kept: an error's chain has room for more than one. */
#define STATUS_TEXT_MAX 1000

static int status_code(int32_t code)
{
    switch (code) {
    case TTRPC_CANCELLED:
        return MVM_E_CANCELLED;
    case TTRPC_INVALID_ARGUMENT:
    case TTRPC_OUT_OF_RANGE:
        return MVM_E_ARG;
    case TTRPC_DEADLINE_EXCEEDED:
        return MVM_E_TIMEOUT;
    case TTRPC_NOT_FOUND:
        return MVM_E_NOT_FOUND;
    case TTRPC_ALREADY_EXISTS:
        return MVM_E_EXISTS;
    case TTRPC_PERMISSION_DENIED:
        return MVM_E_CHILD;
    case TTRPC_RESOURCE_EXHAUSTED:
        return MVM_E_LIMIT;
    case TTRPC_FAILED_PRECONDITION:
        return MVM_E_STATE;
    case TTRPC_ABORTED:
        return MVM_E_BUSY;
    case TTRPC_UNIMPLEMENTED:
        return MVM_E_UNSUPPORTED;
    case TTRPC_UNAVAILABLE:
        return MVM_E_NET;
    default:
        return MVM_E_GUEST;
    }
}

int agent_status_check(int32_t code, struct bytes_view message, mvm_error **err)
{
    int len = message.len < STATUS_TEXT_MAX ? (int) message.len : STATUS_TEXT_MAX;

    if (code == TTRPC_OK)
        return 0;
    if (len == 0)
        return mvm_fail(err, status_code(code), 0, "the guest's agent answered with status %d",
                        code);
    return mvm_fail(err, status_code(code), 0, "%.*s", len, (const char *) message.data);
}
