/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pull-tool STORE NAME [missing|always|never] [PLATFORM]: prints the paths of the root disk's
 * extents, the image of its names first. pull-tool STORE --list: prints one line a name, with
 * platform, digest, size and unique size; then the total. pull-tool STORE --gc [all] [verify]
 * [keep=BYTES] [older=SECONDS] and pull-tool STORE --remove NAME [force]: print what was removed.
 *
 * An error is one line on stderr, "CODE message", and status 125. PULL_TOOL_CANCEL=N cancels at the
 * N-th progress report, PULL_TOOL_CANCEL_BUILD=N at the N-th of the build of the root filesystem
 * image, PULL_TOOL_CANCEL_MS=N at the first one N milliseconds after the start;
 * PULL_TOOL_TIMES=FILE keeps what there was between two reports at most, from the last one to the
 * end, and the phase of the last one (milliseconds, a space between). PULL_TOOL_PROGRESS=1 prints
 * each report to stderr. PULL_TOOL_JOBS=N fetches N layers at once. PULL_TOOL_HOLD=1 keeps the
 * image until stdin ends. PULL_TOOL_SOURCE=N is an enum image_source_order; PULL_TOOL_LOG=N prints
 * what is logged up to that level ("log MODULE: TEXT") to stderr. Of registries: PULL_TOOL_MIRRORS
 * and PULL_TOOL_INSECURE are lists with blanks, PULL_TOOL_CA, PULL_TOOL_AUTH_FILE and
 * PULL_TOOL_CERTS paths, PULL_TOOL_STALL_MS and PULL_TOOL_SLOW_MS are times.
 */
#include "base/clock.h"
#include "base/scan.h"
#include "image/registry-options.h"
#include "rootfs/block.h"

struct tool {
    struct image_store *store;
    int argc; /* from the name on */
    char **argv;
    uint64_t cancel_at; /* 0: never */
    uint64_t cancel_ms; /* 0: never */
    uint64_t reports;
    uint64_t start_ms, last_ms, worst_ms; /* of the reports */
    int phase;
    bool build_only; /* count the reports of the build alone */
    bool verbose;
    struct rootfs_block root; /* owned */
};

static int on_progress(void *user, const struct image_progress *p)
{
    struct tool *tool = user;
    uint64_t now = clock_now_ms();

    if (now - tool->last_ms > tool->worst_ms)
        tool->worst_ms = now - tool->last_ms;
    tool->last_ms = now;
    tool->phase = p->phase;
    if (!tool->build_only || p->phase == IMAGE_PHASE_BUILD)
        tool->reports++;
    if (tool->verbose)
        (void) fprintf(stderr, "progress %d %u/%u %llu/%llu %s\n", p->phase, p->layer, p->layers,
                       (unsigned long long) p->done, (unsigned long long) p->total, p->name);
    if (tool->cancel_ms > 0 && now - tool->start_ms >= tool->cancel_ms)
        return 1;
    return tool->cancel_at > 0 && tool->reports >= tool->cancel_at;
}

static void on_removal(void *user, const struct image_removal *what)
{
    static const char *const kinds[] = { "name",          "image",        "layer",
                                         "litter",        "kept",         "damaged-image",
                                         "damaged-layer", "damaged-root", "damaged-name",
                                         "kept-damaged" };

    (void) user;
    (void) printf("%s %s %llu\n", kinds[what->kind], what->name, (unsigned long long) what->bytes);
}

static void on_log(void *user, enum log_level level, const char *module, const char *message)
{
    (void) user;
    (void) level;
    (void) fprintf(stderr, "log %s: %s\n", module, message);
}

static int list(struct image_store *store, mvm_error **err)
{
    struct image_record *records = NULL;
    uint64_t total = 0;
    size_t n = 0;
    int r = image_list(store, &records, &n, &total, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        (void) printf("%s %s %s %llu %llu\n", records[i].name, records[i].platform,
                      digest_format(&records[i].manifest).text,
                      (unsigned long long) records[i].size, (unsigned long long) records[i].unique);
    (void) printf("total %llu\n", (unsigned long long) total);
    image_list_free(records, n);
    return 0;
}

static bool policy_parse(const char *text, enum image_pull_policy *ret)
{
    static const char *const names[] = { "missing", "always", "never" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum image_pull_policy) i;
            return true;
        }
    return false;
}

static int number_of(const char *variable, uint64_t *ret, mvm_error **err)
{
    const char *text = getenv(variable);

    *ret = 0;
    if (text && !scan_u64(text, strlen(text), UINT32_MAX, ret))
        return mvm_fail(err, MVM_E_ARG, 0, "%s is not a number", variable);
    return 0;
}

/* Each word of the variable. */
static int add_words(const char *variable, struct registry_options *o,
                     int (*add)(struct registry_options *, const char *, mvm_error **),
                     mvm_error **err)
{
    const char *at = getenv(variable);
    int r = 0;

    while (at && r == 0 && *(at += strspn(at, " "))) {
        mvm_autofree char *word = strndup(at, strcspn(at, " "));

        if (!word)
            return mvm_fail_nomem(err);
        r = add(o, word, err);
        at += strlen(word);
    }
    return r;
}

static int take_registry(struct registry_options *o, mvm_error **err)
{
    const char *stall = getenv("PULL_TOOL_STALL_MS"), *certs = getenv("PULL_TOOL_CERTS");
    const char *slow = getenv("PULL_TOOL_SLOW_MS");
    int r = add_words("PULL_TOOL_MIRRORS", o, registry_options_add_mirror, err);

    if (r == 0)
        r = add_words("PULL_TOOL_INSECURE", o, registry_options_add_insecure, err);
    if (r < 0)
        return r;
    if (stall && !scan_u64(stall, strlen(stall), UINT32_MAX, &o->stall_ms))
        return mvm_fail(err, MVM_E_ARG, 0, "the time of a stall is not a number");
    if (slow && !scan_u64(slow, strlen(slow), UINT32_MAX, &o->slow_ms))
        return mvm_fail(err, MVM_E_ARG, 0, "the time of a speed is not a number");
    if (text_replace(&o->ca_file, getenv("PULL_TOOL_CA")) < 0 ||
        text_replace(&o->auth_file, getenv("PULL_TOOL_AUTH_FILE")) < 0 ||
        (certs && strv_add(&o->certs_dirs, certs) < 0))
        return mvm_fail_nomem(err);
    return 0;
}

static int prepare(void *user, struct image_store *store, const struct image *image,
                   mvm_error **err)
{
    struct tool *tool = user;

    return rootfs_block_open(store, image, on_progress, tool, &tool->root, err);
}

static int print_root(const struct tool *tool)
{
    for (size_t i = 0; i < tool->root.n; i++)
        (void) printf("%s\n", tool->root.extents[i].path);
    if (getenv("PULL_TOOL_HOLD")) {
        (void) fflush(stdout);
        while (getchar() != EOF)
            continue;
    }
    return 0;
}

/* Of a pull that has just ended. */
static int keep_times(const struct tool *tool, mvm_error **err)
{
    const char *path = getenv("PULL_TOOL_TIMES");
    uint64_t last_ms = clock_now_ms() - tool->last_ms;
    FILE *file;

    if (!path)
        return 0;
    file = fopen(path, "we");
    if (!file)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s'", path);
    (void) fprintf(file, "%llu %llu %d\n", (unsigned long long) tool->worst_ms,
                   (unsigned long long) last_ms, tool->phase);
    return fclose(file) == 0 ? 0 : mvm_fail(err, MVM_E_SYS, errno, "write '%s'", path);
}

static int pull(struct tool *tool, mvm_error **err)
{
    mvm_autovalue(registry_options) registry = { 0 };
    const char *level = getenv("PULL_TOOL_LOG");
    const struct log log = { .sink = on_log,
                             .level = level ? (enum log_level)(level[0] - '0') : 0 };
    struct image_pull_options options = { .progress = on_progress,
                                          .progress_user = tool,
                                          .prepare = prepare,
                                          .prepare_user = tool,
                                          .registry = &registry,
                                          .log = level ? &log : NULL };
    mvm_auto(image) image = NULL;
    uint64_t jobs = 0, source = 0;
    int r;

    tool->build_only = getenv("PULL_TOOL_CANCEL_BUILD") != NULL;
    tool->verbose = getenv("PULL_TOOL_PROGRESS") != NULL;
    r = number_of(tool->build_only ? "PULL_TOOL_CANCEL_BUILD" : "PULL_TOOL_CANCEL",
                  &tool->cancel_at, err);
    if (r == 0)
        r = number_of("PULL_TOOL_CANCEL_MS", &tool->cancel_ms, err);
    if (r == 0)
        r = number_of("PULL_TOOL_JOBS", &jobs, err);
    if (r == 0)
        r = number_of("PULL_TOOL_SOURCE", &source, err);
    if (r < 0)
        return r;
    options.layer_jobs = (unsigned) jobs;
    options.order = (enum image_source_order) source;
    if (tool->argc > 1 && !policy_parse(tool->argv[1], &options.policy))
        return mvm_fail(err, MVM_E_ARG, 0, "'%s' is not a policy", tool->argv[1]);
    options.platform = tool->argc > 2 ? tool->argv[2] : NULL;
    r = take_registry(&registry, err);
    if (r < 0)
        return r;
    tool->start_ms = tool->last_ms = clock_now_ms();
    r = image_pull(tool->store, tool->argv[0], &options, &image, err);
    if (keep_times(tool, r < 0 ? NULL : err) < 0 && r == 0)
        r = MVM_E_SYS;
    return r < 0 ? r : print_root(tool);
}

static int gc(const struct tool *tool, mvm_error **err)
{
    struct image_gc_options o = { .all = false };
    uint64_t number = 0;
    bool good = true;

    for (int i = 1; i < tool->argc && good; i++) {
        const char *word = tool->argv[i];
        const char *value = strchr(word, '=');

        if (value)
            good = scan_u64(value + 1, strlen(value + 1), UINT64_MAX, &number);
        if (strcmp(word, "all") == 0)
            o.all = true;
        else if (strcmp(word, "verify") == 0)
            o.verify = true;
        else if (scan_has_prefix(word, "keep="))
            o.keep_bytes = number;
        else if (scan_has_prefix(word, "older="))
            o.older_than_s = number;
        else
            good = false;
    }
    if (!good)
        return mvm_fail(err, MVM_E_ARG, 0, "--gc takes all, verify, keep=BYTES, older=SECONDS");
    return image_gc(tool->store, &o, on_removal, NULL, err);
}

static int act(struct tool *tool, mvm_error **err)
{
    const char *verb = tool->argv[0];

    if (strcmp(verb, "--list") == 0)
        return list(tool->store, err);
    if (strcmp(verb, "--gc") == 0)
        return gc(tool, err);
    if (strcmp(verb, "--remove") == 0 && tool->argc > 1)
        return image_remove(tool->store, tool->argv[1], tool->argc > 2, on_removal, NULL, err);
    return pull(tool, err);
}

int main(int argc, char **argv)
{
    mvm_auto(image_store) store = NULL;
    mvm_autoerror mvm_error *error = NULL;
    struct tool tool = { .argc = argc - 2, .argv = argv + 2 };
    int r;

    if (argc < 3 || argc > 5) {
        (void) fprintf(
            stderr,
            "usage: pull-tool STORE NAME [missing|always|never] [PLATFORM]\n"
            "       pull-tool STORE --list | --gc [all|verify|keep=N|older=N]... | --remove NAME [force]\n");
        return 2;
    }
    r = image_store_open(argv[1], &store, &error);
    tool.store = store;
    if (r == 0)
        r = act(&tool, &error);
    rootfs_block_deinit(&tool.root);
    if (r == 0)
        return 0;
    (void) fprintf(stderr, "%d %s\n", r, mvm_error_message(error));
    return 125;
}
