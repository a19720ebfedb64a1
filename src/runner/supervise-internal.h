/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the supervisor share: its life (supervise.c), and what it listens to
 * (supervise-connect.c). */
#ifndef RUNNER_SUPERVISE_INTERNAL_H
#define RUNNER_SUPERVISE_INTERNAL_H

#include "agent/exec-client.h"
#include "base/loop.h"
#include "runner/console.h"
#include "runner/control-server.h"
#include "runner/start.h"
#include "runner/supervise.h"

struct supervisor {
    const struct runner_config *config;
    const struct log *log;
    struct loop *loop;
    int dir_fd;    /* owned: the VM's folder */
    int signal_fd; /* owned */
    struct started started;
    struct listener control_listener;
    struct control_server *control;
    struct loop_source *machine_source, *vsock_source, *control_source, *signal_source;
    struct loop_source *limit_timer; /* of the boot, then of the program, then of its grace */
    struct loop_source *stop_timer;  /* the grace of a stop, or of output that nobody takes */
    struct console *console;
    struct console *output; /* of a detached VM's program; else NULL */
    struct agent_client *agent;
    struct exec_client *program;
    bool running, stopping, timed_out;
    bool at_once;      /* the end that was asked for has no grace */
    bool released;     /* who started a detached VM has let go of it */
    bool limit_passed; /* the grace after it runs */
    bool agent_gone, machine_gone, caller_gone, finished;
    int told_to_end;  /* the first signal that asked for that; 0: none */
    uint64_t written; /* output, when the stop timer last passed */
    struct child_status machine_status;
    struct control_message result;
};

/* Ends the VM, with the first reason that is given. */
void supervise_finish(struct supervisor *s, enum control_type type, int number, const char *fmt,
                      ...) __attribute__((format(printf, 4, 5)));
void supervise_tell(struct supervisor *s, const struct control_message *m);

/* What is heard of: each is called from the loop. */
void supervise_on_limit_timer(void *user);
void supervise_on_stop_timer(void *user);
void supervise_on_wish(void *user, const struct control_message *m);
void supervise_on_started(void *user, uint32_t pid);
void supervise_on_program(void *user, int r, uint32_t status, uint32_t signal_number,
                          const mvm_error *err);
void supervise_on_agent_closed(void *user, const mvm_error *err);
void supervise_on_machine(struct supervisor *s);

/* Loop, signals and control sockets, before anything is started: a caller who goes away meanwhile
 * is noticed. */
int supervise_connect_callers(struct supervisor *s, mvm_error **err);
/* The machine, its console, the agent and the program, once s->started is there. */
int supervise_connect_guest(struct supervisor *s, mvm_error **err);

#endif
