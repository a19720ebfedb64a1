/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/qemu/files.h"

#include "base/io.h"
#include "machine/qemu/command.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* What QEMU opens besides the extents: libraries while it is loaded, events, threads' pipes. */
#define QEMU_OWN_FILES 128
/* QEMU keeps an extent that it was given, and opens it once more. */
#define QEMU_FILES_PER_EXTENT 2

void qemu_files_deinit(struct qemu_files *f)
{
    int *const all[] = { &f->kernel_fd, &f->root_fd, &f->upper_fd };

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (*all[i] >= 0)
            (void) close(steal_fd(all[i]));
    for (size_t i = 0; i < f->n_extents; i++)
        (void) close(f->extents[i]);
    free(f->extents);
    *f = (struct qemu_files) QEMU_FILES_NONE;
}

static int open_file(const char *path, int flags, const char *what, int *ret_fd, mvm_error **err)
{
    int fd = open(path, flags | O_CLOEXEC);

    if (fd < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno,
                        "open the %s '%s'", what, path);
    *ret_fd = fd;
    return 0;
}

/* A file that is too short would be a disk with holes that cannot be read. */
static int open_extent(const struct machine_extent *e, int *ret_fd, mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    struct stat st;
    int r;

    r = open_file(e->path, O_RDONLY | O_NONBLOCK, "root disk", &fd, err);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at the root disk '%s'", e->path);
    if (!S_ISREG(st.st_mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "the root disk '%s' is not a regular file", e->path);
    if ((uint64_t) st.st_size < e->size)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the root disk '%s' has %llu bytes instead of %llu",
                        e->path, (unsigned long long) st.st_size, (unsigned long long) e->size);
    *ret_fd = steal_fd(&fd);
    return 0;
}

static int check_limit(size_t n, mvm_error **err)
{
    size_t needed = QEMU_FD_EXTENTS + n * QEMU_FILES_PER_EXTENT + QEMU_OWN_FILES;
    struct rlimit files;

    if (n > MACHINE_EXTENTS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "root disk: %zu extents; %d are possible", n,
                        MACHINE_EXTENTS_MAX);
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "ask for the limit of open files");
    if (needed > files.rlim_cur)
        return mvm_fail(err, MVM_E_LIMIT, 0,
                        "root disk: %zu extents take %zu open files; the limit is %llu "
                        "(ulimit -Hn)",
                        n, needed, (unsigned long long) files.rlim_cur);
    return 0;
}

/* QEMU takes a file for reading alone only if it was opened so; a memfd is open for writing. */
static int list_extents(const struct machine_spec *spec, int *ret_fd, mvm_error **err)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(QEMU_EXTENTS_TEXT_MAX);
    mvm_autoclose int fd = -EBADF;
    char path[32];
    int r = qemu_build_extents(spec, &text, err);

    if (r == 0)
        r = io_memfd("microvm-root", text.data, text.len, true, &fd, err);
    if (r < 0)
        return r;
    (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd); /* fits: a number of 10 digits */
    return open_file(path, O_RDONLY, "list of extents", ret_fd, err);
}

static int open_root(const struct machine_spec *spec, struct qemu_files *f, mvm_error **err)
{
    int r;

    if (spec->n_root == 1)
        return open_extent(&spec->root[0], &f->root_fd, err);
    r = check_limit(spec->n_root, err);
    if (r < 0)
        return r;
    f->extents = mem_array(spec->n_root, sizeof(*f->extents));
    if (!f->extents)
        return mvm_fail_nomem(err);
    while (r == 0 && f->n_extents < spec->n_root) {
        r = open_extent(&spec->root[f->n_extents], &f->extents[f->n_extents], err);
        f->n_extents += r == 0;
    }
    return r < 0 ? r : list_extents(spec, &f->root_fd, err);
}

int qemu_files_open(const struct machine_spec *spec, struct qemu_files *ret, mvm_error **err)
{
    mvm_autovalue(qemu_files) f = QEMU_FILES_NONE;
    int r;

    r = open_file(spec->kernel_path, O_RDONLY, "kernel", &f.kernel_fd, err);
    if (r == 0)
        r = open_root(spec, &f, err);
    if (r == 0 && spec->upper_path)
        r = open_file(spec->upper_path, O_RDWR, "upper disk", &f.upper_fd, err);
    if (r < 0)
        return r;
    *ret = f;
    f = (struct qemu_files) QEMU_FILES_NONE;
    return 0;
}
