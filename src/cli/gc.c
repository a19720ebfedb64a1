/* SPDX-License-Identifier: Apache-2.0 */
/* Removing from the image store what nothing refers to, and what the user can do without. */
#include "cli/cli.h"
#include "cli/removal.h"

#include "base/scan.h"

#include <stdio.h>
#include <string.h>

/* The longest time that is asked for: no file is older, and nothing overflows. */
#define GC_DAYS_MAX 100000
#define SECONDS_PER_DAY 86400

static void print_help(void)
{
    printf("Usage: microvm gc [OPTIONS]\n\n"
           "Removes images without a name, layers that no image has, and what pulls and VMs that "
           "were\n"
           "killed have left. An image that a VM uses always stays.\n\n"
           "  -a, --all              images that have a name too\n"
           "  --keep SIZE            the least recently used images too, until all that is stored\n"
           "                         takes SIZE at most (2G, 500M)\n"
           "  --older-than DURATION  images that were not used for so long too (30d, 12h)\n"
           "  --verify               read every file that stays, whatever its times say; what is\n"
           "                         damaged is removed, and fetched again by the next pull\n"
           "  --data-dir DIR         images, kernels and VMs live there\n");
}

/* "30d" besides what every time is written like. */
static bool parse_age(const char *text, uint64_t *ret_s)
{
    size_t len = strlen(text);
    uint64_t value = 0;

    if (len > 0 && text[len - 1] == 'd' && scan_u64(text, len - 1, GC_DAYS_MAX, &value)) {
        *ret_s = value * SECONDS_PER_DAY;
        return true;
    }
    if (!scan_duration_ms(text, len, &value) ||
        value / 1000 > (uint64_t) GC_DAYS_MAX * SECONDS_PER_DAY)
        return false;
    *ret_s = value / 1000 + (value % 1000 > 0);
    return true;
}

/* To keep nothing, and what is older than now, both mean all; the library takes 0 for no wish. */
static int take_keep(mvm_image_gc_options *wish, const char *text)
{
    if (!scan_size(text, strlen(text), 1, &wish->keep_bytes))
        return cli_usage_error("gc: --keep '%s' is no size: 2G, 500M", text);
    if (wish->keep_bytes == 0)
        wish->flags |= MVM_IMAGE_GC_ALL;
    return -1;
}

static int take_age(mvm_image_gc_options *wish, const char *text)
{
    if (!parse_age(text, &wish->older_than_s))
        return cli_usage_error("gc: --older-than '%s' is no time up to %dd: 30d, 12h", text,
                               GC_DAYS_MAX);
    if (wish->older_than_s == 0)
        wish->flags |= MVM_IMAGE_GC_ALL;
    return -1;
}

static int collect(const mvm_options *options, const mvm_image_gc_options *wish)
{
    mvm_autoerror mvm_error *err = NULL;
    struct cli_removal told = { .bytes = 0 };
    char size[16];
    int r = mvm_image_gc(options, wish, cli_removal_print, &told, &err);

    if (r == 0 && (wish->flags & MVM_IMAGE_GC_VERIFY))
        printf("Damaged: %u removed, %u in use\n", told.damaged, told.kept_damaged);
    printf("Reclaimed %s\n", cli_format_size(told.bytes, size));
    return r < 0 ? cli_fail(err) : 0;
}

/* Negative: go on; else the exit status. */
static int take_option(int c, mvm_options *options, mvm_image_gc_options *wish)
{
    switch (c) {
    case 'a':
        wish->flags |= MVM_IMAGE_GC_ALL;
        return -1;
    case 'v':
        wish->flags |= MVM_IMAGE_GC_VERIFY;
        return -1;
    case 'k':
        return take_keep(wish, optarg);
    case 'o':
        return take_age(wish, optarg);
    case 'D':
        return mvm_options_set_data_dir(options, optarg) < 0 ? cli_usage_error("gc: a bad folder")
                                                             : -1;
    default:
        print_help();
        return 0;
    }
}

int cli_gc(int argc, char **argv)
{
    static const struct option table[] = { { "all", no_argument, NULL, 'a' },
                                           { "keep", required_argument, NULL, 'k' },
                                           { "verify", no_argument, NULL, 'v' },
                                           { "older-than", required_argument, NULL, 'o' },
                                           { "help", no_argument, NULL, 'h' },
                                           { "data-dir", required_argument, NULL, 'D' },
                                           { NULL, 0, NULL, 0 } };
    mvm_image_gc_options wish = MVM_IMAGE_GC_OPTIONS();
    mvm_options *options = mvm_options_new();
    int c, r = options ? -1 : cli_usage_error("out of memory");

    while (r < 0 && (c = getopt_long(argc, argv, ":ah", table, NULL)) != -1)
        r = c == '?' || c == ':' ? cli_option_error("gc", c, table, argv)
                                 : take_option(c, options, &wish);
    if (r < 0 && optind != argc)
        r = cli_usage_error("gc: no argument is wanted");
    if (r < 0)
        r = collect(options, &wish);
    mvm_options_free(options);
    return r;
}
