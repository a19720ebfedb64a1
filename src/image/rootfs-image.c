/* SPDX-License-Identifier: Apache-2.0 */
#include "image/rootfs-image.h"

#include "base/child.h"
#include "base/io.h"
#include "base/path.h"
#include "image/rootfs-owners.h"

#include <fcntl.h>
#include <isa-l/crc.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MKFS_NAME "mkfs.erofs"
/* Images are told apart by their digest, never by this. */
#define MKFS_UUID "6d766d00-0000-4000-8000-000000000001"
/* Of what mkfs.erofs prints, the end that is looked at for a reason. */
#define MKFS_OUTPUT_MAX 4096

/* The EROFS superblock (linux/fs/erofs/erofs_fs.h): 1024 bytes into the image, and checked by a
 * CRC-32C over the rest of its block, in which the checksum itself is 0. */
#define SUPER_OFFSET 1024
#define SUPER_SPAN (4096 - SUPER_OFFSET)
#define SUPER_MAGIC 0xe0f5e1e2u
#define SUPER_CHECKSUM 4
#define SUPER_FEATURES 8
#define SUPER_BLOCK_BITS 12
#define SUPER_BUILD_TIME 24
#define SUPER_BUILD_TIME_LEN 12
#define SUPER_FEATURE_CHECKSUM 1u

/* Ordinary users often have no sbin in their PATH. */
char *rootfs_image_find_mkfs(void)
{
    static const char fallback[] = "/usr/local/sbin:/usr/sbin:/sbin";
    const char *path = getenv("PATH");
    const char *const lists[] = { path ? path : "", fallback };

    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        for (const char *c = lists[i]; *c;) {
            size_t n = strcspn(c, ":");
            char *file = NULL;

            if (n > 0 && asprintf(&file, "%.*s/" MKFS_NAME, (int) n, c) < 0)
                return NULL;
            if (n > 0 && access(file, X_OK) == 0)
                return file;
            if (n > 0)
                free(file);
            c += n + (c[n] == ':' ? 1 : 0);
        }
    return NULL;
}

struct userns_maps {
    bool wanted;
    char uid_map[32];
    char gid_map[32];
};

static int write_proc(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);

    if (fd >= 0)
        (void) close(fd);
    return good ? 0 : -1;
}

/* In the child. A host that forbids user namespaces leaves mkfs.erofs without one: it then reports
 * the files that it cannot read, if there are any. */
static int enter_userns(void *user)
{
    const struct userns_maps *maps = user;

    if (!maps->wanted || unshare(CLONE_NEWUSER) < 0)
        return 0;
    if (write_proc("/proc/self/setgroups", "deny") < 0 ||
        write_proc("/proc/self/uid_map", maps->uid_map) < 0 ||
        write_proc("/proc/self/gid_map", maps->gid_map) < 0)
        return errno ? errno : EPERM; /* half a namespace is worse than none */
    return 0;
}

static struct userns_maps maps_make(void)
{
    struct userns_maps maps = { .wanted = geteuid() != 0 };

    /* Fit: two numbers of at most ten digits. */
    (void) snprintf(maps.uid_map, sizeof(maps.uid_map), "0 %u 1", geteuid());
    (void) snprintf(maps.gid_map, sizeof(maps.gid_map), "0 %u 1", getegid());
    return maps;
}

/* The last line of what was printed. */
static char *last_words(int fd)
{
    char *text = calloc(1, MKFS_OUTPUT_MAX + 1);
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > MKFS_OUTPUT_MAX ? size - MKFS_OUTPUT_MAX : 0;
    ssize_t n = text ? pread(fd, text, MKFS_OUTPUT_MAX, from) : -1;
    char *line;

    while (n > 0 && strchr("\r\n\t ", text[n - 1]))
        text[--n] = '\0';
    line = n > 0 ? strrchr(text, '\n') : NULL;
    if (line)
        memmove(text, line + 1, strlen(line + 1) + 1);
    return text;
}

static int mkfs_result(const struct child_status *status, int output_fd, mvm_error **err)
{
    mvm_autofree char *words = NULL;

    if (status->exited && status->code == 0)
        return 0;
    words = last_words(output_fd);
    return mvm_fail(err, MVM_E_CHILD, 0, MKFS_NAME " ended with %s %d%s%s",
                    status->exited ? "status" : "signal", status->code, words && *words ? ": " : "",
                    words ? words : "");
}

static int mkfs_wait(struct child *c, int output_fd, struct image_tick *tick, mvm_error **err)
{
    struct child_status status;

    for (;;) {
        mvm_autoerror mvm_error *why = NULL;
        int r = child_wait(c, IMAGE_TICK_MS, &status, &why);

        if (r == 0)
            return mkfs_result(&status, output_fd, err);
        if (r != MVM_E_TIMEOUT) {
            error_move(err, steal_ptr(&why));
            return r;
        }
        r = image_tick(tick, err);
        if (r < 0)
            return r;
    }
}

static int mkfs_run(const struct rootfs_image_spec *spec, const char *program,
                    struct image_tick *tick, mvm_error **err)
{
    struct userns_maps maps = maps_make();
    char *argv[] = { (char *) MKFS_NAME,
                     (char *) "-U" MKFS_UUID,
                     (char *) "--preserve-mtime",
                     (char *) "-d1",
                     (char *) spec->output,
                     (char *) spec->directory,
                     NULL,
                     NULL,
                     NULL };
    mvm_autoclose int output = memfd_create(MKFS_NAME, MFD_CLOEXEC);
    const struct child_fd fds[] = { { .from = output, .to = 1 }, { .from = output, .to = 2 } };
    const struct child_spec child_spec = { .path = program,
                                           .argv = argv,
                                           .fds = fds,
                                           .n_fds = ARRAY_SIZE(fds),
                                           .death_signal = 9,
                                           .cwd_fd = spec->dir_fd,
                                           .prepare = enter_userns,
                                           .prepare_user = &maps };
    mvm_autovalue(child) c = CHILD_NONE;
    int r;

    if (spec->owners) {
        argv[ARRAY_SIZE(argv) - 3] = (char *) "--all-root";
        argv[ARRAY_SIZE(argv) - 2] = (char *) "-Eforce-inode-extended";
    }
    if (output < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a memory file");
    r = child_spawn(&child_spec, &c, err);
    if (r < 0)
        return r;
    return mkfs_wait(&c, output, tick, err);
}

static uint32_t le32_get(const unsigned char *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

static void le32_put(unsigned char *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char) (value >> (8 * i));
}

/* Takes the time of making out of the superblock. */
static int forget_build_time(int fd, mvm_error **err)
{
    unsigned char super[SUPER_SPAN];

    if (pread(fd, super, sizeof(super), SUPER_OFFSET) != (ssize_t) sizeof(super) ||
        le32_get(super) != SUPER_MAGIC || super[SUPER_BLOCK_BITS] != 12)
        return mvm_fail(err, MVM_E_CHILD, 0, MKFS_NAME " left no EROFS image of 4 KiB blocks");
    memset(super + SUPER_BUILD_TIME, 0, SUPER_BUILD_TIME_LEN);
    memset(super + SUPER_CHECKSUM, 0, 4);
    if (le32_get(super + SUPER_FEATURES) & SUPER_FEATURE_CHECKSUM)
        le32_put(super + SUPER_CHECKSUM, crc32_iscsi(super, (int) sizeof(super), 0xffffffffu));
    if (pwrite(fd, super, sizeof(super), SUPER_OFFSET) != (ssize_t) sizeof(super))
        return mvm_fail(err, MVM_E_SYS, errno, "write the superblock");
    return 0;
}

static int set_owners(const struct rootfs_image_spec *spec, int fd, struct image_tick *tick,
                      mvm_error **err)
{
    mvm_autoclose int tree = -EBADF;
    int r;

    if (!spec->owners)
        return 0;
    if (fchmodat(spec->dir_fd, spec->directory, 0700, 0) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open up the tree");
    r = path_open_beneath(spec->dir_fd, spec->directory, O_RDONLY | O_DIRECTORY, 0, &tree, err);
    return r < 0 ? r : rootfs_owners_set(fd, tree, spec->owners, tick, err);
}

/* Bytes that are written back between two questions to the caller. */
#define SYNC_PIECE (4 << 20)

/* An fsync that does not keep the caller waiting: the pages go out piece by piece before it. */
static int sync_image(int fd, struct image_tick *tick, mvm_error **err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at the root filesystem image");
    for (off_t at = 0; at < st.st_size; at += SYNC_PIECE) {
        int r = image_tick(tick, err);

        if (r < 0)
            return r;
        /* A hint alone; what it cannot do, the fsync does. */
        (void) sync_file_range(fd, at, SYNC_PIECE,
                               SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                   SYNC_FILE_RANGE_WAIT_AFTER);
    }
    return io_sync(fd, "the root filesystem image", err);
}

int rootfs_image_build(const struct rootfs_image_spec *spec, struct image_tick *tick,
                       mvm_error **err)
{
    mvm_autofree char *program = rootfs_image_find_mkfs();
    mvm_autoclose int fd = -EBADF;
    int r;

    if (!program)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0,
                        MKFS_NAME
                        " is missing; it is in the package erofs-utils (apt install erofs-utils)");
    r = mkfs_run(spec, program, tick, err);
    if (r == 0)
        r = path_open_beneath(spec->dir_fd, spec->output, O_RDWR, 0, &fd, err);
    if (r == 0)
        r = set_owners(spec, fd, tick, err);
    if (r == 0) /* last: it renews the checksum, and the first inodes are below that */
        r = forget_build_time(fd, err);
    if (r == 0)
        r = sync_image(fd, tick, err);
    return r < 0 ? mvm_context(err, r, "build the root filesystem image") : 0;
}
