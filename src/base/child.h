/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes by pidfd. A child gets exactly the descriptors that are listed; a failed exec
 * comes back as an error of child_spawn(). Only our own children are ever reaped, by
 * waitid(P_PIDFD).
 */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>
#include <sys/types.h>

struct child {
    pid_t pid; /* 0: none */
    int pidfd; /* owned; -EBADF: none */
};
#define CHILD_NONE                \
    {                             \
        .pid = 0, .pidfd = -EBADF \
    }

/* Descriptors that a child may be given, and the end of their numbers: a machine has one for each
 * layer of its image. */
#define CHILD_FDS_MAX 640

struct child_fd {
    int from; /* a descriptor of ours, borrowed */
    int to;   /* its number in the child */
};

struct child_status {
    bool exited; /* else ended by a signal */
    int code;    /* exit status, or signal number */
};

struct child_spec {
    const char *path;           /* program; NULL: argv[0], found through our PATH */
    char *const *argv;          /* NULL-ended */
    char *const *envp;          /* NULL-ended; NULL: ours */
    const struct child_fd *fds; /* at most CHILD_FDS_MAX, numbers below it; 0, 1, 2 not listed:
                                 * /dev/null */
    size_t n_fds;
    bool new_session; /* setsid */
    int death_signal; /* sent when the spawning thread ends (PR_SET_PDEATHSIG); 0: none */
    int cwd_fd;       /* 0: ours (descriptor 0 is never a directory here) */
    /* Runs in the child just before exec, with only async-signal-safe calls; a non-zero result is
     * the errno that child_spawn() reports. NULL: nothing. One that changes user or group loses the
     * death signal (prctl(2)) and asks for it again. */
    int (*prepare)(void *user);
    void *prepare_user;
    /* For child_run() alone. @watch is asked many times a second; anything but 0 ends the program
     * (SIGTERM, which make passes on, and SIGKILL after @end_ms; 0: 5 s) and the run with
     * MVM_E_CANCELLED. Both outputs go to @output_fd where that is above 0, and none is kept. */
    int (*watch)(void *user);
    void *watch_user;
    int end_ms;
    int output_fd;
    /* For child_run() alone: how the program ended goes there, and is then no error. NULL: see
     * below. */
    struct child_status *ret_status;
};

/* The child's signal mask is empty and all handlers are default. */
int child_spawn(const struct child_spec *spec, struct child *ret, mvm_error **err);
/* Waits and reaps. @timeout_ms negative: no limit. MVM_E_TIMEOUT when it still runs. */
int child_wait(struct child *c, int timeout_ms, struct child_status *ret, mvm_error **err);
/* No error when it has ended already. */
int child_kill(const struct child *c, int signal_number, mvm_error **err);
/* Kills with SIGKILL and reaps, when still running; closes. Twice is fine. */
void child_deinit(struct child *c);
MVM_DEFINE_AUTOVALUE(child, child_deinit)

/* Runs a program to its end. Its output (stdout, and stderr apart) is kept up to @max bytes each;
 * NULL: dropped to /dev/null. A status other than 0 is MVM_E_CHILD whose message has the last line
 * of its stderr. */
int child_run(const struct child_spec *spec, int timeout_ms, size_t max, char **ret_stdout,
              mvm_error **err);

#endif
