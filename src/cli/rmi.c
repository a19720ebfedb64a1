/* SPDX-License-Identifier: Apache-2.0 */
/* Removing images: one by one, or whatever nothing refers to. */
#include "cli/cli.h"

#include "base/mem.h"

struct removing {
    bool force, all;
    uint64_t bytes;
    mvm_options *options; /* owned */
};

/* Docker's words. */
static void on_removal(void *user, const mvm_image_removal *removal)
{
    static const char *const words[] = { [MVM_REMOVED_NAME] = "Untagged",
                                         [MVM_REMOVED_IMAGE] = "Deleted",
                                         [MVM_REMOVED_LAYER] = "Deleted layer",
                                         [MVM_REMOVED_LITTER] = "Deleted remains of layer",
                                         [MVM_KEPT_IMAGE] = "Kept, it is in use" };
    struct removing *to = user;

    to->bytes += removal->bytes;
    if (removal->kind < ARRAY_SIZE(words))
        printf("%s: %s\n", words[removal->kind], removal->name);
}

static int remove_images(struct removing *to, int n, char **names)
{
    int status = 0;

    for (int i = 0; i < n; i++) {
        mvm_autoerror mvm_error *err = NULL;

        if (mvm_image_remove(names[i], to->options, to->force, on_removal, to, &err) < 0)
            status = cli_fail(err);
    }
    return status;
}

static int collect(struct removing *to)
{
    mvm_autoerror mvm_error *err = NULL;
    char size[16];
    int r = mvm_image_gc(to->options, to->all, on_removal, to, &err);

    printf("Reclaimed %s\n", cli_format_size(to->bytes, size));
    return r < 0 ? cli_fail(err) : 0;
}

/* Negative: go on; else the exit status. */
static int parse(const char *verb, const char *help, int argc, char **argv, struct removing *to)
{
    const struct option table[] = { { "data-dir", required_argument, NULL, 'D' },
                                    { "help", no_argument, NULL, 'h' },
                                    { *verb == 'g' ? "all" : "force", no_argument, NULL,
                                      *verb == 'g' ? 'a' : 'f' },
                                    { NULL, 0, NULL, 0 } };
    int c;

    to->options = mvm_options_new();
    if (!to->options)
        return cli_usage_error("out of memory");
    while ((c = getopt_long(argc, argv, *verb == 'g' ? ":ah" : ":fh", table, NULL)) != -1) {
        if (c == 'f')
            to->force = true;
        else if (c == 'a')
            to->all = true;
        else if (c == 'D' && mvm_options_set_data_dir(to->options, optarg) < 0)
            return cli_usage_error("%s: a bad folder", verb);
        else if (c == 'h')
            printf("%s", help);
        if (c == 'h')
            return 0;
        if (c == '?' || c == ':')
            return cli_option_error(verb, c, table, argv);
    }
    return -1;
}

int cli_rmi(int argc, char **argv)
{
    struct removing to = { .force = false };
    int r = parse(
        "rmi",
        "Usage: microvm rmi [-f] IMAGE...\n\n"
        "Removes names of images, and what then nothing needs. IMAGE is a name or a digest, or\n"
        "the beginning of one.\n\n"
        "  -f, --force     of an image that is in use the name alone, of a digest all names\n"
        "  --data-dir DIR  images, kernels and VMs live there\n",
        argc, argv, &to);

    if (r < 0 && optind == argc)
        r = cli_usage_error("rmi: an image is wanted");
    if (r < 0)
        r = remove_images(&to, argc - optind, argv + optind);
    mvm_options_free(to.options);
    return r;
}

int cli_gc(int argc, char **argv)
{
    struct removing to = { .all = false };
    int r = parse(
        "gc",
        "Usage: microvm gc [--all]\n\n"
        "Removes images without a name, layers that no image has, and what pulls and VMs that were\n"
        "killed have left.\n\n"
        "  -a, --all       images that have a name too, unless a VM uses them\n"
        "  --data-dir DIR  images, kernels and VMs live there\n",
        argc, argv, &to);

    if (r < 0 && optind != argc)
        r = cli_usage_error("gc: no argument is wanted");
    if (r < 0)
        r = collect(&to);
    mvm_options_free(to.options);
    return r;
}
