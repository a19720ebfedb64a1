/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/init/guest-files.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/strbuf.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Folders within one another: the archive is the host's own, and needs far fewer. */
#define GUEST_FILES_DEPTH_MAX 32
/* Bytes of a path below the root. */
#define GUEST_FILES_PATH_MAX 4096
#define COPY_SIZE 4096

struct install {
    int root_fd;        /* borrowed */
    struct strbuf path; /* below the root, of the folder that is being filled */
};

/* An image's "etc" may be a symbolic link; what it points to is looked for inside of the image. */
static int open_in_root(int root_fd, const char *path, int flags)
{
    const struct open_how how = { .flags = (uint64_t) (flags | O_CLOEXEC),
                                  .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

    return (int) syscall(SYS_openat2, root_fd, *path ? path : ".", &how, sizeof(how));
}

static int copy_content(int from_fd, int to_fd, mvm_error **err)
{
    char data[COPY_SIZE];
    ssize_t n;

    while ((n = io_read_full(from_fd, data, sizeof(data), err)) > 0) {
        int r = io_write_all(to_fd, data, (size_t) n, err);

        if (r < 0)
            return r;
    }
    return (int) n;
}

static int install_file(int from_dir, int to_dir, const char *name, mode_t mode, mvm_error **err)
{
    mvm_autoclose int from_fd = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    mvm_autoclose int to_fd = -EBADF;

    if (from_fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open it in the initramfs");
    if (unlinkat(to_dir, name, 0) < 0 && errno != ENOENT)
        return mvm_fail(err, MVM_E_SYS, errno, "replace it");
    to_fd = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to_fd < 0 || fchmod(to_fd, mode & 07777) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make it");
    return copy_content(from_fd, to_fd, err);
}

static int install_folder(struct install *in, int from_fd, unsigned depth, mvm_error **err);

static int install_entry(struct install *in, DIR *dir, int to_dir, const char *name, unsigned depth,
                         mvm_error **err)
{
    size_t len = in->path.len;
    struct stat st;
    int r;

    if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at '%s' in the initramfs", name);
    strbuf_addf(&in->path, "%s%s", len > 0 ? "/" : "", name);
    r = strbuf_check(&in->path, "a path", err);
    if (r == 0 && S_ISREG(st.st_mode)) {
        r = install_file(dirfd(dir), to_dir, name, st.st_mode, err);
    } else if (r == 0 && S_ISDIR(st.st_mode)) {
        int from_fd = openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (mkdirat(to_dir, name, st.st_mode & 07777) < 0 && errno != EEXIST)
            r = mvm_fail(err, MVM_E_SYS, errno, "make the folder");
        if (r < 0 && from_fd >= 0)
            (void) close(from_fd);
        else if (r == 0)
            r = install_folder(in, from_fd, depth + 1, err);
    }
    if (r < 0)
        return r; /* the path stays: it is what the error is about */
    in->path.len = len;
    in->path.data[len] = '\0';
    return 0;
}

/* Takes @from_fd over. */
static int install_folder(struct install *in, int from_fd, unsigned depth, mvm_error **err)
{
    mvm_autoclose int to_fd = open_in_root(in->root_fd, strbuf_str(&in->path),
                                           O_RDONLY | O_DIRECTORY);
    DIR *dir = from_fd >= 0 && depth < GUEST_FILES_DEPTH_MAX ? fdopendir(from_fd) : NULL;
    const struct dirent *e;
    int r = 0;

    if (!dir && from_fd >= 0)
        (void) close(from_fd);
    if (!dir || to_fd < 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "open the folder");
    while (r == 0 && (e = readdir(dir)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = install_entry(in, dir, to_fd, e->d_name, depth, err);
    if (dir)
        (void) closedir(dir);
    return r;
}

int guest_files_install(const char *from_dir, const char *root_dir, mvm_error **err)
{
    mvm_autoclose int root_fd = open(root_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int from_fd = open(from_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct install in = { .root_fd = root_fd, .path = STRBUF_INIT(GUEST_FILES_PATH_MAX) };
    int r;

    if (from_fd < 0 && errno == ENOENT)
        return 0;
    r = install_folder(&in, from_fd, 0, err);
    if (r < 0)
        r = mvm_context(err, r, "host's file '/%s'", strbuf_str(&in.path));
    strbuf_deinit(&in.path);
    return r;
}
