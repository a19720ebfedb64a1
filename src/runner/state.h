/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.json in a VM's folder: what the VM is, since when, and how it ended. Written by the library
 * before the start and by the runner at the end, while either holds the folder's lock; read by
 * anybody. The one encoder and decoder. That a VM runs is told by the lock alone, never by this.
 */
#ifndef RUNNER_STATE_H
#define RUNNER_STATE_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#define VM_STATE_FILE "state.json"
/* 128 random bits as hexadecimal digits. */
#define VM_STATE_ID_LEN 32

struct vm_state {
    char id[VM_STATE_ID_LEN + 1];
    char *name;        /* owned */
    char *image;       /* owned: as the caller named it */
    char *digest;      /* owned: of its manifest */
    bool remove;       /* the folder goes at the end */
    int64_t started_s; /* since 1970 */
    int64_t ended_s;   /* 0: it has not, or was killed before it could say so */
    int status;        /* of the program, 0 to 255; -1: none */
    char *message;     /* owned: why, where it was not the program's own doing; NULL: nothing */
};
#define VM_STATE_NONE \
    {                 \
        .status = -1  \
    }
void vm_state_deinit(struct vm_state *s);
MVM_DEFINE_AUTOVALUE(vm_state, vm_state_deinit)

int vm_state_write(int dir_fd, const struct vm_state *s, mvm_error **err);
/* MVM_E_NOT_FOUND: there is none, or an empty one, as a crash of the system leaves it. @ret must be
 * VM_STATE_NONE. */
int vm_state_read(int dir_fd, struct vm_state *ret, mvm_error **err);
/* Adds to the state that is there how the VM ended, now. @status negative: without one. */
int vm_state_end(int dir_fd, int status, const char *message, mvm_error **err);

#endif
