/* SPDX-License-Identifier: Apache-2.0 */
/* For session.c and session-io.c: a program's streams, and what moves their bytes. */
#ifndef GUEST_AGENT_SESSION_INTERNAL_H
#define GUEST_AGENT_SESSION_INTERNAL_H

#include "guest/agent/session.h"

/* VEOF, twice. */
#define SESSION_INPUT_EXTRA 2

/* At least so much is read of each output after the end: what a terminal holds at most, of which no
 * call tells how much it is. */
#define SESSION_DRAIN_MIN 131072

struct outlet {
    struct session *session;
    int stream; /* 1 or 2 */
    int fd;     /* borrowed of the program; -EBADF: none, or closed */
    struct loop_source *source;
    size_t left; /* once draining: bytes that the program may still have in it */
    bool done;
};

struct session {
    struct server *server;
    struct call *call; /* borrowed */
    const struct session_events *events;
    struct program program; /* owned */
    struct child_watch child;
    struct loop_source *report;
    struct outlet out[2];
    struct loop_source *in_source; /* of a pipe: the terminal has out[0]'s */
    struct strbuf input;
    size_t input_at;
    uint8_t last_input;
    bool input_ending; /* nothing follows what is in @input */
    bool input_done;   /* and the program was told */
    bool is_main;
    bool started;
    bool ended;
    bool held;     /* others may still write, and what they write counts */
    bool draining; /* what is in the outlets is all */
    bool told;     /* of the end */
    int status;
};

static inline bool has_terminal(const struct session *s)
{
    return s->program.terminal_fd >= 0;
}

static inline size_t input_waiting(const struct session *s)
{
    return s->input.len - s->input_at;
}

/* Gives the program what it takes of its input, and then, if so, the end. */
void input_pump(struct session *s);
/* Nobody reads what waits, or @n bytes of it were written. */
void input_consumed(struct session *s, size_t n);

/* One read; false when there is nothing to be read now. */
bool outlet_read(struct outlet *o);
void outlet_close(struct outlet *o);
/* The program has ended: what is in the outlets by now is all that counts. */
void outlets_drain(struct session *s);
/* Reads what there is room for. True: all of it was read. */
bool outlets_are_empty(struct session *s);

#endif
