/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetching a kernel: everything happens in a temporary folder beside the kernels, and the finished
 * one appears by rename. A lock on the folder makes a second fetch wait, and then find the first
 * one's result. Whoever holds the lock removes what a killed fetch left. The programs that a fetch
 * starts hold it too: apt changes its user, which frees it from the death signal (prctl(2)), and
 * would else outlive us unnoticed, in a folder that somebody removes.
 *
 * Finding a kernel compares sizes only, since a digest of 50 MB would delay each start by some 30
 * ms; a fetch that finds one compares the digests, and replaces a damaged one.
 */
#include "base/child.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "machine/kernel-apt.h"
#include "machine/kernel-internal.h"
#include "machine/kernel-pack.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define FETCH_LOCK ".lock"
#define FETCH_TEMP_PREFIX ".fetch-"
#define FETCH_META "linux-image-cloud-amd64"
#define FETCH_PREFIX "linux-image-"
/* Unpacking 27 MB takes a second. */
#define FETCH_UNPACK_MS (10 * 60 * 1000)

struct fetch {
    const struct log *log; /* borrowed */
    char *path;            /* owned: <cache>/kernels */
    int fd;                /* owned: the same */
    int lock_fd;           /* owned */
    char *temp_name;       /* owned; NULL: there is none */
    char *temp_path;       /* owned */
    int temp_fd;           /* owned */
    int tree_fd;           /* owned: the unpacked package */
    int out_fd;            /* owned: the new kernel */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void) close(steal_fd(fd));
}

static void fetch_deinit(struct fetch *f)
{
    close_fd(&f->temp_fd);
    close_fd(&f->tree_fd);
    close_fd(&f->out_fd);
    if (f->temp_name)
        (void) path_remove_tree(f->fd, f->temp_name, NULL); /* the next fetch tries again */
    free(f->temp_name);
    free(f->temp_path);
    free(f->path);
    close_fd(&f->lock_fd); /* last: the folder is ours until here */
    close_fd(&f->fd);
}
MVM_DEFINE_AUTOVALUE(fetch, fetch_deinit)

static int take_lock(struct fetch *f, mvm_error **err)
{
    int r = path_open_beneath(f->fd, FETCH_LOCK, O_RDWR | O_CREAT, 0644, &f->lock_fd, err);

    if (r < 0)
        return r;
    if (flock(f->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    log_info(f->log, "kernel", "another fetch is under way: waiting for it");
    while (flock(f->lock_fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return mvm_fail(err, MVM_E_SYS, errno, "lock '%s/%s'", f->path, FETCH_LOCK);
    return 0;
}

/* A rewinddir() after each removal, since a removal may hide entries from readdir(3). */
static int remove_leftovers(const struct fetch *f, mvm_error **err)
{
    int fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3), r = 0;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    if (!d) {
        r = mvm_fail(err, MVM_E_SYS, errno, "list '%s'", f->path);
        close_fd(&fd);
        return r;
    }
    rewinddir(d);
    while (r == 0 && (e = readdir(d)))
        if (strncmp(e->d_name, FETCH_TEMP_PREFIX, strlen(FETCH_TEMP_PREFIX)) == 0) {
            r = path_remove_tree(f->fd, e->d_name, err);
            rewinddir(d);
        }
    (void) closedir(d);
    return r;
}

static int file_digest(const char *path, struct digest *ret, mvm_error **err)
{
    mvm_auto(digest_stream) stream = NULL;
    mvm_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    mvm_autofree char *chunk = malloc(1 << 16);
    ssize_t n = 1;
    int r;

    if (!chunk)
        return mvm_fail_nomem(err);
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s'", path);
    r = digest_stream_new(DIGEST_SHA256, &stream, err);
    while (r == 0 && n > 0) {
        n = read(fd, chunk, 1 << 16);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0)
            r = mvm_fail(err, MVM_E_SYS, errno, "read '%s'", path);
        else
            digest_stream_update(stream, chunk, (size_t) n);
    }
    return r < 0 ? r : digest_stream_finish(stream, ret, err);
}

/* The file @path has the digest that @info notes under @key. */
static int check_digest(const json_t *info, const char *key, const char *path, mvm_error **err)
{
    const char *text = NULL;
    struct digest wanted, found;
    int r = json_need_str(info, key, &text, err);

    if (r == 0)
        r = digest_parse(text, &wanted, err);
    if (r == 0)
        r = file_digest(path, &found, err);
    if (r == 0 && !digest_equal(&wanted, &found))
        r = mvm_fail(err, MVM_E_DIGEST, 0, "'%s' differs from its digest", path);
    return r;
}

int kernel_verify(const struct kernel *k, mvm_error **err)
{
    mvm_autofree char *folder = strndup(k->vmlinux_path,
                                        (size_t) (strrchr(k->vmlinux_path, '/') - k->vmlinux_path));
    mvm_autoclose int fd = -EBADF;
    mvm_autofree char *text = NULL;
    mvm_autojson json_t *info = NULL;
    size_t len;
    int r;

    if (!folder)
        return mvm_fail_nomem(err);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s'", folder);
    r = file_read(fd, KERNEL_INFO, KERNEL_INFO_MAX, &text, &len, err);
    if (r == 0)
        r = json_parse(text, len, KERNEL_INFO, &info, err);
    if (r == 0)
        r = check_digest(info, "vmlinux_digest", k->vmlinux_path, err);
    if (r == 0 && k->modules_path)
        r = check_digest(info, "modules_digest", k->modules_path, err);
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

/* 0711: apt downloads as its own user where it can reach the folder. */
static int make_temp(struct fetch *f, mvm_error **err)
{
    int r = path_make_temp_dir(f->fd, FETCH_TEMP_PREFIX, &f->temp_name, &f->temp_fd, err);

    if (r < 0)
        return r;
    if (fchmod(f->temp_fd, 0711) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open up a folder for apt");
    f->temp_path = path_join(f->path, f->temp_name);
    if (!f->temp_path)
        return mvm_fail_nomem(err);
    r = path_make_dir_at(f->temp_fd, "tree", 0700, &f->tree_fd, err);
    return r < 0 ? r : path_make_dir_at(f->temp_fd, "out", 0755, &f->out_fd, err);
}

/* The name of the one file *.deb; owned by the caller. */
static int find_deb(int dir_fd, char **ret, mvm_error **err)
{
    int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    char *name = NULL;

    if (!d) {
        close_fd(&fd);
        return mvm_fail(err, MVM_E_SYS, errno, "list a folder");
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

static int unpack_deb(const struct fetch *f, int deb_fd, mvm_error **err)
{
    mvm_autofree char *name = NULL;
    mvm_autofree char *tree = path_join(f->temp_path, "tree");
    int r = tree ? find_deb(deb_fd, &name, err) : mvm_fail_nomem(err);

    if (r < 0)
        return r;
    char *const argv[] = { (char *) "dpkg-deb", (char *) "--extract", name, tree, NULL };
    const struct child_fd held = { .from = f->lock_fd, .to = STDIN_FILENO };
    const struct child_spec spec = {
        .argv = argv, .fds = &held, .n_fds = 1, .cwd_fd = deb_fd, .death_signal = SIGKILL
    };

    return child_run(&spec, FETCH_UNPACK_MS, 0, NULL, err);
}

/* From nothing to the finished folder "out". */
static int fetch_package(struct fetch *f, char **ret_release, mvm_error **err)
{
    const struct apt apt = {
        .dir = f->temp_path, .dir_fd = f->temp_fd, .held_fd = f->lock_fd, .log = f->log
    };
    mvm_autovalue(apt_package) package = { .name = NULL };
    mvm_autoclose int deb_fd = -EBADF;
    int r;

    log_info(f->log, "kernel", "asking apt for Debian's cloud kernel");
    r = apt_find_package(&apt, FETCH_META, FETCH_PREFIX, &package, err);
    if (r < 0)
        return r;
    log_info(f->log, "kernel", "downloading %s %s", package.name, package.version);
    r = path_make_dir_at(f->temp_fd, "deb", 0755, &deb_fd, err);
    if (r == 0)
        r = apt_download(&apt, &package, deb_fd, err);
    if (r == 0)
        r = unpack_deb(f, deb_fd, err);
    if (r == 0)
        r = kernel_pack(f->tree_fd, f->out_fd, package.name, package.version, ret_release, err);
    return r;
}

/* Puts "out" in its place; an older one of that release goes away with the temporary folder. */
static int publish(const struct fetch *f, const char *release, mvm_error **err)
{
    if (renameat2(f->temp_fd, "out", f->fd, release, RENAME_NOREPLACE) < 0 &&
        (errno != EEXIST || renameat2(f->temp_fd, "out", f->fd, release, RENAME_EXCHANGE) < 0))
        return mvm_fail(err, MVM_E_SYS, errno, "move the new kernel to '%s/%s'", f->path, release);
    if (fsync(f->fd) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "sync '%s'", f->path);
    return 0;
}

static int fetch_open(struct fetch *f, const char *cache_dir, mvm_error **err)
{
    int r;

    f->path = path_join(cache_dir, KERNELS_DIR);
    if (!f->path)
        return mvm_fail_nomem(err);
    r = path_make_dirs(f->path, 0755, &f->fd, err);
    if (r == 0)
        r = take_lock(f, err);
    if (r == 0)
        r = remove_leftovers(f, err);
    return r;
}

static int fetch_new(struct fetch *f, struct kernel **ret, mvm_error **err)
{
    mvm_autofree char *release = NULL;
    mvm_autofree char *folder = NULL;
    int r = make_temp(f, err);

    if (r == 0)
        r = fetch_package(f, &release, err);
    if (r == 0)
        r = publish(f, release, err);
    if (r < 0)
        return r;
    folder = path_join(f->path, release);
    *ret = folder ? kernel_load(folder, NULL) : NULL;
    if (!*ret)
        return mvm_fail(err, MVM_E_STATE, 0, "the new kernel in '%s' vanished", f->path);
    log_info(f->log, "kernel", "%s is ready", release);
    return 0;
}

int kernel_fetch_debian(const char *cache_dir, bool force, const struct log *log,
                        struct kernel **ret, mvm_error **err)
{
    mvm_autovalue(fetch) f = { .log = log,
                               .fd = -EBADF,
                               .lock_fd = -EBADF,
                               .temp_fd = -EBADF,
                               .tree_fd = -EBADF,
                               .out_fd = -EBADF };
    struct utsname host;
    struct kernel *present;
    int r;

    if (uname(&host) < 0 || strcmp(host.machine, "x86_64") != 0)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                        "kernels can be fetched for x86_64 hosts only: use --kernel FILE");
    r = fetch_open(&f, cache_dir, err);
    if (r < 0)
        return mvm_context(err, r, "fetch a guest kernel");
    present = force ? NULL : find_intact(cache_dir, log);
    if (present) {
        *ret = present;
        return 0;
    }
    r = fetch_new(&f, ret, err);
    return r < 0 ? mvm_context(err, r, "fetch a guest kernel") : 0;
}
