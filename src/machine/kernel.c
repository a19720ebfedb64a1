/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/kernel.h"

#include "base/path.h"
#include "machine/kernel-image.h"
#include "machine/kernel-info.h"
#include "machine/kernel-internal.h"
#include "machine/kernel-needs.h"

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

static bool is_outdated(const json_t *info)
{
    uint64_t format = 1;

    return json_get_u64(info, KERNEL_INFO_FORMAT, UINT32_MAX, &format, NULL) < 0 ||
           format < KERNEL_FORMAT;
}

struct kernel *kernel_load(const char *path, bool *outdated)
{
    mvm_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mvm_autojson json_t *info = NULL;
    const char *release = NULL, *source = NULL;
    bool has_modules;
    struct kernel *k;
    struct stat st;

    if (fd < 0 || kernel_info_read(fd, &info, NULL) < 0 ||
        json_need_str(info, "release", &release, NULL) < 0 ||
        json_need_str(info, "source", &source, NULL) < 0 || fstatat(fd, KERNEL_INFO, &st, 0) < 0)
        return NULL;
    has_modules = json_object_get(info, "modules_size");
    if (!kernel_info_has_file(info, fd, "vmlinux", "vmlinux") ||
        (has_modules && !kernel_info_has_file(info, fd, "modules.cpio", "modules")))
        return NULL;
    if (is_outdated(info)) {
        if (outdated)
            *outdated = true;
        return NULL;
    }
    k = kernel_new(path_join(path, "vmlinux"), has_modules ? path_join(path, "modules.cpio") : NULL,
                   strdup(release), strdup(source));
    if (k) {
        k->built = json_object_get(info, KERNEL_INFO_BUILT);
        k->made = st.st_mtim.tv_sec;
    }
    return k;
}

static int newest_first(const void *a, const void *b)
{
    const struct kernel *const *x = a, *const *y = b;
    int order = strverscmp((*y)->release, (*x)->release);

    return order ? order : ((*y)->made > (*x)->made) - ((*y)->made < (*x)->made);
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

/* Our own builds to the front; their order, and that of the rest, stays. */
static int set_prefer_built(struct kernel_set *set, mvm_error **err)
{
    mvm_autofree struct kernel **sorted = mem_array(set->n, sizeof(struct kernel *));
    size_t n = 0;

    if (!sorted)
        return mvm_fail_nomem(err);
    for (int built = 1; built >= 0; built--)
        for (size_t i = 0; i < set->n; i++)
            if (set->items[i]->built == (bool) built)
                sorted[n++] = set->items[i];
    if (n > 0)
        memcpy(set->items, sorted, n * sizeof(struct kernel *));
    return 0;
}

static struct kernel *set_take(struct kernel_set *set, size_t i)
{
    struct kernel *k = set->items[i];

    memmove(set->items + i, set->items + i + 1, (--set->n - i) * sizeof(struct kernel *));
    return k;
}

static bool kernel_has_name(const struct kernel *k, const char *name)
{
    if (strcmp(name, KERNEL_NAME_OWN) == 0)
        return k->built;
    if (strcmp(name, KERNEL_NAME_STOCK) == 0)
        return !k->built;
    return strcmp(name, k->release) == 0;
}

/* The kernel whose vmlinux the open file is: it is one of ours by another name. */
static bool set_find_file(const struct kernel_set *set, int fd, size_t *ret)
{
    struct stat wanted, st;

    if (fstat(fd, &wanted) < 0)
        return false;
    for (size_t i = 0; i < set->n; i++)
        if (stat(set->items[i]->vmlinux_path, &st) == 0 && st.st_dev == wanted.st_dev &&
            st.st_ino == wanted.st_ino) {
            *ret = i;
            return true;
        }
    return false;
}

/* Modules of a fetched kernel go along with a file: init takes those of the release that runs,
 * which is this one's where the file is a copy of Debian's. */
static const char *set_any_modules(const struct kernel_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->items[i]->modules_path)
            return set->items[i]->modules_path;
    return NULL;
}

/* A file that the user names. */
static int kernel_from_file(const char *file, struct kernel_set *known, struct kernel **ret,
                            mvm_error **err)
{
    mvm_autoclose int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* a FIFO */
    const char *modules = set_any_modules(known);
    mvm_autofree char *copy = NULL;
    char *path = NULL;
    size_t i;
    int r;

    if (fd < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno, "kernel '%s'",
                        file);
    if (set_find_file(known, fd, &i)) {
        *ret = set_take(known, i);
        return 0;
    }
    r = kernel_image_check(fd, file, err);
    if (r == 0)
        r = kernel_needs_check_image(fd, file, err);
    if (r < 0)
        return r;
    if (modules && !(copy = strdup(modules)))
        return mvm_fail_nomem(err);
    r = path_of_fd(fd, &path, err); /* the runner works elsewhere, and needs the whole path */
    if (r < 0)
        return mvm_context(err, r, "kernel '%s'", file);
    *ret = kernel_new(path, steal_ptr(&copy), strdup(""), strdup("file"));
    return *ret ? 0 : mvm_fail_nomem(err);
}

/* NULL: there is none. */
static struct kernel *set_take_named(struct kernel_set *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++)
        if (kernel_has_name(set->items[i], name))
            return set_take(set, i);
    return NULL;
}

static int kernel_by_name(const char *name, struct kernel_set *set, struct kernel **ret,
                          mvm_error **err)
{
    bool own = strcmp(name, KERNEL_NAME_OWN) == 0, stock = strcmp(name, KERNEL_NAME_STOCK) == 0;
    struct kernel *found = set_take_named(set, name);

    if (found) {
        *ret = found;
        return 0;
    }
    if (own || stock)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0,
                        "no guest kernel '%s' is here: run 'microvm kernel %s'", name,
                        own ? "build" : "fetch");
    return kernel_from_file(name, set, ret, err);
}

static int list_all(const char *lib_dir, const char *cache_dir, struct kernel_set *set,
                    mvm_error **err)
{
    int r = set_add_folder(set, lib_dir, err);

    if (r == 0)
        r = set_add_folder(set, cache_dir, err);
    return r < 0 ? r : set_prefer_built(set, err);
}

/* NULL: the user does not mind. */
static const char *chosen_name(const char *name)
{
    if (!name || !*name)
        name = getenv("MICROVM_KERNEL");
    return name && *name ? name : NULL;
}

bool kernel_is_chosen(const char *name)
{
    return chosen_name(name) != NULL;
}

int kernel_find(const char *name, const char *lib_dir, const char *cache_dir, struct kernel **ret,
                mvm_error **err)
{
    mvm_autovalue(kernel_set) set = { .items = NULL };
    int r;

    r = list_all(lib_dir, cache_dir, &set, err);
    if (r < 0)
        return r;
    name = chosen_name(name);
    if (name)
        return kernel_by_name(name, &set, ret, err);
    if (set.n == 0)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "%s: run 'microvm kernel fetch'",
                        set.outdated ? "the guest kernel here is of an older microvm and lacks "
                                       "modules that guests need now"
                                     : "no guest kernel is here");
    *ret = set_take(&set, 0);
    return 0;
}

int kernel_find_here(const char *name, const char *lib_dir, const char *cache_dir,
                     struct kernel **ret, mvm_error **err)
{
    mvm_autovalue(kernel_set) set = { .items = NULL };
    int r = list_all(lib_dir, cache_dir, &set, err);

    if (r < 0)
        return r;
    *ret = set_take_named(&set, name);
    return *ret ? 0
                : mvm_fail(err, MVM_E_NOT_FOUND, 0,
                           "no guest kernel '%.64s' is here: 'microvm kernel ls' tells which are",
                           name);
}

int kernel_find_fetched(const char *cache_dir, struct kernel **ret, mvm_error **err)
{
    mvm_autovalue(kernel_set) set = { .items = NULL };
    int r = set_add_folder(&set, cache_dir, err);

    for (size_t i = 0; r == 0 && i < set.n; i++)
        if (!set.items[i]->built) {
            *ret = set_take(&set, i);
            return 0;
        }
    return r < 0 ? r
                 : mvm_fail(err, MVM_E_NOT_FOUND, 0, "no guest kernel of Debian's in '%s'",
                            cache_dir);
}

int kernel_list(const char *lib_dir, const char *cache_dir, struct kernel ***ret, size_t *ret_n,
                mvm_error **err)
{
    mvm_autovalue(kernel_set) set = { .items = NULL };
    mvm_autovalue(kernel_set) named = { .items = NULL };
    const char *name = chosen_name(NULL);
    struct kernel *k = NULL;
    int r;

    r = list_all(lib_dir, cache_dir, &set, err);
    if (r == 0 && name)
        r = kernel_by_name(name, &set, &k, err);
    if (r == 0 && k)
        r = set_add(&named, k, err);
    while (r == 0 && set.n > 0)
        r = set_add(&named, set_take(&set, 0), err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&named.items);
    *ret_n = named.n;
    named.n = 0;
    return 0;
}
