/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/kernel-apt.h"

#include "base/child.h"
#include "base/file.h"
#include "base/path.h"
#include "base/scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>

/* apt's own time limits end a source that does not answer; these end apt. */
#define APT_UPDATE_MS (10 * 60 * 1000)
#define APT_DOWNLOAD_MS (20 * 60 * 1000)
#define APT_SHOW_MS (60 * 1000)
/* Unpacking 140 MB takes some seconds. */
#define APT_UNPACK_MS (10 * 60 * 1000)
/* One stanza is about 1 KiB. */
#define APT_SHOW_MAX 65536
#define APT_NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789+.-"
#define APT_VERSION_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.:~-"

/* Hooks of the system's configuration write into the system's folders. Lists can only be emptied
 * in a file. */
static const char apt_conf[] = "#clear APT::Update::Pre-Invoke;\n"
                               "#clear APT::Update::Post-Invoke;\n"
                               "#clear APT::Update::Post-Invoke-Success;\n"
                               "#clear DPkg::Pre-Invoke;\n"
                               "#clear DPkg::Post-Invoke;\n";

void apt_package_deinit(struct apt_package *p)
{
    free(p->name);
    free(p->version);
    *p = (struct apt_package){ .name = NULL };
}

/* The command line up to the verb; options after "-c" win over the system's. */
static int apt_arguments(const char *program, const char *dir, struct strv *argv)
{
    static const char *const options[] = {
        "Acquire::AllowInsecureRepositories=false",
        "Acquire::AllowWeakRepositories=false",
        "Acquire::AllowDowngradeToInsecureRepositories=false",
        "APT::Get::AllowUnauthenticated=false",
        /* A source that is down makes a warning only, or none that we could show. */
        "APT::Update::Error-Mode=any",
        "Acquire::Languages=none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
        "Acquire::IndexTargets::deb::CNF::DefaultEnabled=false",
        "Acquire::Retries=2",
        "Acquire::http::Timeout=30",
        "Acquire::https::Timeout=30",
    };
    static const char *const folders[][2] = { { "Dir::State", "state" },
                                              { "Dir::State::lists", "state/lists" },
                                              { "Dir::State::status", "status" },
                                              { "Dir::Cache", "cache" } };
    int r = strv_add(argv, program);

    r = r < 0 ? r : strv_add(argv, "-q");
    r = r < 0 ? r : strv_addf(argv, "--config-file=%s/apt.conf", dir);
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(folders); i++)
        r = strv_addf(argv, "--option=%s=%s/%s", folders[i][0], dir, folders[i][1]);
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(options); i++)
        r = strv_addf(argv, "--option=%s", options[i]);
    return r;
}

/* Our environment with apt's messages in English: they end in ours. */
static int apt_environment(struct strv *envp)
{
    int r = strv_add(envp, "LC_ALL=C");

    for (char **e = environ; r >= 0 && *e; e++)
        if (!scan_has_prefix(*e, "LC_") && !scan_has_prefix(*e, "LANG"))
            r = strv_add(envp, *e);
    return r;
}

struct apt_run {
    const char *program;
    const char *verb[3]; /* with its arguments */
    int cwd_fd;          /* 0: ours */
    int timeout_ms;
};

static int apt_run(const struct apt *a, const struct apt_run *run, char **ret_stdout,
                   mvm_error **err)
{
    mvm_autovalue(strv) argv = { .n = 0 };
    mvm_autovalue(strv) envp = { .n = 0 };
    const struct child_fd held = { .from = a->held_fd, .to = STDIN_FILENO };
    struct child_spec spec = {
        .fds = &held,
        .n_fds = 1,
        .cwd_fd = run->cwd_fd,
        .death_signal = SIGKILL,
        .watch = a->watch,
        .watch_user = a->watch_user,
    };
    int r = apt_arguments(run->program, a->dir, &argv);

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(run->verb) && run->verb[i]; i++)
        r = strv_add(&argv, run->verb[i]);
    if (r < 0 || apt_environment(&envp) < 0)
        return mvm_fail_nomem(err);
    spec.argv = argv.items;
    spec.envp = envp.items;
    r = child_run(&spec, run->timeout_ms, APT_SHOW_MAX, ret_stdout, err);
    if (r == MVM_E_NOT_FOUND)
        return mvm_context(err, r, "Debian's package tools are needed (apt, dpkg)");
    return r;
}

static int make_state(int dir_fd, mvm_error **err)
{
    static const char *const folders[] = { "state", "state/lists",    "state/lists/partial",
                                           "cache", "cache/archives", "cache/archives/partial" };

    for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
        if (mkdirat(dir_fd, folders[i], 0755) < 0 && errno != EEXIST)
            return mvm_fail(err, MVM_E_SYS, errno, "make the folder '%s'", folders[i]);
    int r = file_write(dir_fd, "status", "", 0, 0644, err);

    return r < 0 ? r : file_write(dir_fd, "apt.conf", apt_conf, sizeof(apt_conf) - 1, 0644, err);
}

/* The rest of the line after "@field: "; false when there is none. */
static bool find_field(const char *text, const char *field, const char **ret, size_t *ret_len)
{
    size_t n = strlen(field);

    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");

        if (len > n + 1 && strncmp(line, field, n) == 0 && line[n] == ':') {
            line += n + 1;
            *ret = line + strspn(line, " ");
            *ret_len = strcspn(*ret, "\n");
            return true;
        }
        line += len + (line[len] == '\n');
    }
    return false;
}

/* The first of "a (= 1) | b, c" that starts with @prefix; NULL when none does or it is not a name.
 */
static char *find_dependency(const char *text, size_t len, const char *prefix)
{
    for (size_t at = 0; at < len;) {
        size_t n = strspn(text + at, APT_NAME_CHARS);

        if (n > len - at)
            break;
        if (n > strlen(prefix) && strncmp(text + at, prefix, strlen(prefix)) == 0)
            return strndup(text + at, n);
        at += strcspn(text + at, ",|\n");
        at += at < len ? strspn(text + at, ",| ") : 0;
    }
    return NULL;
}

/* "(= 6.1.192-2)" right after @name in @text. */
static char *find_version(const char *text, size_t len, const char *name)
{
    const char *at = memmem(text, len, name, strlen(name));
    size_t n;

    if (!at)
        return NULL;
    at += strlen(name);
    at += strspn(at, " ");
    if (strncmp(at, "(= ", 3) != 0)
        return NULL;
    at += 3;
    n = strspn(at, APT_VERSION_CHARS);
    return n > 0 && at[n] == ')' ? strndup(at, n) : NULL;
}

int apt_parse_show(const char *text, const char *prefix, struct apt_package *ret, mvm_error **err)
{
    mvm_autovalue(apt_package) p = { .name = NULL };
    const char *depends;
    size_t len;

    if (!find_field(text, "Depends", &depends, &len))
        return mvm_fail(err, MVM_E_FORMAT, 0, "the metapackage depends on nothing");
    p.name = find_dependency(depends, len, prefix);
    if (!p.name)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the metapackage depends on no '%s...'", prefix);
    p.version = find_version(depends, len, p.name);
    if (!p.version)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the metapackage names no version of '%s'", p.name);
    *ret = p;
    p = (struct apt_package){ .name = NULL };
    return 0;
}

static int read_lists(const struct apt *a, mvm_error **err)
{
    static const struct apt_run update = { .program = "apt-get",
                                           .verb = { "update" },
                                           .timeout_ms = APT_UPDATE_MS };
    int r = make_state(a->dir_fd, err);

    return r < 0 ? mvm_context(err, r, "apt's private state") : apt_run(a, &update, NULL, err);
}

/* What the lists say of the newest @name. */
static int show_package(const struct apt *a, const char *name, char **ret, mvm_error **err)
{
    const struct apt_run show = { .program = "apt-cache",
                                  .verb = { "show", "--no-all-versions", name },
                                  .timeout_ms = APT_SHOW_MS };
    mvm_autoerror mvm_error *lists_err = NULL;
    int r = read_lists(a, &lists_err);

    /* Whatever else is wrong with the lists matters only when the package is in none of them. */
    if (r < 0 && r != MVM_E_CHILD) {
        error_move(err, steal_ptr(&lists_err));
        return r;
    }
    if (r < 0)
        log_debug(a->log, "kernel", "%s", mvm_error_message(lists_err));
    if (apt_run(a, &show, ret, NULL) < 0)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0,
                        "no signed package source of this host offers %s%s%s", name,
                        lists_err ? ": " : " (are Debian's own among apt's sources?)",
                        mvm_error_message(lists_err));
    return 0;
}

int apt_find_package(const struct apt *a, const char *meta, const char *prefix,
                     struct apt_package *ret, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    int r = show_package(a, meta, &text, err);

    if (r < 0)
        return r;
    r = apt_parse_show(text, prefix, ret, err);
    return r < 0 ? mvm_context(err, r, "%s", meta) : 0;
}

int apt_parse_version(const char *text, const char *name, struct apt_package *ret, mvm_error **err)
{
    mvm_autovalue(apt_package) p = { .name = strdup(name) };
    const char *version;
    size_t len;

    if (!find_field(text, "Version", &version, &len) || len == 0 ||
        strspn(version, APT_VERSION_CHARS) != len)
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s: the package has no version", name);
    p.version = strndup(version, len);
    if (!p.name || !p.version)
        return mvm_fail_nomem(err);
    *ret = p;
    p = (struct apt_package){ .name = NULL };
    return 0;
}

int apt_find_named(const struct apt *a, const char *name, struct apt_package *ret, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    int r = show_package(a, name, &text, err);

    return r < 0 ? r : apt_parse_version(text, name, ret, err);
}

static int apt_download(const struct apt *a, const struct apt_package *p, int to_fd,
                        mvm_error **err)
{
    mvm_autofree char *which = NULL;
    struct apt_run run = {
        .program = "apt-get", .verb = { "download" }, .cwd_fd = to_fd, .timeout_ms = APT_DOWNLOAD_MS
    };
    int r;

    if (asprintf(&which, "%s=%s", p->name, p->version) < 0)
        return mvm_fail_nomem(err);
    run.verb[1] = which;
    r = apt_run(a, &run, NULL, err);
    return r < 0 ? mvm_context(err, r, "download %s", p->name) : 0;
}

/* The name of the one file *.deb; owned by the caller. */
static int find_deb(int dir_fd, char **ret, mvm_error **err)
{
    int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    char *name = NULL;

    if (!d) {
        int r = mvm_fail(err, MVM_E_SYS, errno, "list a folder");

        if (fd >= 0)
            (void) close(fd);
        return r;
    }
    while (!name && (e = readdir(d))) {
        size_t len = strlen(e->d_name);

        if (len > 4 && strcmp(e->d_name + len - 4, ".deb") == 0)
            name = strdup(e->d_name);
    }
    (void) closedir(d);
    if (!name)
        return mvm_fail(err, MVM_E_CHILD, 0, "apt-get download left no package");
    *ret = name;
    return 0;
}

static int unpack_deb(const struct apt *a, int deb_fd, mvm_error **err)
{
    mvm_autofree char *name = NULL;
    mvm_autofree char *tree = path_join(a->dir, "tree");
    int r = tree ? find_deb(deb_fd, &name, err) : mvm_fail_nomem(err);

    if (r < 0)
        return r;
    char *const argv[] = { (char *) "dpkg-deb", (char *) "--extract", name, tree, NULL };
    const struct child_fd held = { .from = a->held_fd, .to = STDIN_FILENO };
    const struct child_spec spec = { .argv = argv,
                                     .fds = &held,
                                     .n_fds = 1,
                                     .cwd_fd = deb_fd,
                                     .death_signal = SIGKILL,
                                     .watch = a->watch,
                                     .watch_user = a->watch_user };

    return child_run(&spec, APT_UNPACK_MS, 0, NULL, err);
}

int apt_get_tree(const struct apt *a, const struct apt_package *p, int *ret_tree_fd,
                 mvm_error **err)
{
    mvm_autoclose int deb_fd = -EBADF;
    mvm_autoclose int tree_fd = -EBADF;
    int r = path_make_dir_at(a->dir_fd, "deb", 0755, &deb_fd, err);

    if (r == 0)
        r = path_make_dir_at(a->dir_fd, "tree", 0700, &tree_fd, err);
    if (r == 0)
        r = apt_download(a, p, deb_fd, err);
    if (r == 0)
        r = unpack_deb(a, deb_fd, err);
    if (r == 0)
        r = path_remove_tree(a->dir_fd, "deb", err);
    if (r == 0)
        *ret_tree_fd = steal_fd(&tree_fd);
    return r;
}
