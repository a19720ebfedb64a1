/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pull-tool STORE NAME [missing|always|never] [PLATFORM]: prints the root filesystem image's path.
 * pull-tool STORE --list: prints one line a name, with platform and digest.
 *
 * An error is one line on stderr, "CODE message", and status 125. PULL_TOOL_CANCEL=N cancels at the
 * N-th progress report, PULL_TOOL_CANCEL_BUILD=N at the N-th of the build of the root filesystem
 * image; PULL_TOOL_PROGRESS=1 prints each report to stderr, PULL_TOOL_LOG=1 warnings ("log TEXT").
 * Of registries: PULL_TOOL_MIRRORS and PULL_TOOL_INSECURE are lists with blanks, PULL_TOOL_CA,
 * PULL_TOOL_AUTH_FILE and PULL_TOOL_CERTS paths, PULL_TOOL_STALL_MS is a time.
 */
#include "base/scan.h"
#include "image/image.h"
#include "image/registry-options.h"

struct tool {
    uint64_t cancel_at; /* 0: never */
    uint64_t reports;
    bool build_only; /* count the reports of the build alone */
    bool verbose;
};

static int on_progress(void *user, const struct image_progress *p)
{
    struct tool *tool = user;

    if (!tool->build_only || p->phase == IMAGE_PHASE_BUILD)
        tool->reports++;
    if (tool->verbose)
        (void) fprintf(stderr, "progress %d %u/%u %llu/%llu %s\n", p->phase, p->layer, p->layers,
                       (unsigned long long) p->done, (unsigned long long) p->total, p->name);
    return tool->cancel_at > 0 && tool->reports >= tool->cancel_at;
}

static int list(struct image_store *store, mvm_error **err)
{
    struct image_record *records = NULL;
    size_t n = 0;
    int r = image_list(store, &records, &n, err);

    for (size_t i = 0; i < n; i++)
        (void) printf("%s %s %s\n", records[i].name, records[i].platform,
                      digest_format(&records[i].manifest).text);
    image_list_free(records, n);
    return r;
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

static void on_log(void *user, enum log_level level, const char *module, const char *message)
{
    (void) user;
    (void) level;
    (void) fprintf(stderr, "log %s: %s\n", module, message);
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
    int r = add_words("PULL_TOOL_MIRRORS", o, registry_options_add_mirror, err);

    if (r == 0)
        r = add_words("PULL_TOOL_INSECURE", o, registry_options_add_insecure, err);
    if (r < 0)
        return r;
    if (stall && !scan_u64(stall, strlen(stall), UINT32_MAX, &o->stall_ms))
        return mvm_fail(err, MVM_E_ARG, 0, "the time of a stall is not a number");
    if (text_replace(&o->ca_file, getenv("PULL_TOOL_CA")) < 0 ||
        text_replace(&o->auth_file, getenv("PULL_TOOL_AUTH_FILE")) < 0 ||
        (certs && strv_add(&o->certs_dirs, certs) < 0))
        return mvm_fail_nomem(err);
    return 0;
}

static int pull(struct image_store *store, int argc, char **argv, mvm_error **err)
{
    const char *build = getenv("PULL_TOOL_CANCEL_BUILD");
    const char *cancel = build ? build : getenv("PULL_TOOL_CANCEL");
    struct tool tool = { .build_only = build != NULL,
                         .verbose = getenv("PULL_TOOL_PROGRESS") != NULL };
    mvm_autovalue(registry_options) registry = { 0 };
    const struct log log = { .sink = getenv("PULL_TOOL_LOG") ? on_log : NULL,
                             .level = LOG_LEVEL_WARNING };
    struct image_pull_options options = {
        .progress = on_progress, .progress_user = &tool, .log = &log, .registry = &registry
    };
    mvm_auto(image) image = NULL;
    int r;

    if (cancel && !scan_u64(cancel, strlen(cancel), UINT32_MAX, &tool.cancel_at))
        return mvm_fail(err, MVM_E_ARG, 0, "where to cancel is not a number");
    if (argc > 3 && !policy_parse(argv[3], &options.policy))
        return mvm_fail(err, MVM_E_ARG, 0, "'%s' is not a policy", argv[3]);
    options.platform = argc > 4 ? argv[4] : NULL;
    r = take_registry(&registry, err);
    if (r == 0)
        r = image_pull(store, argv[2], &options, &image, err);
    if (r == 0)
        (void) printf("%s\n", image->root_path);
    return r;
}

int main(int argc, char **argv)
{
    mvm_auto(image_store) store = NULL;
    mvm_autoerror mvm_error *error = NULL;
    int r;

    if (argc < 3 || argc > 5) {
        (void) fprintf(stderr,
                       "usage: pull-tool STORE NAME|--list [missing|always|never] [PLATFORM]\n");
        return 2;
    }
    r = image_store_open(argv[1], &store, &error);
    if (r == 0)
        r = strcmp(argv[2], "--list") == 0 ? list(store, &error) : pull(store, argc, argv, &error);
    if (r == 0)
        return 0;
    (void) fprintf(stderr, "%d %s\n", r, mvm_error_message(error));
    return 125;
}
