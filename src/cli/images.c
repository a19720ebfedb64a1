/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/json.h"

#include <time.h>

/* Digits of a digest that tell images apart, as docker has it. */
#define SHORT_DIGEST 12

struct listing {
    mvm_image_list *list; /* borrowed */
    bool json, quiet, digests;
};

static int print_json(const mvm_image_list *list)
{
    mvm_autojson json_t *array = json_array();
    mvm_autofree char *text = NULL;

    for (size_t i = 0; i < mvm_image_list_count(list); i++) {
        const mvm_image_info *image = mvm_image_list_get(list, i);
        json_t *j = json_object();

        (void) json_object_set_new(j, "name", json_string(image->name));
        (void) json_object_set_new(j, "platform", json_string(image->platform));
        (void) json_object_set_new(j, "digest", json_string(image->digest));
        (void) json_object_set_new(j, "size", json_integer((json_int_t) image->size));
        (void) json_object_set_new(j, "unique", json_integer((json_int_t) image->unique));
        (void) json_object_set_new(j, "created", json_integer(image->created_s));
        if (json_array_append_new(array, j) < 0)
            return cli_usage_error("out of memory");
    }
    text = json_dumps(array, JSON_INDENT(2));
    if (!text)
        return cli_usage_error("out of memory");
    printf("%s\n", text);
    return 0;
}

/* The digest as the listing shows it. */
static const char *digest_of_image(const struct listing *l, const mvm_image_info *image)
{
    const char *colon = strchr(image->digest, ':');

    return l->digests || !colon ? image->digest : colon + 1;
}

static void print_quiet(const struct listing *l)
{
    for (size_t i = 0; i < mvm_image_list_count(l->list); i++)
        printf("%.*s\n", l->digests ? -1 : SHORT_DIGEST,
               digest_of_image(l, mvm_image_list_get(l->list, i)));
}

static void print_table(const struct listing *l)
{
    int width = 5, digits = l->digests ? 71 : SHORT_DIGEST;
    size_t n = mvm_image_list_count(l->list);
    char size[16], unique[16];

    for (size_t i = 0; i < n; i++) {
        int len = (int) strlen(mvm_image_list_get(l->list, i)->name);

        width = len > width ? len : width;
    }
    printf("%-*s  %-14s  %-*s  %-16s  %-10s  %s\n", width, "IMAGE", "PLATFORM", digits, "DIGEST",
           "CREATED", "SIZE", "UNIQUE");
    for (size_t i = 0; i < n; i++) {
        const mvm_image_info *image = mvm_image_list_get(l->list, i);
        time_t created = (time_t) image->created_s;
        char when[32] = "";
        struct tm tm;

        if (localtime_r(&created, &tm))
            (void) strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm); /* fits */
        printf("%-*s  %-14s  %-*.*s  %-16s  %-10s  %s\n", width, image->name, image->platform,
               digits, digits, digest_of_image(l, image), when, cli_format_size(image->size, size),
               cli_format_size(image->unique, unique));
    }
    if (n > 0)
        printf("\n%s on disk, shared layers counted once\n",
               cli_format_size(mvm_image_list_total(l->list), size));
}

static int list(const mvm_options *options, struct listing *l)
{
    mvm_autoerror mvm_error *err = NULL;
    int r = mvm_image_list_new(options, &l->list, &err);

    if (r < 0)
        return cli_fail(err);
    if (l->json)
        r = print_json(l->list);
    else if (l->quiet)
        print_quiet(l);
    else
        print_table(l);
    mvm_image_list_free(l->list);
    return r;
}

static void print_help(void)
{
    printf("Usage: microvm images [OPTIONS]\n\n"
           "SIZE is what an image takes on disk, UNIQUE what of it no other image shares.\n\n"
           "  --digests       whole digests\n"
           "  -q, --quiet     digests alone\n"
           "  --json          one record a name\n"
           "  --data-dir DIR  images, kernels and VMs live there\n");
}

int cli_images(int argc, char **argv)
{
    static const struct option table[] = {
        { "json", no_argument, NULL, 'j' },    { "quiet", no_argument, NULL, 'q' },
        { "digests", no_argument, NULL, 'd' }, { "data-dir", required_argument, NULL, 'D' },
        { "help", no_argument, NULL, 'h' },    { NULL, 0, NULL, 0 }
    };
    mvm_options *options = mvm_options_new();
    struct listing l = { .list = NULL };
    int c, r = options ? -1 : cli_usage_error("out of memory");

    while (r < 0 && (c = getopt_long(argc, argv, ":qh", table, NULL)) != -1) {
        if (c == 'j')
            l.json = true;
        else if (c == 'q')
            l.quiet = true;
        else if (c == 'd')
            l.digests = true;
        else if (c == 'D')
            r = mvm_options_set_data_dir(options, optarg) < 0
                    ? cli_usage_error("images: a bad folder")
                    : r;
        else if (c == 'h') {
            print_help();
            r = 0;
        } else {
            r = cli_option_error("images", c, table, argv);
        }
    }
    if (r < 0 && optind != argc)
        r = cli_usage_error("images: no argument is wanted");
    if (r < 0)
        r = list(options, &l);
    mvm_options_free(options);
    return r;
}
