/* SPDX-License-Identifier: Apache-2.0 */
/* One program's state, as exec-client.c and exec-output.c share it. */
#ifndef AGENT_EXEC_INTERNAL_H
#define AGENT_EXEC_INTERNAL_H

#include "agent/exec-client.h"
#include "base/stream-end.h"

enum exec_state {
    EXEC_STARTING,
    EXEC_RUNNING,
    EXEC_EXITED
};

struct exec_output {
    struct exec_client *exec; /* borrowed */
    uint32_t number;          /* 1 stdout, 2 stderr */
    struct stream_end end;
    struct loop_source *source; /* while there is something to write */
    struct strbuf buffer;
    size_t start;       /* bytes of @buffer that were written */
    uint32_t window;    /* bytes that may still come */
    uint32_t written;   /* bytes whose room was not granted again yet */
    uint64_t received;  /* bytes in all */
    uint64_t delivered; /* of them, written or dropped */
    bool closed;        /* nobody reads: what comes is dropped */
};

struct exec_client {
    struct loop *loop;       /* borrowed */
    struct agent_call *call; /* NULL once it has ended */
    enum exec_state state;
    struct exec_output outputs[2];
    struct stream_end input;
    struct loop_source *input_source;
    uint64_t input_window;
    const struct exec_client_handler *handler;
    void *user;
    int r; /* how the call ended */
    uint32_t status, signal_number;
    mvm_error *error;
    uint8_t chunk[AGENT_DATA_MAX];
};

/* exec-client.c: MVM_E_STATE once the call has ended. */
int exec_send(struct exec_client *e, const struct agent_input *m, mvm_error **err);
/* Ends the call with what failed here; takes @err over. */
void exec_fail(struct exec_client *e, int r, mvm_error *err);
/* Tells the caller, once the call has ended and its output is written. The last thing to do, since
 * the caller may free @e then. */
void exec_check_end(struct exec_client *e);

/* exec-output.c: what the program wrote, within its window. */
int exec_output_take(struct exec_output *o, struct bytes_view data, mvm_error **err);

#endif
