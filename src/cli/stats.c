/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/mem.h"
#include "cli/vm-verb.h"

#include <inttypes.h>

struct stats_request {
    bool json;
    bool headed;
};

static int take(int c, const char *value, void *user, mvm_error **err)
{
    struct stats_request *q = user;

    (void) c;
    (void) value;
    (void) err;
    q->json = true;
    return 0;
}

static int print_json(const char *name, const mvm_vm_figures *f, mvm_error **err)
{
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        { "cpus", f->cpus },
        { "memory_total", f->memory_total },
        { "memory_available", f->memory_available },
        { "cpu_user_ns", f->cpu_user_ns },
        { "cpu_system_ns", f->cpu_system_ns },
        { "cpu_idle_ns", f->cpu_idle_ns },
        { "uptime_ns", f->uptime_ns },
        { "root_total", f->root_total },
        { "root_available", f->root_available },
        { "processes", f->processes },
        { "execs", f->execs },
        { "load_1m_milli", f->load_1m_milli },
    };
    mvm_autojson json_t *j = json_object();
    mvm_autofree char *text = NULL;

    (void) json_object_set_new(j, "name", json_string(name));
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        (void) json_object_set_new(j, numbers[i].key, json_integer((json_int_t) numbers[i].value));
    text = json_dumps(j, JSON_COMPACT);
    if (!text)
        return mvm_fail_nomem(err);
    printf("%s\n", text);
    return 0;
}

static int act(mvm_vm *vm, void *user, mvm_error **err)
{
    struct stats_request *q = user;
    mvm_vm_figures f = MVM_VM_FIGURES();
    char used[16], total[16];
    int r = mvm_vm_get_figures(vm, &f, err);

    if (r < 0)
        return r;
    if (q->json)
        return print_json(mvm_vm_name(vm), &f, err);
    if (!q->headed)
        printf("%-20s  %-4s  %-21s  %-5s  %-6s  %s\n", "NAME", "CPUS", "MEMORY", "PROCS", "LOAD",
               "UPTIME");
    q->headed = true;
    printf("%-20s  %-4u  %9s / %-9s  %-5u  %2u.%03u  %" PRIu64 " s\n", mvm_vm_name(vm), f.cpus,
           cli_format_size(f.memory_total - f.memory_available, used),
           cli_format_size(f.memory_total, total), f.processes, f.load_1m_milli / 1000,
           f.load_1m_milli % 1000, f.uptime_ns / 1000000000);
    return 0;
}

int cli_stats(int argc, char **argv)
{
    static const struct option table[] = { { "json", no_argument, NULL, 'j' }, VM_VERB_OPTIONS };
    static const struct vm_verb verb = {
        .name = "stats",
        .help = "Usage: microvm stats [--json] VM...\n\n"
                "Prints what each guest says of its memory, CPUs, processes and uptime.\n",
        .letters = ":h",
        .table = table,
        .take = take,
        .act = act,
    };
    struct stats_request q = { .json = false };

    return vm_verb_run(&verb, argc, argv, &q);
}
