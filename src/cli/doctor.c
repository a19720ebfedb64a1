/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/json.h"
#include "machine/checks.h"
#include "vm/dirs.h"

#include <getopt.h>

#define CHECKS (MACHINE_CHECKS + PREFLIGHT_HOST_CHECKS)

/* All of them, in the order in which they are shown. */
static struct preflight_check check_at(size_t i)
{
    return i < MACHINE_CHECKS ? machine_checks[i] : preflight_host_checks[i - MACHINE_CHECKS];
}

static const char *status_name(const struct preflight_check *check,
                               const struct preflight_result *result)
{
    return result->ok ? "ok" : check->required ? "failed" : "warning";
}

static int print_json(const struct preflight_result *results)
{
    mvm_autojson json_t *array = json_array();
    mvm_autofree char *text = NULL;

    for (size_t i = 0; i < CHECKS; i++) {
        const struct preflight_check c = check_at(i);
        json_t *j = json_pack("{s:s, s:s, s:b, s:s, s:s, s:s}", "name", c.name, "description",
                              c.description, "required", c.required, "status",
                              status_name(&c, &results[i]), "detail", results[i].detail, "remedy",
                              results[i].remedy);

        if (!j || json_array_append_new(array, j) < 0)
            return cli_usage_error("out of memory");
    }
    text = json_dumps(array, JSON_INDENT(2));
    if (!text)
        return cli_usage_error("out of memory");
    printf("%s\n", text);
    return 0;
}

static void print_table(const struct preflight_result *results)
{
    for (size_t i = 0; i < CHECKS; i++) {
        const struct preflight_check c = check_at(i);

        printf("%-8s %-12s %s\n", status_name(&c, &results[i]), c.name, results[i].detail);
        if (results[i].remedy[0])
            printf("%-8s %-12s   to mend it: %s\n", "", "", results[i].remedy);
    }
}

static int run_checks(const char *data_dir, bool json)
{
    mvm_autofree struct preflight_result *results = calloc(CHECKS, sizeof(*results));
    struct preflight_check checks[CHECKS];
    mvm_autovalue(dirs) dirs = { .cache = NULL };
    mvm_autoerror mvm_error *err = NULL;
    struct preflight_host host;
    int r;

    if (!results)
        return cli_usage_error("out of memory");
    if (dirs_init(&dirs, data_dir, &err) < 0)
        return cli_fail(err);
    host = (struct preflight_host){ .cache_dir = dirs.cache, .lib_dir = dirs_lib() };
    for (size_t i = 0; i < CHECKS; i++)
        checks[i] = check_at(i);
    r = preflight_run(checks, CHECKS, &host, results, &err);
    if (json && print_json(results) != 0)
        return CLI_STATUS_FAILED;
    if (!json)
        print_table(results);
    return r < 0 ? cli_fail(err) : 0;
}

int cli_doctor(int argc, char **argv)
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
            printf(
                "Usage: microvm doctor [--json] [--data-dir DIR]\n\nThe status is 125 when something without which "
                "no VM runs is missing.\n");
        if (c == 'h')
            return 0;
        if (c == '?' || c == ':')
            return cli_option_error("doctor", c, table, argv);
    }
    if (optind != argc)
        return cli_usage_error("doctor: no argument is wanted");
    return run_checks(data_dir, json);
}
