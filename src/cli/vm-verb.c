/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/vm-verb.h"

#include <stdio.h>

static int act_on(const struct vm_verb *v, const char *name, const mvm_options *options, void *user)
{
    mvm_autoerror mvm_error *err = NULL;
    mvm_vm *vm = NULL;
    int r = mvm_vm_open(name, options, &vm, &err);

    if (r == 0)
        r = v->act(vm, user, &err);
    mvm_vm_free(vm);
    return r < 0 ? cli_fail(err) : r;
}

/* 0: go on; positive: done with that exit status - 1. */
static int take_options(const struct vm_verb *v, int argc, char **argv, mvm_options *options,
                        void *user)
{
    int c;

    while ((c = getopt_long(argc, argv, v->letters, v->table, NULL)) != -1) {
        mvm_autoerror mvm_error *err = NULL;

        if (c == 'h') {
            printf("%s", v->help);
            return 1;
        }
        if (c == '?' || c == ':')
            return 1 + cli_option_error(v->name, c, v->table, argv);
        if (c == VM_VERB_DATA_DIR) {
            if (mvm_options_set_data_dir(options, optarg) < 0)
                return 1 +
                       cli_usage_error("%s: --data-dir '%s': a path is wanted", v->name, optarg);
        } else if (v->take(c, optarg, user, &err) < 0) {
            return 1 + cli_fail(err);
        }
    }
    return 0;
}

int vm_verb_run(const struct vm_verb *v, int argc, char **argv, void *user)
{
    mvm_options *options = mvm_options_new();
    int status = 0, r;

    if (!options)
        return cli_usage_error("%s: out of memory", v->name);
    r = take_options(v, argc, argv, options, user);
    if (r == 0 && optind == argc)
        r = 1 + cli_usage_error("%s: a VM's name is wanted; 'microvm ps -a' lists them", v->name);
    for (int i = optind; r == 0 && i < argc; i++) {
        int one = act_on(v, argv[i], options, user);

        if (status != CLI_STATUS_FAILED)
            status = one;
    }
    mvm_options_free(options);
    return r > 0 ? r - 1 : status;
}
