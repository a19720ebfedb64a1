/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest agent: what agent.proto says, for any number of ttrpc connections, in one loop and one
 * thread. Nothing here waits for a client: what one does not read stalls its own connection alone.
 *
 * The machine's end. The main program ends, by itself or by Shutdown: everything else is killed,
 * its output is delivered, and then the machine ends when the main program's client closes its
 * connection, SERVER_FAREWELL_MS after the last byte at the latest. A client that vanishes takes
 * its programs with it, the main one too.
 */
#ifndef GUEST_AGENT_SERVER_H
#define GUEST_AGENT_SERVER_H

#include "guest/agent/limits.h"
#include "guest/agent/machine.h"
#include "guest/agent/reaper.h"

#include "base/loop.h"
#include "base/strbuf.h"

struct conn;
struct session;

enum main_state {
    MAIN_NONE,    /* was not asked for */
    MAIN_RUNNING, /* started, or being started */
    MAIN_ENDED
};

struct server {
    struct loop *loop;                   /* borrowed */
    const struct agent_machine *machine; /* borrowed */
    char *failure; /* owned; why the guest did not boot: the answer to every call */
    struct reaper reaper;
    struct conn *conns; /* owned list */
    unsigned n_conns;
    unsigned n_sessions;
    unsigned n_runs;
    unsigned n_trees;
    enum main_state main;
    struct session *main_session;    /* borrowed: while its output may still come */
    pid_t main_pid;                  /* 0: does not run */
    bool stopping;                   /* by Shutdown */
    bool farewell;                   /* end_timer runs for the last time */
    struct loop_source *grace_timer; /* the main program's time after SIGTERM */
    struct loop_source *reap_timer;  /* of what the main program left behind */
    struct loop_source *end_timer;   /* the machine ends */
    struct strbuf message;           /* of the one being encoded */
    uint8_t *buffer;                 /* owned: AGENT_DATA_MAX bytes for one read */
};

/* @failure: NULL, or why the guest did not boot. The machine then ends when the first client
 * leaves, or after SERVER_FAREWELL_MS. */
int server_init(struct server *s, struct loop *l, const struct agent_machine *machine,
                const char *failure, mvm_error **err);
void server_deinit(struct server *s);

/* Takes @fd over, a non-blocking stream socket; @connecting: the connection is not there yet. Too
 * many: it is closed, MVM_E_LIMIT. */
int server_add(struct server *s, int fd, bool connecting, mvm_error **err);

/* A connection that ends the machine has nothing more to say: it has SERVER_FAREWELL_MS. */
void server_farewell(struct server *s);

/* For the calls. Refuses a new program when the machine ends, or too many run. */
int server_may_start(const struct server *s, bool is_main, mvm_error **err);
/* One more in n_trees, which whoever calls this lowers again. */
int server_add_tree(struct server *s, mvm_error **err);
void server_main_started(struct server *s, struct session *session, pid_t pid);
void server_main_failed(struct server *s, struct conn *c); /* it could not be started */
void server_main_ended(struct server *s); /* the process; its output may still come */
void server_main_delivered(struct server *s, struct conn *c); /* all of its output */
void server_main_dropped(struct server *s);                   /* its client has gone */
void server_shutdown(struct server *s, struct conn *c, uint32_t grace_ms);

#endif
