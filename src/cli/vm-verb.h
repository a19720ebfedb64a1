/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs on VMs that exist share: options of their own, --data-dir, then one or more names,
 * with each of which the same is done. */
#ifndef CLI_VM_VERB_H
#define CLI_VM_VERB_H

#include "cli/cli.h"

/* Stands at the end of each table. */
#define VM_VERB_OPTIONS                                                                            \
    { "data-dir", required_argument, NULL, VM_VERB_DATA_DIR }, { "help", no_argument, NULL, 'h' }, \
    {                                                                                              \
        NULL, 0, NULL, 0                                                                           \
    }
#define VM_VERB_DATA_DIR 255

struct vm_verb {
    const char *name;
    const char *help;
    const char *letters; /* as getopt_long() has it, beginning with ':' */
    const struct option *table;
    /* One option of the verb's own; NULL where it has none. */
    int (*take)(int c, const char *value, void *user, mvm_error **err);
    /* The exit status, or a negative code. */
    int (*act)(mvm_vm *vm, void *user, mvm_error **err);
};
/* Goes on after a failure with one of the names. The status is CLI_STATUS_FAILED then, else that of
 * the last. */
int vm_verb_run(const struct vm_verb *v, int argc, char **argv, void *user);

#endif
