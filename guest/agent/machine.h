/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent does to the machine around it, as a table: microvm-init gives the real one
 * (machine_real()), the tests one that does not end their host, the fuzz target one that starts no
 * program.
 */
#ifndef GUEST_AGENT_MACHINE_H
#define GUEST_AGENT_MACHINE_H

#include "agent/boot-config.h"
#include "agent/krun-config.h"
#include "agent/messages.h"
#include "guest/init/program.h"

#include <stdbool.h>

/* What the VM's configs say of its programs, borrowed, and who they run as. */
struct agent_image {
    struct user_cache users;
    const struct krun_config *config;
    const struct boot_config *boot;
    const char *hostname;
};

struct agent_machine {
    void *user; /* the first argument of every call */
    int (*start)(void *user, const struct agent_start *start, struct program *ret, mvm_error **err);
    void (*signal)(void *user, pid_t pid, int number); /* to the group that @pid leads */
    void (*kill_session)(void *user, pid_t pid);       /* the session that @pid leads, @pid too */
    void (*kill_all)(void *user);                      /* every process but this one */
    void (*sync)(void *user);                          /* what was written is on the disks */
    int (*set_clock)(void *user, int64_t unix_ns, mvm_error **err);
    void (*end)(void *user); /* the machine is to end; may be told twice */
    int root_fd;             /* borrowed: where the paths of file calls start */
    bool ssh;                /* an SSH server is linked in and not disabled */
};

/* The real ones; user is not used but by start, where it is a struct agent_image. */
int machine_start(void *user, const struct agent_start *start, struct program *ret,
                  mvm_error **err);
void machine_signal(void *user, pid_t pid, int number);
void machine_kill_session(void *user, pid_t pid);
/* A round of that over /proc: kills who runs. True: somebody did. */
bool machine_kill_members(pid_t session);
void machine_kill_all(void *user);
void machine_sync(void *user);
int machine_set_clock(void *user, int64_t unix_ns, mvm_error **err);

#endif
