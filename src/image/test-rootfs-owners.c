/* SPDX-License-Identifier: Apache-2.0 */
#include "base/child.h"
#include "image/rootfs-image.h"
#include "image/rootfs-owners.h"
#include "image/test-layer.h"

#include <sys/prctl.h>
#include <sys/sysmacros.h>

#define LONG_UID 70001

static const struct tar_spec layer[] = {
    { .name = ".", .type = '5', .mode = 0755, .uid = 5, .gid = 6 },
    { .name = "home/app", .type = '5', .mode = 0700, .uid = 1000, .gid = 1001 },
    { .name = "home/app/f", .data = "x", .mode = 04755, .uid = 1000, .gid = LONG_UID },
    { .name = "home/app/g", .type = '1', .link = "home/app/f" },
    { .name = "home/app/l", .type = '2', .link = "f", .uid = 7, .gid = 8 },
    { .name = "closed", .type = '5', .mode = 01000, .uid = 9, .gid = 9 },
    { .name = "closed/f", .data = "y", .mode = 0600, .uid = 10, .gid = 11 },
    { .name = "fifo", .type = '6', .mode = 0640, .uid = 12, .gid = 13 },
    { .name = "null", .type = '3', .mode = 0666, .gid = 14, .major = 1, .minor = 3 },
    { .name = "disk", .type = '4', .mode = 0660, .uid = 1, .gid = 6, .major = 254, .minor = 300 },
    { .name = "disk2", .type = '1', .link = "disk" },
    { 0 }
};

/* Unpacks the layer and makes "image" of it, as whoever runs this. */
static int build(struct sandbox *sb)
{
    const struct unpack_limits limits = UNPACK_LIMITS_DEFAULT;
    struct rootfs_image_spec spec = { .dir_fd = sb->fd, .directory = "root", .output = "image" };
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);
    mvm_auto(rootfs_unpack) u = NULL;
    mvm_autoerror mvm_error *e = NULL;
    int r;

    for (const struct tar_spec *s = layer; s->name; s++)
        tar_add(&tar, s);
    for (int i = 0; i < 300; i++) { /* a directory of several blocks */
        char name[64];

        (void) snprintf(name, sizeof(name), "many/a-name-that-fills-the-blocks-%d", i);
        tar_add(&tar, &(struct tar_spec){ .name = name, .data = "", .uid = 2000u + (unsigned) i });
    }
    tar_end(&tar);
    /* A change of user takes /proc/self away from the process; a login would give it back. */
    (void) prctl(PR_SET_DUMPABLE, 1);
    r = rootfs_unpack_new(sb->root_fd, &limits, NULL, &u, &e);
    if (r == 0)
        r = layer_apply(u, &tar, &e);
    if (r == 0)
        r = rootfs_unpack_finish(u, NULL, &e);
    spec.owners = r == 0 ? rootfs_unpack_owners(u) : NULL;
    if (r == 0)
        r = rootfs_image_build(&spec, NULL, &e);
    if (r < 0)
        print_message("# %s\n", mvm_error_message(e));
    return r < 0;
}

/* Runs a command on "image" in the sandbox; its output, owned by the caller. */
static char *read_image(const struct sandbox *sb, const char *command)
{
    mvm_autofree char *line = NULL;
    char *out = NULL;

    assert_true(asprintf(&line, "cd %s && PATH=$PATH:/usr/sbin:/sbin; %s", sb->path, command) > 0);
    char *const argv[] = { (char *) "sh", (char *) "-c", line, NULL };
    const struct child_spec spec = { .argv = argv };

    assert_int_equal(child_run(&spec, 60000, 65536, &out, NULL), 0);
    return out;
}

static void expect_inode(const struct sandbox *sb, const char *path, const char *const *words)
{
    mvm_autofree char *command = NULL, *out = NULL;

    assert_true(asprintf(&command, "dump.erofs --path=%s image 2>&1", path) > 0);
    out = read_image(sb, command);
    for (; *words; words++)
        if (!strstr(out, *words))
            fail_msg("%s: no '%s' in '%s'", path, *words, out);
}

static void build_as_user(struct sandbox *sb)
{
    if (geteuid() == 0)
        assert_int_equal(fchown(sb->root_fd, 65534, 65534), 0);
    assert_int_equal(sandbox_as_user(build, sb), 0);
}

/* dump.erofs prints the lower nine bits of a mode alone. */
static void ordinary_users_image_has_the_owners_of_the_tar(void **state)
{
    static const struct {
        const char *path;
        const char *words[4];
    } cases[] = {
        { "/", { "Uid: 5   Gid: 6  Access: 0755", NULL } },
        { "/home", { "Uid: 0   Gid: 0  Access: 0755", NULL } },
        { "/home/app", { "Uid: 1000   Gid: 1001  Access: 0700", NULL } },
        { "/home/app/f", { "Uid: 1000   Gid: 70001  Access: 0755", "Links: 2", NULL } },
        { "/home/app/g", { "Uid: 1000   Gid: 70001  Access: 0755", NULL } },
        { "/home/app/l", { "Uid: 7   Gid: 8", "symlink", NULL } },
        { "/closed", { "Uid: 9   Gid: 9  Access: 0000", NULL } },
        { "/closed/f", { "Uid: 10   Gid: 11  Access: 0600", NULL } },
        { "/fifo", { "Uid: 12   Gid: 13  Access: 0640", NULL } },
        { "/null", { "Uid: 0   Gid: 14  Access: 0666", "char", NULL } },
        { "/disk", { "Uid: 1   Gid: 6  Access: 0660", "block", NULL } },
        { "/disk2", { "Uid: 1   Gid: 6  Access: 0660", "block", NULL } },
        { "/many/a-name-that-fills-the-blocks-0", { "Uid: 2000 ", NULL } },
        { "/many/a-name-that-fills-the-blocks-299", { "Uid: 2299 ", NULL } },
    };
    struct sandbox *sb = *state;
    mvm_autofree char *out = NULL;

    build_as_user(sb);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        expect_inode(sb, cases[i].path, cases[i].words);
    out = read_image(sb, "fsck.erofs image 2>&1");
}

/* Extraction of devices needs privilege. */
static void devices_have_their_numbers(void **state)
{
    struct sandbox *sb = *state;
    struct stat st;

    if (geteuid() != 0)
        skip();
    build_as_user(sb);
    free(read_image(sb, "fsck.erofs --extract=out image 2>&1"));
    assert_int_equal(fstatat(sb->fd, "out/null", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFCHR | 0666);
    assert_int_equal(st.st_rdev, makedev(1, 3));
    assert_int_equal(fstatat(sb->fd, "out/disk2", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFBLK | 0660);
    assert_int_equal(st.st_rdev, makedev(254, 300));
    assert_int_equal(fstatat(sb->fd, "out/closed/f", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_uid, 10);
}

/* Copies the image with @len bytes at @at changed, and asks for its owners to be set. */
static void expect_refused(const struct sandbox *sb, off_t at, const char *bytes, size_t len)
{
    const struct owner_map none = { 0 };
    mvm_autoerror mvm_error *e = NULL;
    mvm_autoclose int fd = -EBADF;
    int r;

    free(read_image(sb, "cp image bad && chmod 666 bad"));
    fd = openat(sb->fd, "bad", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    if (bytes)
        assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t) len);
    else
        assert_int_equal(ftruncate(fd, at), 0);
    r = rootfs_owners_set(fd, sb->root_fd, &none, NULL, &e);
    if (r != MVM_E_FORMAT)
        fail_msg("at %lld: %d, '%s'", (long long) at, r, mvm_error_message(e));
}

static void malformed_images_are_refused(void **state)
{
    struct sandbox *sb = *state;
    mvm_autoclose int fd = -EBADF;
    unsigned char nid[2];
    off_t root;

    build_as_user(sb);
    fd = openat(sb->fd, "image", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, nid, 2, 1024 + 14), 2);
    root = 32 * (nid[0] + 256 * nid[1]);
    expect_refused(sb, 1024, "x", 1);                                    /* magic */
    expect_refused(sb, 1024 + 12, "\x09", 1);                            /* block size */
    expect_refused(sb, 1024 + 14, "\xff\xff", 2);                        /* root beyond the end */
    expect_refused(sb, 1024 + 40, "\xff\xff\xff\xff", 4);                /* inodes beyond it */
    expect_refused(sb, root, "\x04", 1);                                 /* a compact inode */
    expect_refused(sb, root, "\x07", 1);                                 /* a compressed one */
    expect_refused(sb, root + 4, "\xa4\x81", 2);                         /* the root is a file */
    expect_refused(sb, root + 8, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8); /* size */
    expect_refused(sb, root + 2, "\xff\xff", 2);                         /* attributes */
    expect_refused(sb, root + 64 + 24, "\xff\xff\xff\xff\xff\xff\xff\xff", 8); /* inode */
    expect_refused(sb, root + 64 + 8, "\x0b", 1);     /* names in the first entry */
    expect_refused(sb, root + 64 + 8, "\0", 1);       /* no entry */
    expect_refused(sb, root + 64 + 8, "\xfc\xff", 2); /* names beyond the block */
    expect_refused(sb, root + 64 + 20, "\x01", 1);    /* a name before the first */
    expect_refused(sb, 1100, NULL, 0);                /* cut off in the superblock */
    expect_refused(sb, root + 70, NULL, 0);           /* cut off in the root */
}

static void images_of_another_tree_are_refused(void **state)
{
    const struct owner_map none = { 0 };
    struct sandbox *sb = *state;
    mvm_autoerror mvm_error *e = NULL;
    mvm_autoclose int fd = -EBADF;
    mvm_autoclose int other = sandbox_open(sb->fd, "outside");

    build_as_user(sb);
    free(read_image(sb, "cp image bad && chmod 666 bad"));
    fd = openat(sb->fd, "bad", O_RDWR | O_CLOEXEC);
    assert_int_equal(rootfs_owners_set(fd, other, &none, NULL, &e), MVM_E_FORMAT);
    assert_non_null(strstr(mvm_error_message(e), "not in the tree"));
}

static void a_reused_inode_has_its_newer_record(void **state)
{
    struct owner_map map = { 0 };

    (void) state;
    assert_int_equal(owner_map_get(&map, 1).uid, 0);
    for (unsigned i = 0; i < 2000; i++)
        assert_int_equal(
            owner_map_set(&map, i,
                          &(struct owner_record){ .uid = i, .gid = 1, .device_type = S_IFCHR }),
            0);
    assert_int_equal(owner_map_set(&map, 7, &(struct owner_record){ .uid = 8 }), 0);
    assert_int_equal(map.n_records, 2000);
    assert_int_equal(owner_map_get(&map, 7).uid, 8);
    assert_int_equal(owner_map_get(&map, 7).device_type, 0);
    assert_int_equal(owner_map_get(&map, 1999).uid, 1999);
    owner_map_deinit(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SANDBOX_TEST(ordinary_users_image_has_the_owners_of_the_tar),
        SANDBOX_TEST(devices_have_their_numbers),
        SANDBOX_TEST(malformed_images_are_refused),
        SANDBOX_TEST(images_of_another_tree_are_refused),
        cmocka_unit_test(a_reused_inode_has_its_newer_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
