/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/json.h"
#include "image/image.h"
#include "vm/dirs.h"

#include <getopt.h>
#include <time.h>

static int print_json(const struct image_record *records, size_t n)
{
    mvm_autojson json_t *array = json_array();
    mvm_autofree char *text = NULL;

    for (size_t i = 0; i < n; i++) {
        struct digest_text digest = digest_format(&records[i].manifest);
        json_t *j = json_object();

        (void) json_object_set_new(j, "name", json_string(records[i].name));
        (void) json_object_set_new(j, "platform", json_string(records[i].platform));
        (void) json_object_set_new(j, "digest", json_string(digest.text));
        (void) json_object_set_new(j, "size", json_integer((json_int_t) records[i].size));
        (void) json_object_set_new(j, "created", json_integer(records[i].created_s));
        if (json_array_append_new(array, j) < 0)
            return cli_usage_error("out of memory");
    }
    text = json_dumps(array, JSON_INDENT(2));
    if (!text)
        return cli_usage_error("out of memory");
    printf("%s\n", text);
    return 0;
}

static int print_table(const struct image_record *records, size_t n)
{
    int width = 5;

    for (size_t i = 0; i < n; i++)
        if ((int) strlen(records[i].name) > width)
            width = (int) strlen(records[i].name);
    printf("%-*s  %-14s  %-12s  %-16s  %s\n", width, "IMAGE", "PLATFORM", "DIGEST", "CREATED",
           "SIZE");
    for (size_t i = 0; i < n; i++) {
        struct digest_text digest = digest_format(&records[i].manifest);
        time_t created = (time_t) records[i].created_s;
        char when[32] = "", size[16];
        struct tm tm;

        if (localtime_r(&created, &tm))
            (void) strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm); /* fits */
        printf("%-*s  %-14s  %-12.12s  %-16s  %s\n", width, records[i].name, records[i].platform,
               digest_hex(&digest), when, cli_format_size(records[i].size, size));
    }
    return 0;
}

static int list(const char *data_dir, bool json)
{
    mvm_autovalue(dirs) dirs = { .cache = NULL };
    mvm_auto(image_store) store = NULL;
    mvm_autoerror mvm_error *err = NULL;
    struct image_record *records = NULL;
    size_t n = 0;
    int r;

    r = dirs_init(&dirs, data_dir, &err);
    if (r == 0)
        r = image_store_open(dirs.cache, &store, &err);
    if (r == 0)
        r = image_list(store, &records, &n, &err);
    if (r < 0)
        return cli_fail(err);
    r = json ? print_json(records, n) : print_table(records, n);
    image_list_free(records, n);
    return r;
}

int cli_images(int argc, char **argv)
{
    static const struct option table[] = { { "json", no_argument, NULL, 'j' },
                                           { "data-dir", required_argument, NULL, 'D' },
                                           { "help", no_argument, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
    const char *data_dir = NULL;
    bool json = false;
    int c;

    while ((c = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        if (c == 'j')
            json = true;
        else if (c == 'D')
            data_dir = optarg;
        else if (c == 'h')
            printf("Usage: microvm images [--json] [--data-dir DIR]\n");
        if (c == 'h')
            return 0;
        if (c == '?' || c == ':')
            return cli_option_error("images", c, table, argv);
    }
    if (optind != argc)
        return cli_usage_error("images: no argument is wanted");
    return list(data_dir, json);
}
