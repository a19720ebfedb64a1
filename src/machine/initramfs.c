/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/initramfs.h"

#include "base/io.h"

#include <fcntl.h>
#include <sys/mman.h>
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

/* The memory file as it grows. */
struct output {
    int fd;     /* borrowed */
    size_t len; /* so far */
};

/* What was composed so far; @text is empty afterwards. */
static int flush(struct output *out, struct strbuf *text, mvm_error **err)
{
    int r = strbuf_check(text, "initramfs", err);

    if (r == 0)
        r = io_write_all(out->fd, text->data, text->len, err);
    if (r == 0)
        out->len += text->len;
    strbuf_reset(text);
    return r;
}

/* A file with archives of its own, from where @fd is. The next one starts where it should. */
static int copy_archives(struct output *out, int fd, mvm_error **err)
{
    static const char zeros[CPIO_ALIGN] = { 0 };
    size_t len = 0, pad;
    int r = io_copy(fd, out->fd, INITRAMFS_MAX - out->len, &len, err);

    if (r < 0)
        return r;
    out->len += len;
    pad = (CPIO_ALIGN - out->len % CPIO_ALIGN) % CPIO_ALIGN;
    out->len += pad;
    return io_write_all(out->fd, zeros, pad, err);
}

static int add_modules(struct output *out, const char *modules_path, mvm_error **err)
{
    mvm_autoclose int fd = open(modules_path, O_RDONLY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno, "open '%s'",
                        modules_path);
    r = copy_archives(out, fd, err);
    return r < 0 ? mvm_context(err, r, "'%s'", modules_path) : 0;
}

static int compose(struct output *out, const struct initramfs_parts *parts, mvm_error **err)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(INITRAMFS_MAX);
    int r;

    r = add_init(&text, parts->init_path, err);
    if (r == 0)
        r = flush(out, &text, err);
    if (r == 0 && parts->modules_path)
        r = add_modules(out, parts->modules_path, err);
    if (r == 0)
        r = cpio_append(&text, parts->files, parts->n_files, err);
    if (r == 0)
        r = flush(out, &text, err);
    if (r == 0 && parts->archive_fd >= 0) {
        r = copy_archives(out, parts->archive_fd, err);
        if (r < 0)
            return mvm_context(err, r, "files for the guest");
    }
    return r;
}

int initramfs_build(const struct initramfs_parts *parts, int *ret_fd, mvm_error **err)
{
    mvm_autoclose int fd = memfd_create("microvm-initramfs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct output out = { .fd = fd };
    int r;

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a memory file for the initramfs");
    r = compose(&out, parts, err);
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "rewind it");
    if (r == 0)
        r = io_seal(fd, err);
    if (r < 0)
        return mvm_context(err, r, "build the initramfs");
    *ret_fd = steal_fd(&fd);
    return 0;
}
