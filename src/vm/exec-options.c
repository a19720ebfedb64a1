/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/exec-options.h"

mvm_exec_options *mvm_exec_options_new(void)
{
    mvm_exec_options *o = calloc(1, sizeof(*o));

    if (!o)
        return NULL;
    o->stdio[0] = -1;
    o->stdio[1] = STDOUT_FILENO;
    o->stdio[2] = STDERR_FILENO;
    return o;
}

void mvm_exec_options_free(mvm_exec_options *o)
{
    if (!o)
        return;
    agent_start_deinit(&o->start);
    free(o);
}

int mvm_exec_options_add_argument(mvm_exec_options *o, const char *word)
{
    return o && word ? strv_add(&o->start.argv, word) : MVM_E_ARG;
}

int mvm_exec_options_add_env(mvm_exec_options *o, const char *entry)
{
    if (!o || !entry || entry[0] == '=' || !strchr(entry, '='))
        return MVM_E_ARG;
    return strv_add(&o->start.env, entry);
}

int mvm_exec_options_set_workdir(mvm_exec_options *o, const char *path)
{
    return o && (!path || path[0] == '/') ? text_replace(&o->start.cwd, path) : MVM_E_ARG;
}

int mvm_exec_options_set_user(mvm_exec_options *o, const char *user)
{
    return o ? text_replace(&o->start.user, user) : MVM_E_ARG;
}

int mvm_exec_options_set_tty(mvm_exec_options *o, uint16_t rows, uint16_t cols)
{
    if (!o)
        return MVM_E_ARG;
    o->start.tty = true;
    o->start.rows = rows;
    o->start.cols = cols;
    return 0;
}

int mvm_exec_options_set_stdio(mvm_exec_options *o, int in, int out, int err)
{
    if (!o)
        return MVM_E_ARG;
    o->stdio[0] = in;
    o->stdio[1] = out;
    o->stdio[2] = err;
    return 0;
}
