/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/json.h"
#include "base/log.h"

#include <time.h>

struct ps_request {
    const char *data_dir;
    bool all, quiet, json;
};

static json_t *record_of(const mvm_vm_info *vm)
{
    json_t *j = json_object();

    (void) json_object_set_new(j, "name", json_string(vm->name));
    (void) json_object_set_new(j, "image", json_string(vm->image));
    (void) json_object_set_new(j, "digest", json_string(vm->digest));
    (void) json_object_set_new(j, "running", json_boolean(vm->running));
    (void) json_object_set_new(j, "started", json_integer(vm->started_s));
    if (vm->ended_s)
        (void) json_object_set_new(j, "ended", json_integer(vm->ended_s));
    if (vm->status >= 0)
        (void) json_object_set_new(j, "status", json_integer(vm->status));
    if (*vm->message)
        (void) json_object_set_new(j, "message", json_string(vm->message));
    return j;
}

static int print_json(const mvm_vm_list *list, bool all)
{
    mvm_autojson json_t *array = json_array();
    mvm_autofree char *text = NULL;

    for (size_t i = 0; i < mvm_vm_list_count(list); i++) {
        const mvm_vm_info *vm = mvm_vm_list_get(list, i);

        if ((all || vm->running) && json_array_append_new(array, record_of(vm)) < 0)
            return cli_usage_error("ps: out of memory");
    }
    text = json_dumps(array, JSON_INDENT(2));
    if (!text)
        return cli_usage_error("ps: out of memory");
    printf("%s\n", text);
    return 0;
}

static void print_row(const mvm_vm_info *vm, int width)
{
    time_t started = (time_t) vm->started_s;
    char when[32] = "", status[32], image[256];
    struct tm tm;

    if (localtime_r(&started, &tm))
        (void) strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm); /* fits */
    if (vm->running)
        (void) snprintf(status, sizeof(status), "running");
    else if (vm->status >= 0)
        (void) snprintf(status, sizeof(status), "exited (%d)", (int) vm->status); /* fits */
    else
        (void) snprintf(status, sizeof(status), "dead");
    log_escape(vm->image, image, sizeof(image));
    printf("%-*s  %-12s  %-19s  %s\n", width, vm->name, status, when, image);
}

static int print_table(const mvm_vm_list *list, const struct ps_request *q)
{
    int width = 4;

    for (size_t i = 0; i < mvm_vm_list_count(list); i++)
        if ((int) strlen(mvm_vm_list_get(list, i)->name) > width)
            width = (int) strlen(mvm_vm_list_get(list, i)->name);
    if (!q->quiet)
        printf("%-*s  %-12s  %-19s  %s\n", width, "NAME", "STATUS", "STARTED", "IMAGE");
    for (size_t i = 0; i < mvm_vm_list_count(list); i++) {
        const mvm_vm_info *vm = mvm_vm_list_get(list, i);

        if (!q->all && !vm->running)
            continue;
        if (q->quiet)
            printf("%s\n", vm->name);
        else
            print_row(vm, width);
    }
    return 0;
}

static int ps(const struct ps_request *q)
{
    mvm_options *options = mvm_options_new();
    mvm_autoerror mvm_error *err = NULL;
    mvm_vm_list *list = NULL;
    int r = options ? 0 : mvm_fail_nomem(&err);

    if (r == 0 && q->data_dir && mvm_options_set_data_dir(options, q->data_dir) < 0)
        r = mvm_fail(&err, MVM_E_ARG, 0, "ps: --data-dir '%s': a path is wanted", q->data_dir);
    if (r == 0)
        r = mvm_vm_list_new(options, &list, &err);
    mvm_options_free(options);
    if (r < 0)
        return cli_fail(err);
    r = q->json ? print_json(list, q->all) : print_table(list, q);
    mvm_vm_list_free(list);
    return r;
}

int cli_ps(int argc, char **argv)
{
    static const struct option table[] = {
        { "all", no_argument, NULL, 'a' },  { "quiet", no_argument, NULL, 'q' },
        { "json", no_argument, NULL, 'j' }, { "data-dir", required_argument, NULL, 'D' },
        { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 }
    };
    struct ps_request q = { .all = false };
    int c;

    while ((c = getopt_long(argc, argv, ":aqh", table, NULL)) != -1) {
        if (c == 'a')
            q.all = true;
        else if (c == 'q')
            q.quiet = true;
        else if (c == 'j')
            q.json = true;
        else if (c == 'D')
            q.data_dir = optarg;
        else if (c == 'h')
            printf("Usage: microvm ps [-a] [-q] [--json] [--data-dir DIR]\n\n"
                   "Lists the VMs that run; -a: those, too, that have ended and whose folder is "
                   "kept.\n");
        if (c == 'h')
            return 0;
        if (c == '?' || c == ':')
            return cli_option_error("ps", c, table, argv);
    }
    if (optind != argc)
        return cli_usage_error("ps: no argument is wanted");
    return ps(&q);
}
