/* SPDX-License-Identifier: Apache-2.0 */
/* Removing images one by one. */
#include "cli/cli.h"
#include "cli/removal.h"

#include <stdio.h>

static void print_help(void)
{
    printf("Usage: microvm rmi [-f] IMAGE...\n\n"
           "Removes names of images, and what then nothing needs. IMAGE is a name or a digest, or\n"
           "the beginning of one.\n\n"
           "  -f, --force     of an image that is in use the name alone, of a digest all names\n"
           "  --data-dir DIR  images, kernels and VMs live there\n");
}

static int remove_images(const mvm_options *options, bool force, int n, char **names)
{
    struct cli_removal told = { .bytes = 0 };
    int status = 0;

    for (int i = 0; i < n; i++) {
        mvm_autoerror mvm_error *err = NULL;

        if (mvm_image_remove(names[i], options, force, cli_removal_print, &told, &err) < 0)
            status = cli_fail(err);
    }
    return status;
}

int cli_rmi(int argc, char **argv)
{
    static const struct option table[] = { { "data-dir", required_argument, NULL, 'D' },
                                           { "force", no_argument, NULL, 'f' },
                                           { "help", no_argument, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
    mvm_options *options = mvm_options_new();
    bool force = false;
    int c, r = options ? -1 : cli_usage_error("out of memory");

    while (r < 0 && (c = getopt_long(argc, argv, ":fh", table, NULL)) != -1) {
        if (c == 'f') {
            force = true;
        } else if (c == 'D') {
            if (mvm_options_set_data_dir(options, optarg) < 0)
                r = cli_usage_error("rmi: a bad folder");
        } else if (c == 'h') {
            print_help();
            r = 0;
        } else {
            r = cli_option_error("rmi", c, table, argv);
        }
    }
    if (r < 0 && optind == argc)
        r = cli_usage_error("rmi: an image is wanted");
    if (r < 0)
        r = remove_images(options, force, argc - optind, argv + optind);
    mvm_options_free(options);
    return r;
}
