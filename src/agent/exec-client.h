/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program in the guest, from its start to its exit status, with its streams.
 *
 * The connection to the agent has back-pressure only as a whole, so that each stream has a window
 * of its own (ExecInput.window, ExecOutput.stdin_window): what the reader of one output leaves
 * standing stops that output and nothing else, neither the other one nor signals. Of an output at
 * most AGENT_WINDOW bytes are held here.
 */
#ifndef AGENT_EXEC_CLIENT_H
#define AGENT_EXEC_CLIENT_H

#include "agent/client.h"
#include "agent/messages.h"

struct exec_client;

struct exec_client_handler {
    void (*started)(void *user, uint32_t pid); /* may be NULL; must not free the exec_client */
    /* Once, last, when all output has been written or its reader has gone: 0 and how the program
     * ended, or a code and why (MVM_E_NOT_FOUND: no such program, MVM_E_CHILD: it cannot be run;
     * else it is not the program's fault). @err is borrowed. May free the exec_client. */
    void (*ended)(void *user, int r, uint32_t status, uint32_t signal_number, const mvm_error *err);
};
struct exec_client_spec {
    const struct agent_start *start; /* stdin_open and output_window are ours */
    /* stdin, stdout, stderr: taken over, also on failure. Negative: stdin is at its end; an output
     * is read and dropped. */
    int fds[3];
    const struct exec_client_handler *handler; /* outlives the exec_client */
    void *user;
};

/* @c lives until "ended" was called or *ret is freed. */
int exec_client_new(struct agent_client *c, const struct exec_client_spec *spec,
                    struct exec_client **ret, mvm_error **err);
/* Ends nothing in the guest: a program that still runs goes on, until its output fills the window
 * that it has. */
void exec_client_free(struct exec_client *e);
MVM_DEFINE_AUTO(exec_client, exec_client_free)
/* 1 to AGENT_SIGNAL_MAX, to the program's process group. MVM_E_STATE once it has ended; so the
 * next. */
int exec_client_signal(struct exec_client *e, int number, mvm_error **err);
/* True once the guest has told how the program ended, though output may still wait for its reader.
 */
bool exec_client_has_exited(const struct exec_client *e, uint32_t *ret_status);
/* Bytes of output so far: those that came, and of them those that were written, or dropped for want
 * of a reader. */
uint64_t exec_client_received(const struct exec_client *e);
uint64_t exec_client_delivered(const struct exec_client *e);
int exec_client_resize(struct exec_client *e, uint16_t rows, uint16_t cols, mvm_error **err);

#endif
