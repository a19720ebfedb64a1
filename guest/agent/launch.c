/* SPDX-License-Identifier: Apache-2.0 */
/* The real start of a program: what the client gives, over what the VM's configs say. */
#include "guest/agent/machine.h"

#include "guest/init/environment.h"

/* The config's entries with the client's over them, then the defaults. */
static int build_env(const struct agent_image *image, const struct agent_start *start,
                     const struct user *user, bool tty, struct strv *ret, mvm_error **err)
{
    const struct environment_defaults defaults = {
        .home = user->home,
        .hostname = image->hostname,
        .term = tty ? "xterm" : NULL,
    };
    mvm_autovalue(strv) list = { .items = NULL };

    if (strv_copy(&list, &image->config->env) < 0 || strv_copy(&list, &start->env) < 0)
        return mvm_fail_nomem(err);
    return environment_build(&list, &defaults, ret, err);
}

int machine_start(void *user, const struct agent_start *start, struct program *ret, mvm_error **err)
{
    struct agent_image *image = user;
    const struct boot_config *boot = image->boot;
    bool is_main = start->argv.n == 0;
    bool tty = start->tty || (is_main && boot->tty);
    const struct user *who;
    mvm_autovalue(strv) env = { .items = NULL };
    const char *workdir = start->cwd ? start->cwd : image->config->workdir;
    int r;

    r = user_lookup(&image->users, start->user ? start->user : boot->user, &who, err);
    if (r < 0)
        return r;
    r = build_env(image, start, who, tty, &env, err);
    if (r < 0)
        return r;
    const struct program_spec spec = {
        .argv = is_main ? &image->config->cmd : &start->argv,
        .env = &env,
        .workdir = workdir ? workdir : "/",
        .make_workdir = is_main,
        .user = who,
        .tty = tty,
        .stdin_open = start->stdin_open || (is_main && boot->stdin_open),
        .rows = start->rows ? start->rows : boot->rows,
        .cols = start->cols ? start->cols : boot->cols,
    };
    if (spec.argv->n == 0)
        return mvm_fail(err, MVM_E_ARG, 0, "no command");
    return program_start(&spec, ret, err);
}
