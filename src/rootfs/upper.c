/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The features are all named, since a distribution's mke2fs.conf would add its own:
 *  extent, flex_bg, filetype, dir_index, extra_isize, large_file, huge_file, dir_nlink: ext4 as
 *      everybody has it; overlayfs asks for filetype (Linux,
 * Documentation/filesystems/overlayfs.rst). uninit_bg: tables of inodes that were never used need
 * not be written, nor read. sparse_super2 with num_backup_sb=0 and packed_meta_blocks: no copies of
 * tables all over the disk. not has_journal, metadata_csum: they protect what outlives a crash, and
 * cost writes and time. not resize_inode: the disk never grows. not 64bit: for more than 16 TiB.
 */
#include "rootfs/upper.h"

#include "base/child.h"
#include "base/file.h"
#include "base/io.h"
#include "base/path.h"
#include "rootfs/disk-template.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define TEMPLATES_DIR "disks"
/* Counts up with each change of what mke2fs is told. */
#define TEMPLATE_VERSION 1
/* Milliseconds for mke2fs; 8 TiB take it 250. */
#define MKE2FS_MS 60000
#define MKE2FS_OUTPUT_MAX 65536
/* child_run() gives a program this one descriptor alone. */
#define MKE2FS_FD STDIN_FILENO

char *rootfs_upper_find_mke2fs(void)
{
    /* Ordinary users often have no sbin in their PATH. */
    static const char *const others[] = { "/usr/local/sbin/mke2fs", "/usr/sbin/mke2fs",
                                          "/sbin/mke2fs" };
    char *path = path_find_program("mke2fs");

    for (size_t i = 0; !path && i < ARRAY_SIZE(others); i++)
        if (path_is_program(others[i]))
            path = strdup(others[i]);
    return path;
}

/* The memory file keeps what is written, whatever file system the cache is on. */
static int run_mke2fs(int disk_fd, mvm_error **err)
{
    static char *const argv[] = {
        (char *) "mke2fs",
        (char *) "-q",
        (char *) "-F",
        (char *) "-t",
        (char *) "ext4",
        (char *) "-b",
        (char *) "4096",
        (char *) "-I",
        (char *) "256",
        (char *) "-i",
        (char *) "16384",
        (char *) "-m",
        (char *) "0",
        (char *) "-O",
        (char *) "none,extent,flex_bg,filetype,dir_index,extra_isize,large_file,huge_file,"
                 "dir_nlink,uninit_bg,sparse_super2",
        (char *) "-E",
        (char *) "lazy_itable_init=1,nodiscard,root_owner=0:0,num_backup_sb=0,"
                 "packed_meta_blocks=1",
        (char *) "/proc/self/fd/0",
        NULL
    };
    static char *const envp[] = { (char *) "MKE2FS_CONFIG=/dev/null", NULL };
    const struct child_fd fds[] = { { disk_fd, MKE2FS_FD } };
    mvm_autofree char *path = rootfs_upper_find_mke2fs();
    mvm_autofree char *output = NULL;
    const struct child_spec spec = {
        .path = path, .argv = argv, .envp = envp, .fds = fds, .n_fds = ARRAY_SIZE(fds)
    };

    if (!path)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0,
                        "mke2fs is not installed (apt-get install e2fsprogs)");
    return child_run(&spec, MKE2FS_MS, MKE2FS_OUTPUT_MAX, &output, err);
}

static int make_template(uint64_t size, struct strbuf *ret, mvm_error **err)
{
    mvm_autoclose int fd = memfd_create("microvm-disk", MFD_CLOEXEC);
    int r;

    if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a memory file for mke2fs");
    r = run_mke2fs(fd, err);
    return r < 0 ? r : disk_template_encode(fd, ret, err);
}

/* The disk from the template of the cache. 0: there is none that does. */
static int write_cached(int templates_fd, const char *template_name, uint64_t size, int disk_fd,
                        mvm_error **err)
{
    mvm_autofree char *data = NULL;
    size_t len = 0;
    int r;

    if (file_read(templates_fd, template_name, DISK_TEMPLATE_MAX, &data, &len, NULL) < 0)
        return 0;
    r = disk_template_write(data, len, size, disk_fd, err);
    return r == 0 ? 1 : r;
}

static int write_new(int templates_fd, const char *template_name, uint64_t size, int disk_fd,
                     mvm_error **err)
{
    mvm_autovalue(strbuf) out = STRBUF_INIT(DISK_TEMPLATE_MAX);
    int r = make_template(size, &out, err);

    if (r == 0)
        r = disk_template_write(out.data, out.len, size, disk_fd, err);
    if (r < 0)
        return r;
    file_sweep(templates_fd);
    /* One that cannot be kept costs the next VM a run of mke2fs. */
    (void) file_write(templates_fd, template_name, out.data, out.len, 0600, NULL);
    return 0;
}

static int write_disk(int templates_fd, uint64_t size, int disk_fd, mvm_error **err)
{
    mvm_autoerror mvm_error *cached_err = NULL;
    char name[64];
    int r;

    (void) snprintf(name, sizeof(name), "ext4-%d-%llu", TEMPLATE_VERSION,
                    (unsigned long long) (size / ROOTFS_UPPER_UNIT)); /* fits: two numbers */
    r = write_cached(templates_fd, name, size, disk_fd, &cached_err);
    if (r == 0 || r == MVM_E_FORMAT || r == MVM_E_DIGEST)
        return write_new(templates_fd, name, size, disk_fd, err);
    if (r < 0)
        error_move(err, steal_ptr(&cached_err));
    return r < 0 ? r : 0;
}

/* Beyond the limit the kernel would not only refuse, but also end the process (SIGXFSZ). */
static int check_size(uint64_t size, mvm_error **err)
{
    struct rlimit file;

    if (size < ROOTFS_UPPER_MIN || size > ROOTFS_UPPER_MAX || size % ROOTFS_UPPER_UNIT != 0)
        return mvm_fail(err, MVM_E_ARG, 0, "16 MiB to 8 TiB are possible");
    if (getrlimit(RLIMIT_FSIZE, &file) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "ask for the limit of file sizes");
    if (size > file.rlim_cur)
        return mvm_fail(err, MVM_E_LIMIT, 0, "files may have %llu bytes (ulimit -f)",
                        (unsigned long long) file.rlim_cur);
    return 0;
}

int rootfs_upper_make(int cache_fd, int dir_fd, const char *name, uint64_t size, mvm_error **err)
{
    mvm_autoclose int templates_fd = -EBADF;
    mvm_autoclose int disk_fd = -EBADF;
    int r;

    r = check_size(size, err);
    if (r == 0)
        r = path_make_dir_at(cache_fd, TEMPLATES_DIR, 0700, &templates_fd, err);
    if (r == 0)
        r = path_open_beneath(dir_fd, name, O_RDWR | O_CREAT | O_EXCL, 0600, &disk_fd, err);
    if (r == 0)
        r = write_disk(templates_fd, size, disk_fd, err);
    if (r < 0 && disk_fd >= 0)
        (void) unlinkat(dir_fd, name, 0); /* the first failure is the one to tell */
    return r < 0 ? mvm_context(err, r, "disk '%s' of %llu MiB", name,
                               (unsigned long long) (size / ROOTFS_UPPER_UNIT))
                 : 0;
}
