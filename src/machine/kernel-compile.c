/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kbuild's part of a build. Everything that could differ between two builds of one input is fixed
 * here (Linux, Documentation/kbuild/reproducible-builds.rst): time, user, host, number of the
 * build, the language, and the paths that __FILE__ would carry. Nothing of the caller's environment
 * reaches it but PATH, HOME and TMPDIR.
 */
#include "base/child.h"
#include "base/file.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "machine/kernel-build-internal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>

/* allnoconfig takes some seconds, a build 5 minutes of two cores: limits for what hangs. */
#define CONFIGURE_MS (10 * 60 * 1000)
#define COMPILE_MS (4 * 60 * 60 * 1000)
#define TOOL_MS (60 * 1000)
#define TOOL_OUTPUT_MAX 65536
/* "config NAME" lines of a tree: 20 000 in Linux 6.1. */
#define SYMBOLS_MAX (8u << 20)

static const struct {
    const char *program;
    const char *package;
} tools[] = {
    { "make", "make" },   { "gcc", "gcc" },        { "ld", "binutils" }, { "flex", "flex" },
    { "bison", "bison" }, { "bc", "bc" },          { "tar", "tar" },     { "xz", "xz-utils" },
    { "grep", "grep" },   { "strip", "binutils" },
};

/* A header that no folder is certain for: the compiler knows. objtool needs it. */
static bool has_header(const char *header)
{
    char *const argv[] = { (char *) "gcc",       (char *) "-fsyntax-only",
                           (char *) "-include",  (char *) header,
                           (char *) "-x",        (char *) "c",
                           (char *) "/dev/null", NULL };
    const struct child_spec spec = { .argv = argv };

    return child_run(&spec, TOOL_MS, 0, NULL, NULL) == 0;
}

int build_check_tools(mvm_error **err)
{
    mvm_autovalue(strbuf) missing = STRBUF_INIT(1024);
    mvm_autovalue(strbuf) packages = STRBUF_INIT(1024);
    bool has_gcc = true;

    for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
        mvm_autofree char *path = path_find_program(tools[i].program);

        if (path)
            continue;
        has_gcc &= strcmp(tools[i].program, "gcc") != 0;
        strbuf_addf(&missing, "%s%s", missing.len ? ", " : "", tools[i].program);
        strbuf_addf(&packages, " %s", tools[i].package);
    }
    if (has_gcc && !has_header("libelf.h")) {
        strbuf_addf(&missing, "%slibelf.h", missing.len ? ", " : "");
        strbuf_adds(&packages, " libelf-dev");
    }
    if (missing.len == 0)
        return 0;
    return mvm_fail(err, MVM_E_NOT_FOUND, 0, "not installed: %s (apt-get install%s)",
                    strbuf_str(&missing), strbuf_str(&packages));
}

/* The first line of `PROGRAM --version`. */
static int tool_version(const char *program, char **ret, mvm_error **err)
{
    char *const argv[] = { (char *) program, (char *) "--version", NULL };
    const struct child_spec spec = { .argv = argv };
    int r = child_run(&spec, TOOL_MS, TOOL_OUTPUT_MAX, ret, err);

    if (r == 0)
        (*ret)[strcspn(*ret, "\n")] = '\0';
    return r;
}

int build_find_compiler(struct build *b, mvm_error **err)
{
    mvm_autofree char *gcc = NULL;
    mvm_autofree char *ld = NULL;
    int r = tool_version("gcc", &gcc, err);

    if (r == 0)
        r = tool_version("ld", &ld, err);
    if (r < 0)
        return r;
    if (asprintf(&b->compiler, "%s\n%s", gcc, ld) < 0) {
        b->compiler = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

static int make_environment(const struct build *b, struct strv *envp)
{
    static const char *const fixed[] = { "LC_ALL=C",
                                         "KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970",
                                         "KBUILD_BUILD_USER=microvm", "KBUILD_BUILD_HOST=microvm",
                                         "KBUILD_BUILD_VERSION=1" };
    static const char *const kept[] = { "PATH", "HOME", "TMPDIR" };
    int r = 0;

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(fixed); i++)
        r = strv_add(envp, fixed[i]);
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(kept); i++)
        if (getenv(kept[i]))
            r = strv_addf(envp, "%s=%s", kept[i], getenv(kept[i]));
    if (r >= 0)
        r = strv_addf(envp, "KCONFIG_ALLCONFIG=%s/wanted.config", b->store.temp_path);
    if (r >= 0)
        r = strv_addf(envp, "KCFLAGS=-ffile-prefix-map=%s/=", b->source_path);
    if (r >= 0)
        r = strv_addf(envp, "KAFLAGS=-ffile-prefix-map=%s/=", b->source_path);
    return r;
}

static unsigned job_count(const struct build *b)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    return b->options->jobs ? b->options->jobs : cpus > 0 ? (unsigned) cpus : 1;
}

static int run_make(struct build *b, const char *target, int timeout_ms, mvm_error **err)
{
    mvm_autovalue(strv) argv = { .n = 0 };
    mvm_autovalue(strv) envp = { .n = 0 };
    int r = strv_add(&argv, "make");

    if (r >= 0)
        r = strv_addf(&argv, "-j%u", job_count(b));
    if (r >= 0)
        r = strv_addf(&argv, "--directory=%s", b->source_path);
    if (r >= 0)
        r = strv_addf(&argv, "O=%s", b->object_path);
    if (r >= 0)
        r = strv_addf(&argv, "ARCH=%s", b->arch->arch);
    if (r >= 0)
        r = strv_add(&argv, target);
    if (r < 0 || make_environment(b, &envp) < 0)
        return mvm_fail_nomem(err);
    return build_run(b, argv.items, envp.items, timeout_ms, err);
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* All options that the source has, of every architecture. */
static int list_symbols(const struct build *b, struct strv *ret, mvm_error **err)
{
    char *const argv[] = { (char *) "grep",
                           (char *) "-rhoE",
                           (char *) "--include=Kconfig*",
                           (char *) "^[[:blank:]]*(menu)?config[[:blank:]]+[A-Za-z0-9_]+",
                           b->source_path,
                           NULL };
    const struct child_spec spec = {
        .argv = argv, .death_signal = SIGKILL, .watch = build_watch, .watch_user = (void *) b
    };
    mvm_autofree char *text = NULL;
    int r = child_run(&spec, CONFIGURE_MS, SYMBOLS_MAX, &text, err);

    if (r < 0)
        return r;
    for (char *line = text; r >= 0 && *line;) {
        size_t len = strcspn(line, "\n");
        char *next = line + len + (line[len] == '\n'), *name;

        line[len] = '\0';
        name = line + len;
        while (name > line && name[-1] != ' ' && name[-1] != '\t')
            name--;
        r = strv_add(ret, name);
        line = next;
    }
    if (r < 0)
        return mvm_fail_nomem(err);
    if (ret->n > 0)
        qsort(ret->items, ret->n, sizeof(char *), compare_text);
    return 0;
}

static int check_config(struct build *b, mvm_error **err)
{
    mvm_autoclose int fd = open(b->object_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mvm_autovalue(kconfig) got = { .items = NULL };
    mvm_autofree char *text = NULL;
    size_t len;
    int r;

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s'", b->object_path);
    r = file_read(fd, ".config", KCONFIG_TEXT_MAX, &text, &len, err);
    if (r == 0)
        r = kconfig_parse(text, len, &got, err);
    return r < 0 ? r : kconfig_check_values(&b->wanted, &got, err);
}

int build_configure(struct build *b, mvm_error **err)
{
    mvm_autovalue(strv) symbols = { .n = 0 };
    mvm_autoclose int fd = -EBADF;
    int r;

    build_step(b, "configuring");
    b->object_path = path_join(b->store.temp_path, "object");
    if (!b->object_path)
        return mvm_fail_nomem(err);
    r = list_symbols(b, &symbols, err);
    if (r == 0)
        r = kconfig_check_known(&b->wanted, &symbols, err);
    if (r == 0)
        r = path_make_dir_at(b->store.temp_fd, "object", 0755, &fd, err);
    if (r == 0)
        r = file_write(b->store.temp_fd, "wanted.config", b->fragment, strlen(b->fragment), 0644,
                       err);
    if (r == 0)
        r = run_make(b, "allnoconfig", CONFIGURE_MS, err);
    return r < 0 ? r : check_config(b, err);
}

int build_compile(struct build *b, mvm_error **err)
{
    mvm_autofree char *from = path_join(b->object_path, "vmlinux");
    mvm_autofree char *to = path_join(b->object_path, "vmlinux.stripped");
    int r;

    if (!from || !to)
        return mvm_fail_nomem(err);
    char *const strip[] = {
        (char *) "strip", (char *) "--strip-all", (char *) "-o", to, from, NULL
    };

    build_step(b, "compiling");
    r = run_make(b, "vmlinux", COMPILE_MS, err);
    return r < 0 ? r : build_run(b, strip, NULL, TOOL_MS, err);
}
