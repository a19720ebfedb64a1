/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/json.h"
#include "machine/kernel.h"
#include "vm/dirs.h"

#include <getopt.h>

struct kernel_options {
    const char *data_dir;
    bool json;
    bool force;
};

static void kernel_log(void *user, enum log_level level, const char *module, const char *message)
{
    cli_log(user, (int) level, module, message);
}

static int fetch(const struct dirs *dirs, const struct kernel_options *o)
{
    const struct log log = { .sink = kernel_log, .level = LOG_LEVEL_INFO };
    mvm_autoerror mvm_error *err = NULL;
    mvm_auto(kernel) kernel = NULL;

    if (kernel_fetch_debian(dirs->cache, o->force, &log, &kernel, &err) < 0)
        return cli_fail(err);
    printf("%s\n", kernel->vmlinux_path);
    return 0;
}

static int print_json(struct kernel **kernels, size_t n)
{
    mvm_autojson json_t *array = json_array();
    mvm_autofree char *text = NULL;

    for (size_t i = 0; i < n; i++) {
        json_t *j = json_object();

        (void) json_object_set_new(j, "release", json_string(kernels[i]->release));
        (void) json_object_set_new(j, "source", json_string(kernels[i]->source));
        (void) json_object_set_new(j, "path", json_string(kernels[i]->vmlinux_path));
        (void) json_object_set_new(j, "used", json_boolean(i == 0));
        if (json_array_append_new(array, j) < 0)
            return cli_usage_error("out of memory");
    }
    text = json_dumps(array, JSON_INDENT(2));
    if (!text)
        return cli_usage_error("out of memory");
    printf("%s\n", text);
    return 0;
}

static int list(const struct dirs *dirs, const struct kernel_options *o)
{
    mvm_autoerror mvm_error *err = NULL;
    struct kernel **kernels = NULL;
    size_t n = 0;
    int r = 0;

    if (kernel_list(dirs_lib(), dirs->cache, &kernels, &n, &err) < 0)
        return cli_fail(err);
    if (o->json) {
        r = print_json(kernels, n);
    } else {
        printf("%-5s %-28s %-52s %s\n", "USED", "RELEASE", "SOURCE", "PATH");
        for (size_t i = 0; i < n; i++)
            printf("%-5s %-28s %-52s %s\n", i == 0 ? "*" : "", kernels[i]->release,
                   kernels[i]->source, kernels[i]->vmlinux_path);
    }
    kernel_list_free(kernels, n);
    return r;
}

static void print_help(void)
{
    printf(
        "Usage: microvm kernel fetch [--force] [--data-dir DIR]\n"
        "       microvm kernel ls [--json] [--data-dir DIR]\n\n"
        "fetch gets Debian's cloud kernel through apt, which checks its signature; no root is needed.\n"
        "ls lists the kernels that are here; the one marked * is used by run.\n");
}

int cli_kernel(int argc, char **argv)
{
    static const struct option table[] = { { "json", no_argument, NULL, 'j' },
                                           { "force", no_argument, NULL, 'f' },
                                           { "data-dir", required_argument, NULL, 'D' },
                                           { "help", no_argument, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
    struct kernel_options o = { .data_dir = NULL };
    mvm_autovalue(dirs) dirs = { .cache = NULL };
    mvm_autoerror mvm_error *err = NULL;
    int c;

    while ((c = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        if (c == 'j')
            o.json = true;
        else if (c == 'f')
            o.force = true;
        else if (c == 'D')
            o.data_dir = optarg;
        else if (c == 'h')
            print_help();
        if (c == 'h')
            return 0;
        if (c == '?' || c == ':')
            return cli_option_error("kernel", c, table, argv);
    }
    if (argc - optind != 1)
        return cli_usage_error("kernel: one of fetch, ls is wanted");
    if (dirs_init(&dirs, o.data_dir, &err) < 0)
        return cli_fail(err);
    if (strcmp(argv[optind], "fetch") == 0)
        return fetch(&dirs, &o);
    if (strcmp(argv[optind], "ls") == 0)
        return list(&dirs, &o);
    return cli_usage_error("kernel: '%s' is not one of fetch, ls", argv[optind]);
}
