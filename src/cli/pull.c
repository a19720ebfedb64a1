/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/mem.h"
#include "cli/registry-flags.h"

#include <getopt.h>

static void print_help(void)
{
    printf(
        "Usage: microvm pull [OPTIONS] IMAGE\n\n"
        "IMAGE is a reference (alpine, ghcr.io/org/app:1.2, host:5000/x@sha256:...) or has a\n"
        "transport: oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF], docker-daemon:REF.\n\n"
        "      --platform OS/ARCH[/VARIANT]\n"
        "                         not the host's own\n"
        "      --source registry-only|local-first|registry-first|local-only\n"
        "                         where a reference is looked for; local: the container engine\n" REGISTRY_FLAGS_HELP
        "      --data-dir DIR     images, kernels and VMs live there\n"
        "  -q, --quiet            print nothing but the digest\n");
}

static int pull(const char *image, mvm_options *options, bool quiet)
{
    struct cli_progress progress;
    mvm_autoerror mvm_error *err = NULL;
    mvm_autofree char *digest = NULL;
    int r;

    (void) cli_signal_fd();
    cli_progress_init(&progress);
    progress.terminal = progress.terminal && !quiet;
    mvm_options_set_progress(options, cli_progress_update, &progress);
    mvm_options_set_log(options, cli_log, NULL, MVM_LOG_WARNING);
    r = mvm_pull(image, options, &digest, &err);
    cli_progress_clear(&progress);
    if (r == MVM_E_CANCELLED && progress.stopped_by)
        return 128 + progress.stopped_by;
    if (r < 0)
        return cli_fail(err);
    printf("%s\n", digest);
    return 0;
}

struct pull_request {
    mvm_options *options; /* borrowed */
    bool quiet;
};

static const struct option pull_table[] = { { "platform", required_argument, NULL, 'P' },
                                            { "source", required_argument, NULL, 'S' },
                                            { "data-dir", required_argument, NULL, 'D' },
                                            REGISTRY_FLAGS_TABLE,
                                            { "quiet", no_argument, NULL, 'q' },
                                            { "help", no_argument, NULL, 'h' },
                                            { NULL, 0, NULL, 0 } };

static int take_option(int c, struct pull_request *q, mvm_error **err)
{
    switch (c) {
    case 'P':
        return mvm_options_set_platform(q->options, optarg);
    case 'S':
        return cli_set_source(q->options, optarg);
    case 'D':
        return mvm_options_set_data_dir(q->options, optarg);
    case 'q':
        q->quiet = true;
        return 0;
    default:
        return registry_flag_take("pull", c, q->options, optarg, err);
    }
}

/* Negative: go on. Else done, with that exit status. */
static int take_options(int argc, char **argv, struct pull_request *q)
{
    mvm_autoerror mvm_error *err = NULL;
    int c;

    while ((c = getopt_long(argc, argv, ":qh", pull_table, NULL)) != -1) {
        if (c == 'h') {
            print_help();
            return 0;
        }
        if (c == '?' || c == ':')
            return cli_option_error("pull", c, pull_table, argv);
        if (take_option(c, q, &err) < 0)
            return err ? cli_fail(err) : cli_usage_error("pull: a bad option");
    }
    return argc - optind == 1 ? -1 : cli_usage_error("pull: one image is wanted");
}

int cli_pull(int argc, char **argv)
{
    mvm_options *options = mvm_options_new();
    struct pull_request q = { .options = options };
    int r;

    if (!options || mvm_options_set_pull_policy(options, MVM_PULL_ALWAYS) < 0)
        return cli_usage_error("out of memory");
    r = take_options(argc, argv, &q);
    if (r < 0)
        r = pull(argv[optind], options, q.quiet);
    mvm_options_free(options);
    return r;
}
