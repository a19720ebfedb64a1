/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/initramfs.h"

#include "base/io.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Most bytes of an initramfs: it is copied into guest memory at start, and a kernel's modules take
 * about 1 MiB. */
#define INITRAMFS_MAX (256u << 20)
#define CPIO_TRAILER "TRAILER!!!"
/* A newc header: "070701" and 13 fields of 8 hex digits. */
#define CPIO_ALIGN 4

static void cpio_pad(struct strbuf *out)
{
    static const char zeros[CPIO_ALIGN] = { 0 };

    strbuf_add(out, zeros, (CPIO_ALIGN - out->len % CPIO_ALIGN) % CPIO_ALIGN);
}

static void cpio_entry(struct strbuf *out, unsigned inode, const struct initramfs_file *f)
{
    /* ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor,
     * namesize, check */
    strbuf_addf(out, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", inode,
                (unsigned) f->mode, 0, 0, 1, 0, f->len, 0, 0, 0, 0, strlen(f->path) + 1, 0);
    strbuf_add(out, f->path, strlen(f->path) + 1);
    cpio_pad(out);
    strbuf_add(out, f->data, f->len);
    cpio_pad(out);
}

/* Relative, and without a component that is empty, "." or "..". */
static bool path_is_plain(const char *path)
{
    for (const char *at = path;; at++) {
        size_t n = strcspn(at, "/");

        if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        at += n;
        if (*at == '\0')
            return true;
    }
}

int cpio_append(struct strbuf *out, const struct initramfs_file *files, size_t n, mvm_error **err)
{
    const struct initramfs_file trailer = { .path = CPIO_TRAILER };

    cpio_pad(out);
    for (size_t i = 0; i < n; i++) {
        if (!path_is_plain(files[i].path))
            return mvm_fail(err, MVM_E_ARG, 0, "initramfs: '%s' is not a plain relative path",
                            files[i].path);
        if (files[i].len > UINT32_MAX)
            return mvm_fail(err, MVM_E_LIMIT, 0, "initramfs: '%s': more than 4 GiB", files[i].path);
        cpio_entry(out, (unsigned) i + 1, &files[i]);
    }
    cpio_entry(out, 0, &trailer);
    return strbuf_check(out, "initramfs", err);
}

static int read_file(const char *path, char **ret_data, size_t *ret_len, mvm_error **err)
{
    mvm_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno, "open '%s'",
                        path);
    r = io_read_all(fd, INITRAMFS_MAX, ret_data, ret_len, err);
    return r < 0 ? mvm_context(err, r, "'%s'", path) : 0;
}

static int add_init(struct strbuf *out, const char *init_path, mvm_error **err)
{
    mvm_autofree char *init = NULL;
    size_t len = 0;
    int r = read_file(init_path, &init, &len, err);

    if (r < 0)
        return r;
    const struct initramfs_file files[] = {
        { .path = "dev", .mode = S_IFDIR | 0755 },
        { .path = "sys", .mode = S_IFDIR | 0755 },
        { .path = "proc", .mode = S_IFDIR | 0755 },
        { .path = "init", .mode = S_IFREG | 0755, .data = init, .len = len },
    };
    return cpio_append(out, files, ARRAY_SIZE(files), err);
}

static int add_modules(struct strbuf *out, const char *modules_path, mvm_error **err)
{
    mvm_autofree char *modules = NULL;
    size_t len = 0;
    int r = read_file(modules_path, &modules, &len, err);

    if (r < 0)
        return r;
    strbuf_add(out, modules, len);
    return strbuf_check(out, "initramfs", err);
}

static int add_archive(struct strbuf *out, int fd, mvm_error **err)
{
    mvm_autofree char *data = NULL;
    size_t len = 0;
    int r = io_read_all(fd, INITRAMFS_MAX, &data, &len, err);

    if (r < 0)
        return mvm_context(err, r, "files for the guest");
    cpio_pad(out);
    strbuf_add(out, data, len);
    return strbuf_check(out, "initramfs", err);
}

int initramfs_build(const char *init_path, const char *modules_path,
                    const struct initramfs_file *files, size_t n, int archive_fd, int *ret_fd,
                    mvm_error **err)
{
    mvm_autovalue(strbuf) out = STRBUF_INIT(INITRAMFS_MAX);
    int r;

    r = add_init(&out, init_path, err);
    if (r == 0 && modules_path)
        r = add_modules(&out, modules_path, err);
    if (r == 0)
        r = cpio_append(&out, files, n, err);
    if (r == 0 && archive_fd >= 0)
        r = add_archive(&out, archive_fd, err);
    if (r == 0)
        r = io_memfd("microvm-initramfs", out.data, out.len, true, ret_fd, err);
    return r < 0 ? mvm_context(err, r, "build the initramfs") : 0;
}
