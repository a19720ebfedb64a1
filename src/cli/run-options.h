/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `microvm run`. */
#ifndef CLI_RUN_OPTIONS_H
#define CLI_RUN_OPTIONS_H

#include "base/mem.h"
#include "cli/cli.h"

struct run_request {
    mvm_options *options; /* owned */
    bool interactive;
    bool tty;
    bool detached;
    bool debug;
};

static inline void request_deinit(struct run_request *q)
{
    mvm_options_free(q->options);
}
MVM_DEFINE_AUTOVALUE(run_request, request_deinit)

/* Negative: go on, with what follows the options at argv[optind]. Else done, with that exit status.
 */
int run_options_take(int argc, char **argv, struct run_request *q);

#endif
