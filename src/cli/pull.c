/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/mem.h"

#include <getopt.h>

static void print_help(void)
{
    printf(
        "Usage: microvm pull [OPTIONS] IMAGE\n\n"
        "IMAGE is a reference (alpine, ghcr.io/org/app:1.2, host:5000/x@sha256:...) or has a\n"
        "transport: oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF], docker-daemon:REF.\n\n"
        "  --platform OS/ARCH[/VARIANT]  not the host's own\n"
        "  --source registry-only|local-first|registry-first|local-only\n"
        "                                where a reference is looked for; local: the container engine\n"
        "  --data-dir DIR                images, kernels and VMs live there\n"
        "  -q, --quiet                   print nothing but the digest\n");
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

int cli_pull(int argc, char **argv)
{
    static const struct option table[] = {
        { "platform", required_argument, NULL, 'P' }, { "source", required_argument, NULL, 'S' },
        { "data-dir", required_argument, NULL, 'D' }, { "quiet", no_argument, NULL, 'q' },
        { "help", no_argument, NULL, 'h' },           { NULL, 0, NULL, 0 }
    };
    mvm_options *options = mvm_options_new();
    bool quiet = false;
    int c = 0, r = 0;

    if (!options)
        return cli_usage_error("out of memory");
    r = mvm_options_set_pull_policy(options, MVM_PULL_ALWAYS);
    while (r == 0 && (c = getopt_long(argc, argv, ":qh", table, NULL)) != -1) {
        if (c == 'P')
            r = mvm_options_set_platform(options, optarg);
        else if (c == 'S')
            r = cli_set_source(options, optarg);
        else if (c == 'D')
            r = mvm_options_set_data_dir(options, optarg);
        else if (c == 'q')
            quiet = true;
        else if (c == 'h')
            print_help();
        if (c == '?' || c == ':')
            (void) cli_option_error("pull", c, table, argv);
        if (c == 'h' || c == '?' || c == ':') {
            mvm_options_free(options);
            return c == 'h' ? 0 : CLI_STATUS_FAILED;
        }
    }
    if (r < 0)
        r = cli_usage_error("pull: %s", c == 'S' ? "--source: registry-only, local-first, "
                                                   "registry-first or local-only is wanted"
                                                 : "a bad option");
    else if (argc - optind != 1)
        r = cli_usage_error("pull: one image is wanted");
    else
        r = pull(argv[optind], options, quiet);
    mvm_options_free(options);
    return r;
}
