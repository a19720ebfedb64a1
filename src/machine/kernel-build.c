/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building our own guest kernel. What decides its bytes is known before the long part: the options,
 * the versions of compiler and linker, and the source. Their digest is noted in kernel.json, so
 * that the same is not built twice; a folder given as source may have been edited and is built each
 * time. Without @update apt is not asked either: a kernel of the same options and compiler will do.
 *
 * As with fetching, all happens in a temporary folder, and the result appears by rename. The log
 * stays beside the kernels, so that it can be read after a failure.
 */
#include "base/digest.h"
#include "base/file.h"
#include "base/io.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "machine/kernel-build-internal.h"
#include "machine/kernel-image.h"
#include "machine/kernel-info.h"
#include "machine/kernel-internal.h"
#include "machine/kernel-needs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#define BUILD_LOG "build.log"
/* What the digest of the options covers beside them; grows when a build of the same input gives
 * something else. */
#define BUILD_RECIPE "microvm kernel 1"
#define BUILD_OPTIONS_KEY "options"
/* Source (1.4 GiB), its package and archive (0.3), objects (0.4), and some more. */
#define BUILD_SPACE_MIN (5ull << 29)
/* Our limit on a vmlinux is 20 MiB; who adds debug options gets more. */
#define BUILD_VMLINUX_MAX (256u << 20)
#define BUILD_RELEASE_MAX 256
static const struct kernel_maker build_maker = { .what = "build",
                                                 .lock = ".lock-build",
                                                 .prefix = ".build-" };

static const struct build_arch archs[] = {
    { "x86_64", "x86_64", kernel_fragment_x86_64 },
};

static void build_deinit(struct build *b)
{
    kconfig_deinit(&b->wanted);
    free(b->fragment);
    free(b->compiler);
    free(b->source_name);
    free(b->source_path);
    free(b->object_path);
    free(b->log_path);
    if (b->log_fd >= 0)
        (void) close(steal_fd(&b->log_fd));
    kernel_store_deinit(&b->store);
}
MVM_DEFINE_AUTOVALUE(build, build_deinit)

/* Ours, those of the architecture, and the caller's. */
static int gather_options(struct build *b, mvm_error **err)
{
    const char *path = b->options->config_path;
    mvm_autofree char *own = NULL;
    mvm_autoclose int fd = -EBADF;
    mvm_autovalue(kconfig) alone = { .items = NULL };
    size_t len = 0;
    int r = 0;

    if (path) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno,
                            "options '%s'", path);
        r = io_read_all(fd, KCONFIG_TEXT_MAX / 2, &own, &len, err);
        if (r == 0) /* by itself first, for the numbers of its lines */
            r = kconfig_parse(own, len, &alone, err);
        if (r < 0)
            return mvm_context(err, r, "options '%s'", path);
    }
    if (asprintf(&b->fragment, "%s%s%s", kernel_fragment_common, b->arch->fragment,
                 own ? own : "") < 0) {
        b->fragment = NULL;
        return mvm_fail_nomem(err);
    }
    return kconfig_parse(b->fragment, strlen(b->fragment), &b->wanted, err);
}

/* With the source's name or, when that is NULL, without. */
static int build_digest(const struct build *b, const char *source, struct digest_text *ret,
                        mvm_error **err)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(2 * KCONFIG_TEXT_MAX);
    struct digest digest;
    int r;

    strbuf_addf(&text, BUILD_RECIPE "\n%s\n%s\n%s\n", b->arch->arch, b->compiler,
                source ? source : "");
    for (size_t i = 0; i < b->wanted.n; i++)
        strbuf_addf(&text, "%s=%s\n", b->wanted.items[i].name, b->wanted.items[i].value);
    r = strbuf_check(&text, "options", err);
    if (r == 0)
        r = digest_of(DIGEST_SHA256, text.data, text.len, &digest, err);
    if (r == 0)
        *ret = digest_format(&digest);
    return r;
}

/* A whole kernel whose kernel.json has @value under @key; NULL for none. */
static struct kernel *find_built(const struct build *b, const char *key, const char *value)
{
    DIR *d = opendir(b->store.path);
    struct kernel *found = NULL;
    const struct dirent *e;

    while (d && !found && (e = readdir(d))) {
        mvm_autofree char *path = e->d_name[0] == '.' ? NULL : path_join(b->store.path, e->d_name);
        mvm_autoclose int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -EBADF;
        mvm_autojson json_t *info = NULL;
        mvm_autoerror mvm_error *why = NULL;
        const char *text = NULL;

        if (fd < 0 || kernel_info_read(fd, &info, NULL) < 0 ||
            json_need_str(info, key, &text, NULL) < 0 || strcmp(text, value) != 0)
            continue;
        found = kernel_load(path, NULL);
        if (found && kernel_verify(found, &why) < 0) {
            log_warning(b->store.log, "kernel", "%s: building it again", mvm_error_message(why));
            kernel_free(steal_ptr(&found));
        }
    }
    if (d)
        (void) closedir(d);
    return found;
}

static int check_space(const struct build *b, mvm_error **err)
{
    struct statvfs v;
    uint64_t free_bytes;

    if (fstatvfs(b->store.fd, &v) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "ask for the space below '%s'", b->store.path);
    free_bytes = (uint64_t) v.f_bavail * v.f_frsize;
    if (free_bytes >= BUILD_SPACE_MIN)
        return 0;
    return mvm_fail(err, MVM_E_LIMIT, 0, "'%s' has %llu MiB of free space, a build takes %llu",
                    b->store.path, (unsigned long long) (free_bytes >> 20), BUILD_SPACE_MIN >> 20);
}

static int read_object(const struct build *b, const char *name, size_t max, char **ret,
                       size_t *ret_len, mvm_error **err)
{
    mvm_autoclose int dir_fd = open(b->object_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mvm_autoclose int fd = -EBADF;
    int r;

    if (dir_fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s'", b->object_path);
    r = path_open_beneath(dir_fd, name, O_RDONLY, 0, &fd, err);
    if (r == 0)
        r = io_read_all(fd, max, ret, ret_len, err);
    return r < 0 ? mvm_context(err, r, "what was built, '%s'", name) : 0;
}

static int read_release(const struct build *b, char **ret, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    size_t len;
    int r = read_object(b, "include/config/kernel.release", BUILD_RELEASE_MAX, &text, &len, err);

    if (r < 0)
        return r;
    text[strcspn(text, "\n")] = '\0';
    if (!path_is_component(text))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is no name of a kernel", text);
    *ret = steal_ptr(&text);
    return 0;
}

/* vmlinux must boot here: the caller's options may have turned something off. */
static int pack_files(const struct build *b, json_t *info, mvm_error **err)
{
    mvm_autofree char *vmlinux = NULL;
    mvm_autofree char *text = NULL;
    mvm_autovalue(kconfig) config = { .items = NULL };
    mvm_autoclose int fd = -EBADF;
    size_t len, text_len;
    int r;

    r = read_object(b, "vmlinux.stripped", BUILD_VMLINUX_MAX, &vmlinux, &len, err);
    if (r == 0)
        r = read_object(b, ".config", KCONFIG_TEXT_MAX, &text, &text_len, err);
    if (r == 0)
        r = kconfig_parse(text, text_len, &config, err);
    if (r == 0)
        r = kernel_needs_check(&config, err);
    if (r == 0)
        r = kernel_info_add_file(info, b->store.out_fd, "config", "config", text, text_len, err);
    if (r == 0)
        r = kernel_info_add_file(info, b->store.out_fd, "vmlinux", "vmlinux", vmlinux, len, err);
    if (r == 0)
        r = path_open_beneath(b->store.out_fd, "vmlinux", O_RDONLY, 0, &fd, err);
    return r < 0 ? r : kernel_image_check(fd, "vmlinux", err);
}

/* *ret_name: of the folder that it belongs into. */
static int pack(const struct build *b, char **ret_name, mvm_error **err)
{
    mvm_autojson json_t *info = NULL;
    mvm_autofree char *release = NULL;
    struct digest_text all, options;
    int r;

    r = read_release(b, &release, err);
    if (r == 0)
        r = build_digest(b, b->source_name, &all, err);
    if (r == 0)
        r = build_digest(b, NULL, &options, err);
    if (r == 0)
        r = kernel_info_new(&info, release, b->source_name, err);
    if (r == 0)
        r = kernel_info_set(info, KERNEL_INFO_BUILT, all.text, err);
    /* What a folder held cannot be told by its version: it does not stand for Debian's. */
    if (r == 0 && !b->options->source_dir)
        r = kernel_info_set(info, BUILD_OPTIONS_KEY, options.text, err);
    if (r == 0)
        r = kernel_info_set(info, "compiler", b->compiler, err);
    if (r == 0)
        r = pack_files(b, info, err);
    if (r == 0)
        r = kernel_info_write(info, b->store.out_fd, err);
    if (r == 0 && asprintf(ret_name, "%s-%.12s", release, digest_hex(&all)) < 0) {
        *ret_name = NULL;
        r = mvm_fail_nomem(err);
    }
    return r;
}

static int make_kernel(struct build *b, struct kernel **ret, mvm_error **err)
{
    mvm_autofree char *name = NULL;
    mvm_autofree char *path = NULL;
    int r = build_get_source(b, err);

    if (r == 0)
        r = build_configure(b, err);
    if (r == 0)
        r = build_compile(b, err);
    if (r == 0)
        r = pack(b, &name, err);
    if (r == 0)
        r = kernel_store_publish(&b->store, name, err);
    if (r < 0)
        return r;
    path = path_join(b->store.path, name);
    *ret = path ? kernel_load(path, NULL) : NULL;
    if (!*ret)
        return mvm_fail(err, MVM_E_STATE, 0, "the new kernel '%s' in '%s' vanished", name,
                        b->store.path);
    log_info(b->store.log, "kernel", "%s is ready", name);
    return 0;
}

/* Looks for what is there already, first without asking for the source's version. */
static int build_prepared(struct build *b, struct kernel **ret, mvm_error **err)
{
    bool reuse = !b->options->force && !b->options->source_dir;
    struct digest_text text;
    int r = build_digest(b, NULL, &text, err);

    if (r == 0 && reuse && !b->options->update)
        *ret = find_built(b, BUILD_OPTIONS_KEY, text.text);
    if (r < 0 || *ret)
        return r;
    r = check_space(b, err);
    if (r == 0)
        r = kernel_store_make_temp(&b->store, err);
    if (r == 0)
        r = build_find_source(b, err);
    if (r == 0)
        r = build_digest(b, b->source_name, &text, err);
    if (r == 0 && reuse)
        *ret = find_built(b, KERNEL_INFO_BUILT, text.text);
    return r < 0 || *ret ? r : make_kernel(b, ret, err);
}

static int build_open(struct build *b, const char *cache_dir, mvm_error **err)
{
    struct utsname host;
    int r;

    for (size_t i = 0; uname(&host) == 0 && i < ARRAY_SIZE(archs); i++)
        if (strcmp(host.machine, archs[i].machine) == 0)
            b->arch = &archs[i];
    if (!b->arch)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                        "kernels can be built on x86_64 hosts only: use --kernel FILE");
    r = gather_options(b, err);
    if (r == 0)
        r = build_check_tools(err);
    if (r == 0)
        r = build_find_compiler(b, err);
    if (r == 0)
        r = kernel_store_open(&b->store, cache_dir, err);
    if (r == 0)
        r = path_open_beneath(b->store.fd, BUILD_LOG, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0644,
                              &b->log_fd, err);
    if (r < 0)
        return r;
    b->log_path = path_join(b->store.path, BUILD_LOG);
    return b->log_path ? 0 : mvm_fail_nomem(err);
}

int kernel_build(const char *cache_dir, const struct kernel_build *build, struct kernel **ret,
                 mvm_error **err)
{
    mvm_autovalue(build)
        b = { .options = build, .store = KERNEL_STORE_NONE, .log_fd = -EBADF, .step = "" };
    struct kernel *k = NULL;
    int r;

    b.store.log = build->log;
    b.store.maker = &build_maker;
    r = build_open(&b, cache_dir, err);
    if (r == 0)
        r = build_prepared(&b, &k, err);
    if (r < 0)
        return mvm_context(err, r, "build a guest kernel");
    *ret = k;
    return 0;
}
