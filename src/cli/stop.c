/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/scan.h"
#include "cli/vm-verb.h"

#include <limits.h>

/* Seconds that a program has after SIGTERM, as docker has it. */
#define STOP_SECONDS 10
/* Milliseconds beyond its grace that a VM has to be gone. */
#define STOP_LEAVE_MS 20000

static int take(int c, const char *value, void *user, mvm_error **err)
{
    uint64_t seconds = 0;
    int *grace_ms = user;

    (void) c;
    if (!scan_u64(value, strlen(value), (INT_MAX - STOP_LEAVE_MS) / 1000, &seconds))
        return mvm_fail(err, MVM_E_ARG, 0, "stop: --time '%s': seconds are wanted", value);
    *grace_ms = (int) seconds * 1000;
    return 0;
}

static int act(mvm_vm *vm, void *user, mvm_error **err)
{
    const int *grace_ms = user;
    int status = 0, r;

    r = mvm_vm_stop(vm, *grace_ms, err);
    if (r < 0)
        return r;
    /* How it ended is not asked for here: a VM without a status has ended as well. */
    if (mvm_vm_wait(vm, *grace_ms + STOP_LEAVE_MS, &status, NULL) == MVM_E_TIMEOUT)
        return mvm_fail(err, MVM_E_TIMEOUT, 0, "'%s' does not end", mvm_vm_name(vm));
    printf("%s\n", mvm_vm_name(vm));
    return 0;
}

int cli_stop(int argc, char **argv)
{
    static const struct option table[] = { { "time", required_argument, NULL, 't' },
                                           VM_VERB_OPTIONS };
    static const struct vm_verb verb = {
        .name = "stop",
        .help = "Usage: microvm stop [-t SECONDS] VM...\n\n"
                "Sends SIGTERM to the VM's program, and ends the VM after SECONDS (10).\n",
        .letters = ":t:h",
        .table = table,
        .take = take,
        .act = act,
    };
    int grace_ms = STOP_SECONDS * 1000;

    return vm_verb_run(&verb, argc, argv, &grace_ms);
}
