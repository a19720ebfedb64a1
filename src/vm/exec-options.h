/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VM_EXEC_OPTIONS_H
#define VM_EXEC_OPTIONS_H

#include "agent/messages.h"

#include <microvm/exec.h>

struct mvm_exec_options {
    struct agent_start start;
    int stdio[3]; /* borrowed */
};

#endif
