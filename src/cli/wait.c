/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cli/vm-verb.h"

static int act(mvm_vm *vm, void *user, mvm_error **err)
{
    int status = 0;
    int r = mvm_vm_wait(vm, -1, &status, err);

    (void) user;
    if (r < 0)
        return r;
    printf("%d\n", status);
    return 0;
}

int cli_wait(int argc, char **argv)
{
    static const struct option table[] = { VM_VERB_OPTIONS };
    static const struct vm_verb verb = {
        .name = "wait",
        .help = "Usage: microvm wait VM...\n\n"
                "Waits until each VM has ended, and prints the exit status of its program.\n",
        .letters = ":h",
        .table = table,
        .act = act,
    };

    return vm_verb_run(&verb, argc, argv, NULL);
}
