/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding a kernel compares sizes only, since a digest of 50 MB would delay each start by some 30
 * ms; a fetch that finds one compares the digests, and replaces a damaged one.
 */
#include "base/path.h"
#include "machine/kernel-apt.h"
#include "machine/kernel-info.h"
#include "machine/kernel-internal.h"
#include "machine/kernel-pack.h"
#include "machine/kernel-store.h"

#include <fcntl.h>
#include <sys/utsname.h>

#define FETCH_META "linux-image-cloud-amd64"
#define FETCH_PREFIX "linux-image-"

static const struct kernel_maker fetch_maker = { .what = "fetch",
                                                 .lock = ".lock",
                                                 .prefix = ".fetch-" };

int kernel_verify(const struct kernel *k, mvm_error **err)
{
    mvm_autofree char *folder = strndup(k->vmlinux_path,
                                        (size_t) (strrchr(k->vmlinux_path, '/') - k->vmlinux_path));
    mvm_autoclose int fd = -EBADF;
    mvm_autojson json_t *info = NULL;
    int r;

    if (!folder)
        return mvm_fail_nomem(err);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s'", folder);
    r = kernel_info_read(fd, &info, err);
    if (r == 0)
        r = kernel_info_check_digest(info, "vmlinux", k->vmlinux_path, err);
    if (r == 0 && k->modules_path)
        r = kernel_info_check_digest(info, "modules", k->modules_path, err);
    return r < 0 ? mvm_context(err, r, "kernel %s", k->release) : 0;
}

/* The one that is there already; NULL when none is, or it is damaged. */
static struct kernel *find_intact(const char *cache_dir, const struct log *log)
{
    mvm_autoerror mvm_error *reason = NULL;
    mvm_auto(kernel) k = NULL;

    if (kernel_find_fetched(cache_dir, &k, NULL) < 0)
        return NULL;
    if (kernel_verify(k, &reason) < 0) {
        log_warning(log, "kernel", "%s: fetching it again", mvm_error_message(reason));
        return NULL;
    }
    return steal_ptr(&k);
}

/* From nothing to the finished folder "out". */
static int fetch_package(struct kernel_store *s, char **ret_release, mvm_error **err)
{
    const struct apt apt = {
        .dir = s->temp_path, .dir_fd = s->temp_fd, .held_fd = s->lock_fd, .log = s->log
    };
    mvm_autovalue(apt_package) package = { .name = NULL };
    mvm_autoclose int tree_fd = -EBADF;
    int r;

    log_info(s->log, "kernel", "asking apt for Debian's cloud kernel");
    r = apt_find_package(&apt, FETCH_META, FETCH_PREFIX, &package, err);
    if (r < 0)
        return r;
    log_info(s->log, "kernel", "downloading %s %s", package.name, package.version);
    r = apt_get_tree(&apt, &package, &tree_fd, err);
    if (r == 0)
        r = kernel_pack(tree_fd, s->out_fd, package.name, package.version, ret_release, err);
    return r;
}

static int fetch_new(struct kernel_store *s, struct kernel **ret, mvm_error **err)
{
    mvm_autofree char *release = NULL;
    mvm_autofree char *folder = NULL;
    int r = kernel_store_make_temp(s, err);

    if (r == 0)
        r = fetch_package(s, &release, err);
    if (r == 0)
        r = kernel_store_publish(s, release, err);
    if (r < 0)
        return r;
    folder = path_join(s->path, release);
    *ret = folder ? kernel_load(folder, NULL) : NULL;
    if (!*ret)
        return mvm_fail(err, MVM_E_STATE, 0, "the new kernel in '%s' vanished", s->path);
    log_info(s->log, "kernel", "%s is ready", release);
    return 0;
}

int kernel_fetch_debian(const char *cache_dir, bool force, const struct log *log,
                        struct kernel **ret, mvm_error **err)
{
    mvm_autovalue(kernel_store) s = KERNEL_STORE_NONE;
    struct utsname host;
    struct kernel *present;
    int r;

    s.log = log;
    s.maker = &fetch_maker;
    if (uname(&host) < 0 || strcmp(host.machine, "x86_64") != 0)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                        "kernels can be fetched for x86_64 hosts only: use --kernel FILE");
    r = kernel_store_open(&s, cache_dir, err);
    if (r < 0)
        return mvm_context(err, r, "fetch a guest kernel");
    present = force ? NULL : find_intact(cache_dir, log);
    if (present) {
        *ret = present;
        return 0;
    }
    r = fetch_new(&s, ret, err);
    return r < 0 ? mvm_context(err, r, "fetch a guest kernel") : 0;
}
