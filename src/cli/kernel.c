/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/scan.h"
#include "machine/kernel.h"
#include "vm/dirs.h"

#include <getopt.h>
#include <signal.h>

/* More compilers at a time than a machine has CPUs, and still no mistake. */
#define JOBS_MAX 1024
/* Where nobody looks on: a line each so many seconds. */
#define QUIET_SECONDS 30

struct kernel_options {
    const char *data_dir;
    bool json;
    struct kernel_build build;
};

/* A build's progress: one line that is drawn anew on a terminal, else a line now and then. */
struct build_progress {
    bool terminal;
    bool shown;     /* there is a line to clear */
    int stopped_by; /* the signal that cancelled, 0 for none */
    uint64_t start_ms;
    uint64_t told_ms; /* when the last line was printed */
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

    if (kernel_fetch_debian(dirs->cache, o->build.force, &log, &kernel, &err) < 0)
        return cli_fail(err);
    printf("%s\n", kernel->vmlinux_path);
    return 0;
}

static void progress_clear(struct build_progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r\033[K");
    p->shown = false;
}

static void build_log(void *user, enum log_level level, const char *module, const char *message)
{
    progress_clear(user);
    cli_log(NULL, (int) level, module, message);
}

static int build_progress(void *user, const char *step, uint64_t files, uint64_t about)
{
    struct build_progress *p = user;
    uint64_t now = clock_now_ms(), seconds = (now - p->start_ms) / 1000;
    int number;

    while ((number = cli_next_signal()))
        if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT)
            p->stopped_by = number;
    if (!p->terminal && (files == 0 || now - p->told_ms < QUIET_SECONDS * 1000))
        return p->stopped_by;
    p->told_ms = now;
    fprintf(stderr, p->terminal ? "\r\033[K%s" : "microvm: %s", step);
    if (files > 0)
        fprintf(stderr, ": %llu of about %llu files", (unsigned long long) files,
                (unsigned long long) about);
    fprintf(stderr, ", %llu s%s", (unsigned long long) seconds, p->terminal ? "" : "\n");
    p->shown = p->terminal;
    return p->stopped_by;
}

static int build(const struct dirs *dirs, const struct kernel_options *o)
{
    struct build_progress progress = { .terminal = isatty(STDERR_FILENO),
                                       .start_ms = clock_now_ms() };
    const struct log log = { .sink = build_log, .user = &progress, .level = LOG_LEVEL_INFO };
    struct kernel_build with = o->build;
    mvm_autoerror mvm_error *err = NULL;
    mvm_auto(kernel) kernel = NULL;
    int r;

    (void) cli_signal_fd();
    progress.told_ms = progress.start_ms;
    with.log = &log;
    with.progress = build_progress;
    with.progress_user = &progress;
    r = kernel_build(dirs->cache, &with, &kernel, &err);
    progress_clear(&progress);
    if (progress.stopped_by)
        return 128 + progress.stopped_by;
    if (r < 0)
        return cli_fail(err);
    printf("%s\n", kernel->vmlinux_path);
    return 0;
}

/* "own" and "stock" are what --kernel takes. */
static const char *kernel_kind(const struct kernel *k)
{
    if (k->built)
        return KERNEL_NAME_OWN;
    return *k->release ? KERNEL_NAME_STOCK : "file";
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
        (void) json_object_set_new(j, "kind", json_string(kernel_kind(kernels[i])));
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
        printf("%-5s %-6s %-28s %-52s %s\n", "USED", "KIND", "RELEASE", "SOURCE", "PATH");
        for (size_t i = 0; i < n; i++)
            printf("%-5s %-6s %-28s %-52s %s\n", i == 0 ? "*" : "", kernel_kind(kernels[i]),
                   kernels[i]->release, kernels[i]->source, kernels[i]->vmlinux_path);
    }
    kernel_list_free(kernels, n);
    return r;
}

static void print_help(void)
{
    printf(
        "Usage: microvm kernel fetch [--force] [--data-dir DIR]\n"
        "       microvm kernel build [OPTIONS] [--data-dir DIR]\n"
        "       microvm kernel ls [--json] [--data-dir DIR]\n\n"
        "fetch gets Debian's cloud kernel ('stock') through apt, which checks its signature.\n"
        "build compiles our own ('own') from Debian's source, which apt gets as well: everything is\n"
        "built in, and it boots in less than half the time. Neither needs root.\n"
        "ls lists the kernels that are here; the one marked * is used by run.\n\n"
        "Options of build:\n"
        "  --source DIR     a tree of Linux's source, which is only read\n"
        "  --config FILE    options (CONFIG_NAME=value) on top of our own\n"
        "  --jobs N         compilers at a time; without it one a CPU\n"
        "  --update         build anew if Debian has newer source\n"
        "  --force          build (or fetch) even if it is there\n");
}

static bool parse_jobs(const char *text, unsigned *ret)
{
    uint64_t jobs;

    if (!scan_u64(text, strlen(text), JOBS_MAX, &jobs) || jobs == 0)
        return false;
    *ret = (unsigned) jobs;
    return true;
}

/* 0 to go on, or the exit status plus one. */
static int parse_options(int argc, char **argv, struct kernel_options *o)
{
    static const struct option table[] = { { "json", no_argument, NULL, 'j' },
                                           { "force", no_argument, NULL, 'f' },
                                           { "update", no_argument, NULL, 'u' },
                                           { "source", required_argument, NULL, 's' },
                                           { "config", required_argument, NULL, 'c' },
                                           { "jobs", required_argument, NULL, 'J' },
                                           { "data-dir", required_argument, NULL, 'D' },
                                           { "help", no_argument, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
    int c;

    while ((c = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        if (c == 'j')
            o->json = true;
        else if (c == 'f')
            o->build.force = true;
        else if (c == 'u')
            o->build.update = true;
        else if (c == 's')
            o->build.source_dir = optarg;
        else if (c == 'c')
            o->build.config_path = optarg;
        else if (c == 'D')
            o->data_dir = optarg;
        else if (c == 'J' && !parse_jobs(optarg, &o->build.jobs))
            return 1 + cli_usage_error("kernel: '%s' jobs: 1 to %d are possible", optarg, JOBS_MAX);
        else if (c == 'h')
            print_help();
        if (c == 'h')
            return 1;
        if (c == '?' || c == ':')
            return 1 + cli_option_error("kernel", c, table, argv);
    }
    return 0;
}

int cli_kernel(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(const struct dirs *dirs, const struct kernel_options *o);
    } verbs[] = { { "fetch", fetch }, { "build", build }, { "ls", list } };
    struct kernel_options o = { .data_dir = NULL };
    mvm_autovalue(dirs) dirs = { .cache = NULL };
    mvm_autoerror mvm_error *err = NULL;
    int done = parse_options(argc, argv, &o);

    if (done)
        return done - 1;
    if (argc - optind != 1)
        return cli_usage_error("kernel: one of fetch, build, ls is wanted");
    if (dirs_init(&dirs, o.data_dir, &err) < 0)
        return cli_fail(err);
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(argv[optind], verbs[i].name) == 0)
            return verbs[i].fn(&dirs, &o);
    return cli_usage_error("kernel: '%s' is not one of fetch, build, ls", argv[optind]);
}
