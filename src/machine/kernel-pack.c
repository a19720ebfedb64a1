/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/kernel-pack.h"

#include "base/io.h"
#include "base/path.h"
#include "base/scan.h"
#include "machine/bzimage.h"
#include "machine/decompress.h"
#include "machine/initramfs.h"
#include "machine/kernel-image.h"
#include "machine/kernel-info.h"
#include "machine/modules.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define BOOT_PREFIX "vmlinuz-"
/* A dozen modules of at most some hundred KiB each. */
#define MODULES_CPIO_MAX (32u << 20)

/* What the guest needs before its root is there, and the sockets over which it tells the host that
 * it is. Whoever changes the list raises KERNEL_FORMAT. */
static const char *const needed_modules[] = {
    "virtio_mmio",
    "virtio_blk",
    "erofs",
    "overlay",
    "vsock",
    "vmw_vsock_virtio_transport_common",
    "vmw_vsock_virtio_transport",
};

struct pack {
    int tree_fd;    /* borrowed */
    int out_fd;     /* borrowed */
    char *release;  /* owned */
    int modules_fd; /* owned: lib/modules/<release> */
    json_t *info;   /* owned */
};

static void pack_deinit(struct pack *p)
{
    free(p->release);
    json_decref(p->info);
    if (p->modules_fd >= 0)
        (void) close(steal_fd(&p->modules_fd));
}
MVM_DEFINE_AUTOVALUE(pack, pack_deinit)

/* A regular file below @root_fd. */
static int read_tree_file(int root_fd, const char *path, size_t max, char **ret, size_t *ret_len,
                          mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    struct stat st;
    int r = path_open_in_root(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd, err);

    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is no file", path);
    r = io_read_all(fd, max, ret, ret_len, err);
    return r < 0 ? mvm_context(err, r, "'%s'", path) : 0;
}

/* The release of the one boot/vmlinuz-<release>. */
static int find_release(int tree_fd, char **ret, mvm_error **err)
{
    mvm_autofree char *release = NULL;
    const struct dirent *e;
    int fd = -EBADF, r;
    DIR *d;

    r = path_open_in_root(tree_fd, "boot", O_RDONLY | O_DIRECTORY, &fd, err);
    if (r < 0)
        return r;
    d = fdopendir(fd);
    if (!d) {
        r = mvm_fail(err, MVM_E_SYS, errno, "list 'boot'");
        (void) close(fd);
        return r;
    }
    while (r == 0 && (e = readdir(d))) {
        if (!scan_has_prefix(e->d_name, BOOT_PREFIX))
            continue;
        if (release)
            r = mvm_fail(err, MVM_E_FORMAT, 0, "more than one kernel: %s, %s", release, e->d_name);
        else if (!(release = strdup(e->d_name + sizeof(BOOT_PREFIX) - 1)))
            r = mvm_fail_nomem(err);
    }
    (void) closedir(d);
    if (r == 0 && (!release || !path_is_component(release)))
        r = mvm_fail(err, MVM_E_FORMAT, 0, "there is no boot/" BOOT_PREFIX "<release>");
    if (r == 0)
        *ret = steal_ptr(&release);
    return r;
}

static int pack_vmlinux(struct pack *p, mvm_error **err)
{
    mvm_autofree char *name = NULL;
    mvm_autofree char *image = NULL;
    mvm_autofree char *vmlinux = NULL;
    mvm_autoclose int fd = -EBADF;
    size_t image_len, len;
    int r;

    if (asprintf(&name, "boot/%s%s", BOOT_PREFIX, p->release) < 0)
        return mvm_fail_nomem(err);
    r = read_tree_file(p->tree_fd, name, BZIMAGE_MAX, &image, &image_len, err);
    if (r == 0)
        r = bzimage_extract((const uint8_t *) image, image_len, &vmlinux, &len, err);
    if (r == 0)
        r = kernel_info_add_file(p->info, p->out_fd, "vmlinux", "vmlinux", vmlinux, len, err);
    if (r == 0)
        r = path_open_beneath(p->out_fd, "vmlinux", O_RDONLY, 0, &fd, err);
    return r < 0 ? r : kernel_image_check(fd, "vmlinux", err);
}

static int open_modules(struct pack *p, mvm_error **err)
{
    static const char *const folders[] = { "lib/modules/", "usr/lib/modules/" };

    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        mvm_autofree char *path = path_join(folders[i], p->release);

        if (!path)
            return mvm_fail_nomem(err);
        if (path_open_in_root(p->tree_fd, path, O_RDONLY | O_DIRECTORY, &p->modules_fd, NULL) == 0)
            return 0;
    }
    return mvm_fail(err, MVM_E_NOT_FOUND, 0, "there is no lib/modules/%s", p->release);
}

/* The module at @path, or its compressed form, without its signature. The signature is worth
 * nothing here, since whoever could change the file could leave it out, and checking it takes the
 * software machine 5 ms a module. */
static int read_module(const struct pack *p, const char *path, char **ret, size_t *ret_len,
                       mvm_error **err)
{
    static const char *const endings[] = { "", ".xz", ".zst", ".gz" };
    mvm_autofree char *data = NULL;
    int r = MVM_E_NOT_FOUND;
    size_t len = 0;

    for (size_t i = 0; r == MVM_E_NOT_FOUND && i < ARRAY_SIZE(endings); i++) {
        mvm_autofree char *name = NULL;
        mvm_autofree char *packed = NULL;
        size_t packed_len;

        if (asprintf(&name, "%s%s", path, endings[i]) < 0)
            return mvm_fail_nomem(err);
        r = read_tree_file(p->modules_fd, name, MODINFO_MODULE_MAX, &packed, &packed_len, NULL);
        if (r == 0 && i > 0)
            r = decompress_memory(packed, packed_len, MODINFO_MODULE_MAX, &data, &len, NULL);
        else if (r == 0) {
            data = steal_ptr(&packed);
            len = packed_len;
        }
    }
    if (r < 0)
        return mvm_fail(err, r, 0, "the module '%s' cannot be read", path);
    *ret_len = modinfo_unsigned_len((const uint8_t *) data, len);
    *ret = steal_ptr(&data);
    return 0;
}

static int module_info(void *user, const char *path, struct modinfo *ret, mvm_error **err)
{
    mvm_autofree char *data = NULL;
    size_t len;
    int r = read_module(user, path, &data, &len, err);

    if (r == 0)
        r = modinfo_parse((const uint8_t *) data, len, ret, err);
    return r < 0 ? mvm_context(err, r, "%s", path) : 0;
}

static int read_list(const struct pack *p, const char *name, struct strv *ret, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    size_t len;
    int r = read_tree_file(p->modules_fd, name, MODULES_LIST_MAX, &text, &len, err);

    return r < 0 ? r : modules_parse_list(text, len, ret, err);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The archive's members; path and data of each are owned. */
struct members {
    struct initramfs_file *files;
    size_t n, cap;
};

static void members_deinit(struct members *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free((char *) m->files[i].path);
        free((void *) m->files[i].data);
    }
    free(m->files);
}
MVM_DEFINE_AUTOVALUE(members, members_deinit)

/* Takes @path and @data over, also on failure; a NULL @path stands for lack of memory. */
static int members_add(struct members *m, char *path, mode_t mode, char *data, size_t len,
                       mvm_error **err)
{
    if (!path || mem_grow(&m->files, &m->cap, m->n + 1, sizeof(m->files[0])) < 0) {
        free(path);
        free(data);
        return mvm_fail_nomem(err);
    }
    m->files[m->n++] = (struct initramfs_file){
        .path = path, .mode = mode, .data = data, .len = len
    };
    return 0;
}

static int add_folders(struct members *m, const char *folder, mvm_error **err)
{
    int r = 0;

    for (const char *at = strchr(folder, '/'); r == 0 && at; at = strchr(at + 1, '/'))
        r = members_add(m, strndup(folder, (size_t) (at - folder)), S_IFDIR | 0755, NULL, 0, err);
    return r < 0 ? r : members_add(m, strdup(folder), S_IFDIR | 0755, NULL, 0, err);
}

/* "order": names relative to the folder that holds it. All modules lie in one folder: their names
 * are unique in a kernel. */
static int add_order(struct members *m, const char *folder, const struct strv *order,
                     mvm_error **err)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(MODULES_LIST_MAX);
    char *data;

    for (size_t i = 0; i < order->n; i++)
        strbuf_addf(&text, "%s\n", base_name(order->items[i]));
    size_t len = text.len;

    data = strbuf_take(&text);
    if (!data)
        return mvm_fail_nomem(err);
    return members_add(m, path_join(folder, "order"), S_IFREG | 0644, data, len, err);
}

static int add_modules(struct members *m, const struct pack *p, const char *folder,
                       const struct strv *order, mvm_error **err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < order->n; i++) {
        const char *path = order->items[i];
        char *data = NULL;
        size_t len = 0;

        r = read_module(p, path, &data, &len, err);
        if (r == 0)
            r = members_add(m, path_join(folder, base_name(path)), S_IFREG | 0644, data, len, err);
    }
    return r;
}

static int resolve_modules(struct pack *p, struct strv *ret, mvm_error **err)
{
    mvm_autovalue(modules_list) list = { .paths = { .n = 0 } };
    int r = open_modules(p, err);

    if (r == 0)
        r = read_list(p, "modules.order", &list.paths, err);
    if (r == 0)
        r = read_list(p, "modules.builtin", &list.builtin, err);
    if (r == 0)
        r = modules_resolve(&list, needed_modules, ARRAY_SIZE(needed_modules), module_info, p, ret,
                            err);
    return r;
}

static int pack_modules(struct pack *p, mvm_error **err)
{
    mvm_autofree char *folder = path_join("lib/modules", p->release);
    mvm_autovalue(strv) order = { .n = 0 };
    mvm_autovalue(members) members = { .files = NULL };
    mvm_autovalue(strbuf) out = STRBUF_INIT(MODULES_CPIO_MAX);
    int r;

    if (!folder)
        return mvm_fail_nomem(err);
    r = resolve_modules(p, &order, err);
    if (r == 0)
        r = add_folders(&members, folder, err);
    if (r == 0)
        r = add_order(&members, folder, &order, err);
    if (r == 0)
        r = add_modules(&members, p, folder, &order, err);
    if (r == 0)
        r = cpio_append(&out, members.files, members.n, err);
    if (r == 0)
        r = kernel_info_add_file(p->info, p->out_fd, "modules.cpio", "modules", out.data, out.len,
                                 err);
    return r;
}

static int make_info(struct pack *p, const char *package, const char *version, mvm_error **err)
{
    mvm_autofree char *source = NULL;
    int r;

    if (asprintf(&source, "debian %s %s", package, version) < 0)
        return mvm_fail_nomem(err);
    r = kernel_info_new(&p->info, p->release, source, err);
    if (r == 0)
        r = kernel_info_set(p->info, "package", package, err);
    return r < 0 ? r : kernel_info_set(p->info, "version", version, err);
}

int kernel_pack(int tree_fd, int out_fd, const char *package, const char *version,
                char **ret_release, mvm_error **err)
{
    mvm_autovalue(pack) p = { .tree_fd = tree_fd, .out_fd = out_fd, .modules_fd = -EBADF };
    int r;

    r = find_release(tree_fd, &p.release, err);
    if (r == 0)
        r = make_info(&p, package, version, err);
    if (r == 0)
        r = pack_vmlinux(&p, err);
    if (r == 0)
        r = pack_modules(&p, err);
    if (r == 0)
        r = kernel_info_write(p.info, out_fd, err);
    if (r < 0)
        return mvm_context(err, r, "%s", package);
    *ret_release = steal_ptr(&p.release);
    return 0;
}
