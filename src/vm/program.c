/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/program.h"

int program_merge_env(struct strv *env, const char *entry)
{
    size_t name_len = strcspn(entry, "=");
    char *copy;

    if (entry[name_len] != '=' || name_len == 0)
        return 0;
    for (size_t i = 0; i < env->n; i++) {
        if (strncmp(env->items[i], entry, name_len + 1) != 0)
            continue;
        copy = strdup(entry);
        if (!copy)
            return MVM_E_NOMEM;
        free(env->items[i]);
        env->items[i] = copy;
        return 0;
    }
    return strv_add(env, entry);
}

static int build_env(const mvm_options *options, const struct oci_config *image, struct strv *env)
{
    int r = program_merge_env(env, PROGRAM_PATH_DEFAULT);

    for (size_t i = 0; i < image->env.n && r == 0; i++)
        r = program_merge_env(env, image->env.items[i]);
    for (size_t i = 0; i < options->env.n && r == 0; i++)
        r = program_merge_env(env, options->env.items[i]);
    return r;
}

static int build_command(const mvm_options *options, const struct oci_config *image,
                         struct strv *cmd)
{
    int r;

    if (options->entrypoint)
        r = *options->entrypoint ? strv_add(cmd, options->entrypoint) : 0;
    else
        r = strv_copy(cmd, &image->entrypoint);
    if (r < 0)
        return r;
    /* The image's Cmd holds arguments for the image's Entrypoint: with another one it means
     * nothing. */
    if (options->arguments.n > 0)
        return strv_copy(cmd, &options->arguments);
    return options->entrypoint ? 0 : strv_copy(cmd, &image->cmd);
}

int program_build(const mvm_options *options, const struct oci_config *image,
                  struct krun_config *ret, mvm_error **err)
{
    mvm_autovalue(krun_config) c = { .workdir = NULL };
    const char *workdir = options->workdir ? options->workdir : image->workdir;

    if (build_command(options, image, &c.cmd) < 0 || build_env(options, image, &c.env) < 0)
        return mvm_fail_nomem(err);
    if (c.cmd.n == 0)
        return mvm_fail(err, MVM_E_ARG, 0, "the image names no command, and none was given");
    if (workdir && *workdir && workdir[0] != '/')
        return mvm_fail(err, MVM_E_FORMAT, 0, "the image's working folder '%s' is not absolute",
                        workdir);
    c.workdir = strdup(workdir && *workdir ? workdir : "/");
    if (!c.workdir)
        return mvm_fail_nomem(err);
    *ret = c;
    c = (struct krun_config){ .workdir = NULL };
    return 0;
}
