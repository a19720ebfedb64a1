/* SPDX-License-Identifier: Apache-2.0 */
/* A program of the guest: its three streams or its terminal, its user, and its start. */
#ifndef INIT_PROGRAM_H
#define INIT_PROGRAM_H

#include "guest/init/user.h"

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

/* Descriptors of one program, soft and hard: programs that use select(2) break above the one, and
 * servers raise it to the other, which is the kernel's maximum (fs.nr_open). */
#define PROGRAM_FILES_SOFT 1024
#define PROGRAM_FILES_HARD 1048576

struct program_spec {
    const struct strv *argv;
    const struct strv *env;
    const char *workdir; /* "/" stands before a relative one */
    bool make_workdir;   /* when it is not there, as docker run does and docker exec does not */
    const struct user *user;
    bool tty;
    bool stdin_open;
    uint16_t rows, cols;
};

/* Our ends, all non-blocking. */
struct program {
    pid_t pid;       /* leads a session and a process group of its own */
    int in_fd;       /* owned; -EBADF: a terminal, or no stdin */
    int out_fd;      /* owned; -EBADF: a terminal */
    int err_fd;      /* owned; -EBADF: a terminal */
    int terminal_fd; /* owned; -EBADF: none */
    bool reads_stdin;
    int report_fd; /* owned: what program_report() reads; watch it for input */
};
#define PROGRAM_NONE                                                                \
    {                                                                               \
        .in_fd = -EBADF, .out_fd = -EBADF, .err_fd = -EBADF, .terminal_fd = -EBADF, \
        .report_fd = -EBADF                                                         \
    }
void program_deinit(struct program *p);
MVM_DEFINE_AUTOVALUE(program, program_deinit)

/* Forks. Whether the program could be executed is told by program_report(), which does not make the
 * caller wait for a file system. */
int program_start(const struct program_spec *spec, struct program *ret, mvm_error **err);
/* 1: it runs, or has run. 0: not known yet. MVM_E_NOT_FOUND: no such program. MVM_E_CHILD: it is
 * there and cannot be executed. Anything else is a failure before that. */
int program_report(const struct program *p, mvm_error **err);

#endif
