/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program of a client, from its start to the last byte of its output.
 *
 * It has ended for the client when its process has, and all that this process wrote was delivered:
 * what was in its pipes or its terminal at that instant is read, and others that hold them still
 * are not waited for. The main program's end kills those others, and then all that they wrote is
 * delivered too.
 *
 * The end of stdin closes the program's pipe. A terminal cannot be closed for reading alone: it
 * gets the end-of-file character that its settings name, twice when the line before it is not
 * complete (termios(3), VEOF).
 */
#ifndef GUEST_AGENT_SESSION_H
#define GUEST_AGENT_SESSION_H

#include "guest/agent/call.h"
#include "guest/agent/server.h"

/* What the call does about it; the session is not freed within. */
struct session_events {
    void (*started)(struct call *c, pid_t pid, bool reads_stdin);
    size_t (*room)(struct call *c, int stream); /* bytes of stdout (1), stderr (2) that may come */
    void (*output)(struct call *c, int stream, const uint8_t *data, size_t len);
    void (*taken)(struct call *c, size_t len); /* bytes of input that the program has taken */
    void (*exited)(struct call *c, uint32_t status, uint32_t signal);
};

/* @input_max: bytes of stdin that session_input() may have waiting. A program that cannot be
 * started ends the call, now (0, and *@ret is NULL) or later: NOT_FOUND when there is no such
 * program, PERMISSION_DENIED when it cannot be executed. */
int session_new(struct call *c, const struct session_events *events,
                const struct agent_start *start, size_t input_max, struct session **ret,
                mvm_error **err);
/* Kills the program's whole session if it has not ended. NULL is fine. */
void session_free(struct session *s);

int session_input(struct session *s, const uint8_t *data, size_t len, mvm_error **err);
void session_input_end(struct session *s);
void session_signal(struct session *s, int number);
void session_resize(struct session *s, uint16_t rows, uint16_t cols);
void session_output_closed(struct session *s, int stream); /* nobody reads it any more */
/* There may be room where there was none. */
void session_pump(struct session *s);
/* Of the main program: nobody else is left to write. */
void session_release(struct session *s);

#endif
