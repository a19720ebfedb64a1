/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cli/vm-verb.h"

static int take(int c, const char *value, void *user, mvm_error **err)
{
    bool *force = user;

    (void) c;
    (void) value;
    (void) err;
    *force = true;
    return 0;
}

static int act(mvm_vm *vm, void *user, mvm_error **err)
{
    const bool *force = user;
    int r = mvm_vm_remove(vm, *force, err);

    if (r == MVM_E_BUSY && !*force)
        return mvm_fail(err, r, 0, "'%s' runs: 'microvm stop %s' first, or 'rm -f'",
                        mvm_vm_name(vm), mvm_vm_name(vm));
    if (r == 0)
        printf("%s\n", mvm_vm_name(vm));
    return r;
}

int cli_rm(int argc, char **argv)
{
    static const struct option table[] = { { "force", no_argument, NULL, 'f' }, VM_VERB_OPTIONS };
    static const struct vm_verb verb = {
        .name = "rm",
        .help = "Usage: microvm rm [-f] VM...\n\n"
                "Removes what is kept of VMs that have ended; -f ends those that run.\n",
        .letters = ":fh",
        .table = table,
        .take = take,
        .act = act,
    };
    bool force = false;

    return vm_verb_run(&verb, argc, argv, &force);
}
