/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/kernel.h"

#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "machine/kernel-image.h"
#include "machine/kernel-internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

void kernel_free(struct kernel *k)
{
    if (!k)
        return;
    free(k->vmlinux_path);
    free(k->modules_path);
    free(k->release);
    free(k->source);
    free(k);
}

void kernel_list_free(struct kernel **kernels, size_t n)
{
    for (size_t i = 0; i < n; i++)
        kernel_free(kernels[i]);
    free(kernels);
}

struct kernel_set {
    struct kernel **items;
    size_t n, cap;
    bool outdated; /* one of an earlier format is there, and left out */
};

static void kernel_set_deinit(struct kernel_set *s)
{
    kernel_list_free(s->items, s->n);
    *s = (struct kernel_set){ .items = NULL };
}
MVM_DEFINE_AUTOVALUE(kernel_set, kernel_set_deinit)

static int set_add(struct kernel_set *s, struct kernel *k, mvm_error **err)
{
    if (mem_grow(&s->items, &s->cap, s->n + 1, sizeof(struct kernel *)) < 0) {
        kernel_free(k);
        return mvm_fail_nomem(err);
    }
    s->items[s->n++] = k;
    return 0;
}

/* All four texts are taken over; one that is NULL stands for lack of memory, but for @modules. */
static struct kernel *kernel_new(char *vmlinux, char *modules, char *release, char *source)
{
    mvm_auto(kernel) k = calloc(1, sizeof(*k));

    if (!k) {
        free(vmlinux);
        free(modules);
        free(release);
        free(source);
        return NULL;
    }
    k->vmlinux_path = vmlinux;
    k->modules_path = modules;
    k->release = release;
    k->source = source;
    return vmlinux && release && source ? steal_ptr(&k) : NULL;
}

/* The size that kernel.json noted when the file was made: a cheap check of wholeness; the folder
 * appeared by rename. */
static bool file_is_whole(int dir_fd, const char *name, const json_t *info, const char *key)
{
    uint64_t size = 0;
    struct stat st;

    return json_get_u64(info, key, INT64_MAX, &size, NULL) == 0 && size > 0 &&
           fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t) st.st_size == size;
}

static bool is_outdated(const json_t *info)
{
    uint64_t format = 1;

    return json_get_u64(info, KERNEL_INFO_FORMAT, UINT32_MAX, &format, NULL) < 0 ||
           format < KERNEL_FORMAT;
}

struct kernel *kernel_load(const char *path, bool *outdated)
{
    mvm_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mvm_autofree char *text = NULL;
    mvm_autojson json_t *info = NULL;
    const char *release = NULL, *source = NULL;
    size_t len = 0;

    if (fd < 0 || file_read(fd, KERNEL_INFO, KERNEL_INFO_MAX, &text, &len, NULL) < 0 ||
        json_parse(text, len, KERNEL_INFO, &info, NULL) < 0 ||
        json_need_str(info, "release", &release, NULL) < 0 ||
        json_need_str(info, "source", &source, NULL) < 0)
        return NULL;
    if (!file_is_whole(fd, "vmlinux", info, "vmlinux_size") ||
        (json_object_get(info, "modules_size") &&
         !file_is_whole(fd, "modules.cpio", info, "modules_size")))
        return NULL;
    if (is_outdated(info)) {
        if (outdated)
            *outdated = true;
        return NULL;
    }
    return kernel_new(path_join(path, "vmlinux"),
                      json_object_get(info, "modules_size") ? path_join(path, "modules.cpio")
                                                            : NULL,
                      strdup(release), strdup(source));
}

static int newest_first(const void *a, const void *b)
{
    const struct kernel *const *x = a, *const *y = b;

    return strverscmp((*y)->release, (*x)->release);
}

/* Those of <dir>/kernels, the newest first, after what @set has already. */
static int set_add_folder(struct kernel_set *set, const char *dir, mvm_error **err)
{
    mvm_autofree char *path = path_join(dir, KERNELS_DIR);
    size_t before = set->n;
    const struct dirent *e;
    DIR *d;
    int r = 0;

    if (!path)
        return mvm_fail_nomem(err);
    d = opendir(path);
    if (!d)
        return errno == ENOENT ? 0 : mvm_fail(err, MVM_E_SYS, errno, "list '%s'", path);
    while (r == 0 && (e = readdir(d))) {
        mvm_autofree char *folder = e->d_name[0] == '.' ? NULL : path_join(path, e->d_name);
        struct kernel *k = folder ? kernel_load(folder, &set->outdated) : NULL;

        if (k)
            r = set_add(set, k, err);
    }
    (void) closedir(d);
    if (set->n > before)
        qsort(set->items + before, set->n - before, sizeof(struct kernel *), newest_first);
    return r;
}

/* A file that the user names. Modules of a fetched kernel go along: init takes those of the release
 * that runs, which is this one's where the file is a copy of Debian's. */
static int kernel_from_file(const char *file, const struct kernel_set *known, struct kernel **ret,
                            mvm_error **err)
{
    mvm_autoclose int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* a FIFO */
    mvm_autofree char *modules = NULL;
    char *path = NULL;
    int r;

    if (fd < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno, "kernel '%s'",
                        file);
    r = kernel_image_check(fd, file, err);
    if (r < 0)
        return r;
    r = path_of_fd(fd, &path, err); /* the runner works elsewhere, and needs the whole path */
    if (r < 0)
        return mvm_context(err, r, "kernel '%s'", file);
    if (known->n > 0 && known->items[0]->modules_path) {
        modules = strdup(known->items[0]->modules_path);
        if (!modules) {
            free(path);
            return mvm_fail_nomem(err);
        }
    }
    *ret = kernel_new(path, steal_ptr(&modules), strdup(""), strdup("file"));
    return *ret ? 0 : mvm_fail_nomem(err);
}

static int list_all(const char *lib_dir, const char *cache_dir, struct kernel_set *set,
                    mvm_error **err)
{
    int r = set_add_folder(set, lib_dir, err);

    return r < 0 ? r : set_add_folder(set, cache_dir, err);
}

int kernel_find(const char *file, const char *lib_dir, const char *cache_dir, struct kernel **ret,
                mvm_error **err)
{
    mvm_autovalue(kernel_set) set = { .items = NULL };
    int r;

    if (!file || !*file)
        file = getenv("MICROVM_KERNEL");
    r = list_all(lib_dir, cache_dir, &set, err);
    if (r < 0)
        return r;
    if (file && *file)
        return kernel_from_file(file, &set, ret, err);
    if (set.n == 0)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "%s: run 'microvm kernel fetch'",
                        set.outdated ? "the guest kernel here is of an older microvm and lacks "
                                       "modules that guests need now"
                                     : "no guest kernel is here");
    *ret = set.items[0];
    set.items[0] = NULL;
    return 0;
}

int kernel_find_fetched(const char *cache_dir, struct kernel **ret, mvm_error **err)
{
    mvm_autovalue(kernel_set) set = { .items = NULL };
    int r = set_add_folder(&set, cache_dir, err);

    if (r < 0)
        return r;
    if (set.n == 0)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "no guest kernel in '%s'", cache_dir);
    *ret = set.items[0];
    set.items[0] = NULL;
    return 0;
}

int kernel_list(const char *lib_dir, const char *cache_dir, struct kernel ***ret, size_t *ret_n,
                mvm_error **err)
{
    mvm_autovalue(kernel_set) set = { .items = NULL };
    mvm_autovalue(kernel_set) named = { .items = NULL };
    const char *file = getenv("MICROVM_KERNEL");
    struct kernel *k = NULL;
    int r;

    r = list_all(lib_dir, cache_dir, &set, err);
    if (r == 0 && file && *file)
        r = kernel_from_file(file, &set, &k, err);
    if (r == 0 && k)
        r = set_add(&named, k, err);
    for (size_t i = 0; i < set.n && r == 0; i++) {
        k = set.items[i];
        set.items[i] = NULL;
        r = set_add(&named, k, err);
    }
    if (r < 0)
        return r;
    *ret = steal_ptr(&named.items);
    *ret_n = named.n;
    named.n = 0;
    return 0;
}
