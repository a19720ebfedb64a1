/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cli/cli.h"

struct cp_request {
    mvm_options *options; /* owned */
    unsigned flags;
};

/* One side of a copy: VM:PATH, "-", or a path on this host. */
struct side {
    char *vm;         /* owned; NULL: this host */
    const char *path; /* borrowed */
};

static void side_deinit(struct side *s)
{
    free(s->vm);
}
MVM_DEFINE_AUTOVALUE(side, side_deinit)

/* As docker has it: a colon before the first slash names a VM; "./a:b" is a file. */
static int side_of(const char *text, struct side *ret, mvm_error **err)
{
    size_t n = strcspn(text, ":/");

    ret->path = text;
    if (text[n] != ':' || n == 0)
        return 0;
    ret->vm = strndup(text, n);
    if (!ret->vm)
        return mvm_fail_nomem(err);
    ret->path = text + n + 1;
    if (ret->path[0] != '/')
        return mvm_fail(err, MVM_E_ARG, 0, "cp: '%s': the path in the VM has to be absolute", text);
    return 0;
}

static int copy(mvm_vm *vm, const struct cp_request *q, const struct side *from,
                const struct side *to, mvm_error **err)
{
    if (to->vm && strcmp(from->path, "-") == 0)
        return mvm_vm_copy_in_tar(vm, STDIN_FILENO, to->path, q->flags, err);
    if (to->vm)
        return mvm_vm_copy_in(vm, from->path, to->path, q->flags, err);
    if (strcmp(to->path, "-") == 0)
        return mvm_vm_copy_out_tar(vm, from->path, STDOUT_FILENO, err);
    return mvm_vm_copy_out(vm, from->path, to->path, q->flags, err);
}

static int cp(const struct cp_request *q, const char *from_text, const char *to_text,
              mvm_error **err)
{
    mvm_autovalue(side) from = { .vm = NULL };
    mvm_autovalue(side) to = { .vm = NULL };
    mvm_vm *vm = NULL;
    int r;

    r = side_of(from_text, &from, err);
    if (r == 0)
        r = side_of(to_text, &to, err);
    if (r < 0)
        return r;
    if (!from.vm == !to.vm)
        return mvm_fail(err, MVM_E_ARG, 0, "cp: one of the two has to be in a VM: VM:PATH");
    r = mvm_vm_open(from.vm ? from.vm : to.vm, q->options, &vm, err);
    if (r == 0)
        r = copy(vm, q, &from, &to, err);
    mvm_vm_free(vm);
    return r < 0 ? mvm_context(err, r, "cp '%s' to '%s'", from_text, to_text) : 0;
}

int cli_cp(int argc, char **argv)
{
    static const struct option table[] = { { "archive", no_argument, NULL, 'a' },
                                           { "data-dir", required_argument, NULL, 'D' },
                                           { "help", no_argument, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
    struct cp_request q = { .options = mvm_options_new() };
    mvm_autoerror mvm_error *err = NULL;
    int status = -1, c;

    if (!q.options)
        return cli_usage_error("cp: out of memory");
    while (status < 0 && (c = getopt_long(argc, argv, ":ah", table, NULL)) != -1) {
        if (c == 'a')
            q.flags |= MVM_COPY_ARCHIVE;
        else if (c == 'D' && mvm_options_set_data_dir(q.options, optarg) < 0)
            status = cli_usage_error("cp: --data-dir '%s': a path is wanted", optarg);
        else if (c == 'h')
            status = printf("Usage: microvm cp [-a] SRC DST, one of them VM:PATH\n\n"
                            "Copies a file or a tree. '-' as SRC or DST is a tar stream. -a keeps "
                            "owners and set-id bits.\n") < 0;
        else if (c == '?' || c == ':')
            status = cli_option_error("cp", c, table, argv);
    }
    if (status < 0 && argc - optind != 2)
        status = cli_usage_error("cp: SRC and DST are wanted; 'microvm cp --help' tells");
    if (status < 0)
        status = cp(&q, argv[optind], argv[optind + 1], &err) < 0 ? cli_fail(err) : 0;
    mvm_options_free(q.options);
    return status;
}
