/* SPDX-License-Identifier: Apache-2.0 */
#include "image/test-layer.h"

#include <limits.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define LAYERS_MAX 4
#define SPECS_MAX 12

/* A case: layers of entries, ended by a name of NULL; what must fail says with which words. */
struct unpack_case {
    const char *what;
    struct tar_spec layers[LAYERS_MAX][SPECS_MAX];
    const char *error; /* NULL: it succeeds */
    const char
        *there[8]; /* "path" or "path=content" or "path->target" or "path/" for a directory */
    const char *absent[8];
};

static void expect_there(int root_fd, const char *what, const char *want)
{
    size_t n = strcspn(want, "=>");
    mvm_autofree char *path = strndup(want, want[n] == '>' ? n - 1 : n);
    mvm_autofree char *data = calloc(1, 4096);
    struct stat st;

    if (fstatat(root_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        fail_msg("%s: '%s' is missing", what, path);
    if (want[n] == '=') {
        mvm_autoclose int fd = openat(root_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0 || read(fd, data, 4095) < 0 || strcmp(data, want + n + 1) != 0)
            fail_msg("%s: '%s' holds '%s'", what, path, data);
    } else if (want[n] == '>') {
        if (readlinkat(root_fd, path, data, 4095) < 0 || strcmp(data, want + n + 1) != 0)
            fail_msg("%s: '%s' leads to '%s'", what, path, data);
    } else if (path[n - 1] == '/' && !S_ISDIR(st.st_mode)) {
        fail_msg("%s: '%s' is no directory", what, path);
    }
}

static void run_case(const struct unpack_case *c)
{
    struct sandbox *sb = NULL;
    mvm_auto(rootfs_unpack) u = NULL;
    mvm_autoerror mvm_error *e = NULL;
    int r = 0;

    assert_int_equal(sandbox_setup((void **) &sb), 0);
    u = unpack_open(sb);
    for (size_t i = 0; i < LAYERS_MAX && c->layers[i][0].name && r == 0; i++)
        r = apply_specs(u, c->layers[i], &e);
    if (!c->error && r == 0)
        r = rootfs_unpack_finish(u, NULL, &e);
    if (c->error && (r >= 0 || !strstr(mvm_error_message(e), c->error)))
        fail_msg("%s: '%s', not '%s'", c->what, mvm_error_message(e), c->error);
    if (!c->error && r < 0)
        fail_msg("%s: %s", c->what, mvm_error_message(e));
    for (size_t i = 0; i < ARRAY_SIZE(c->there) && c->there[i]; i++)
        expect_there(sb->root_fd, c->what, c->there[i]);
    for (size_t i = 0; i < ARRAY_SIZE(c->absent) && c->absent[i]; i++)
        if (sandbox_has(sb->root_fd, c->absent[i]))
            fail_msg("%s: '%s' is there", c->what, c->absent[i]);
    rootfs_unpack_free(steal_ptr(&u));
    assert_int_equal(sandbox_teardown((void **) &sb), 0);
}

static void run_cases(const struct unpack_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        run_case(&cases[i]);
}

static void unpack_refuses_names_that_climb_out(void **state)
{
    static const struct unpack_case cases[] = {
        { "..", { { FILE_OF("../outside/canary", "x") } }, .error = "climbs out" },
        { "inner ..", { { FILE_OF("a/../b", "x") } }, .error = "climbs out" },
        { ". ..", { { FILE_OF("./..", "x") } }, .error = "climbs out" },
        { "last ..", { { DIR("a/..") } }, .error = "climbs out" },
        { "absolute", { { FILE_OF("/etc/passwd", "x") } }, .error = "is absolute" },
        { "doubly absolute", { { FILE_OF("//etc", "x") } }, .error = "is absolute" },
        { "whiteout ..", { { FILE_OF("../outside/.wh.canary", "") } }, .error = "climbs out" },
        { "names its entry",
          { { FILE_OF("good", "x"), FILE_OF("x/../y", "x") } },
          .error = "'x/../y'" },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void unpack_confines_symlinked_parents(void **state)
{
    static const struct unpack_case cases[] = {
        { "absolute target starts at the root",
          { { DIR("usr/lib"), SYMLINK("lib", "/usr/lib"), FILE_OF("lib/x", "1") } },
          .there = { "usr/lib/x=1", "lib->/usr/lib" } },
        { "relative target",
          { { DIR("usr/lib"), SYMLINK("lib", "usr/lib"), FILE_OF("lib/d/x", "1") } },
          .there = { "usr/lib/d/x=1" } },
        { "across layers",
          { { DIR("usr/lib"), SYMLINK("lib", "usr/lib") }, { FILE_OF("lib/x", "1") } },
          .there = { "usr/lib/x=1", "lib->usr/lib" } },
        { ".. inside",
          { { DIR("a/b"), DIR("c"), SYMLINK("a/b/l", "../../c"), FILE_OF("a/b/l/x", "1") } },
          .there = { "c/x=1" } },
        { "climbing",
          { { DIR("a"), SYMLINK("a/l", "../../outside"), FILE_OF("a/l/canary", "x") } },
          .error = "climbs out" },
        { "climbing at once",
          { { SYMLINK("l", ".."), FILE_OF("l/outside/canary", "x") } },
          .error = "climbs out" },
        { "host path",
          { { SYMLINK("l", "/tmp"), FILE_OF("l/x", "x") } },
          .error = "missing",
          .absent = { "l/x" } },
        { "missing target",
          { { SYMLINK("l", "nowhere"), FILE_OF("l/x", "x") } },
          .error = "missing" },
        { "target is a file",
          { { FILE_OF("f", "x"), SYMLINK("l", "f"), FILE_OF("l/x", "x") } },
          .error = "no directory" },
        { "loop",
          { { SYMLINK("a", "b"), SYMLINK("b", "a"), FILE_OF("a/x", "x") } },
          .error = "40 symlinks" },
        { "whiteout through a link",
          { { DIR("d"), FILE_OF("d/x", "1"), SYMLINK("l", "d") }, { FILE_OF("l/.wh.x", "") } },
          .there = { "d/", "l->d" },
          .absent = { "d/x" } },
        { "whiteout climbing",
          { { SYMLINK("l", "../outside") }, { FILE_OF("l/.wh.canary", "") } },
          .error = "climbs out" },
        { "last component is not followed",
          { { SYMLINK("l", "../outside/canary") }, { FILE_OF("l", "new") } },
          .there = { "l=new" } },
        { "targets are verbatim",
          { { SYMLINK("l", "../../../etc/passwd"), SYMLINK("m", "/etc//passwd/.") } },
          .there = { "l->../../../etc/passwd", "m->/etc//passwd/." } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void unpack_refuses_hardlink_to_outside(void **state)
{
    static const struct unpack_case cases[] = {
        { "..", { { HARDLINK("h", "../outside/canary") } }, .error = "climbs out" },
        { "absolute", { { HARDLINK("h", "/etc/passwd") } }, .error = "is absolute" },
        { "through a link",
          { { SYMLINK("l", "../outside"), HARDLINK("h", "l/canary") } },
          .error = "climbs out" },
        { "through an absolute link",
          { { SYMLINK("l", "/etc"), HARDLINK("h", "l/passwd") } },
          .error = "no such file" },
        { "missing", { { HARDLINK("h", "nowhere") } }, .error = "hard link to 'nowhere'" },
        { "directory", { { DIR("d"), HARDLINK("h", "d") } }, .error = "is a directory" },
        { "root", { { HARDLINK("h", ".") } }, .error = "the root" },
        { "parent is a file",
          { { FILE_OF("f", "x"), HARDLINK("h", "f/x") } },
          .error = "no directory" },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void unpack_keeps_hard_links(void **state)
{
    static const struct unpack_case cases[] = {
        { "in a layer", { { FILE_OF("a", "1"), HARDLINK("b", "a") } }, .there = { "a=1", "b=1" } },
        { "to a lower layer",
          { { FILE_OF("a", "1") }, { HARDLINK("b", "a") } },
          .there = { "a=1", "b=1" } },
        { "replaced source",
          { { FILE_OF("a", "1"), HARDLINK("b", "a") }, { FILE_OF("a", "2") } },
          .there = { "a=2", "b=1" } },
        { "deleted source",
          { { FILE_OF("a", "1"), HARDLINK("b", "a") }, { FILE_OF(".wh.a", "") } },
          .there = { "b=1" },
          .absent = { "a" } },
        { "to itself", { { FILE_OF("a", "1"), HARDLINK("a", "a") } }, .there = { "a=1" } },
        { "to a symlink", { { SYMLINK("l", "x"), HARDLINK("m", "l") } }, .there = { "m->x" } },
        { "over a symlink",
          { { FILE_OF("a", "1"), SYMLINK("l", "../outside/canary"), HARDLINK("l", "a") } },
          .there = { "l=1" } },
        { "over a directory",
          { { FILE_OF("a", "1"), DIR("d/e") }, { HARDLINK("d", "a") } },
          .there = { "d=1" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void whiteouts_hide_lower_layers_alone(void **state)
{
    static const struct unpack_case cases[] = {
        { "file",
          { { FILE_OF("d/a", "1"), FILE_OF("d/b", "1") }, { FILE_OF("d/.wh.a", "") } },
          .there = { "d/b=1" },
          .absent = { "d/a", "d/.wh.a" } },
        { "tree",
          { { FILE_OF("d/e/f", "1"), FILE_OF("x", "1") }, { FILE_OF(".wh.d", "") } },
          .there = { "x=1" },
          .absent = { "d" } },
        { "link itself",
          { { FILE_OF("a", "1"), SYMLINK("l", "a") }, { FILE_OF(".wh.l", "") } },
          .there = { "a=1" },
          .absent = { "l" } },
        { "absent target",
          { { FILE_OF("a", "1") }, { FILE_OF(".wh.b", ""), FILE_OF("no/dir/.wh.b", "") } },
          .there = { "a=1" },
          .absent = { "no" } },
        { "own entry before",
          { { FILE_OF("a", "1") }, { FILE_OF("a", "2"), FILE_OF(".wh.a", "") } },
          .there = { "a=2" } },
        { "own entry after",
          { { FILE_OF("a", "1") }, { FILE_OF(".wh.a", ""), FILE_OF("a", "2") } },
          .there = { "a=2" } },
        { "own directory before, lower content goes",
          { { FILE_OF("d/old", "1") }, { DIR("d"), FILE_OF("d/new", "2"), FILE_OF(".wh.d", "") } },
          .there = { "d/new=2" },
          .absent = { "d/old" } },
        { "own content below, no entry of the directory",
          { { FILE_OF("d/e/old", "1") }, { FILE_OF("d/e/new", "2"), FILE_OF(".wh.d", "") } },
          .there = { "d/e/new=2" },
          .absent = { "d/e/old" } },
        { "hard link of a lower file is not its name",
          { { FILE_OF("d/a", "1") }, { HARDLINK("b", "d/a"), FILE_OF("d/.wh.a", "") } },
          .there = { "b=1" },
          .absent = { "d/a" } },
        { "not a whiteout", { { FILE_OF(".whnot", "1") } }, .there = { ".whnot=1" } },
        { "below a whiteout", { { FILE_OF(".wh.x/y", "1") } }, .absent = { ".wh.x" } },
        { "empty", { { FILE_OF(".wh.", "") } }, .error = "whiteout" },
        { "dot", { { FILE_OF("d/.wh..", "") } }, .error = "whiteout" },
        { "dot dot", { { FILE_OF(".wh...", "") } }, .error = "whiteout" },
        { "aufs",
          { { FILE_OF("a", "1") },
            { FILE_OF(".wh..wh.aufs", ""), FILE_OF(".wh..wh.plnk/1.2", "") } },
          .there = { "a=1" },
          .absent = { ".wh..wh.aufs", ".wh..wh.plnk" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void opaque_markers_hide_wherever_they_stand(void **state)
{
    static const struct unpack_case cases[] = {
        { "before",
          { { FILE_OF("d/old", "1") }, { FILE_OF("d/.wh..wh..opq", ""), FILE_OF("d/new", "2") } },
          .there = { "d/new=2" },
          .absent = { "d/old", "d/.wh..wh..opq" } },
        { "after",
          { { FILE_OF("d/old", "1") }, { FILE_OF("d/new", "2"), FILE_OF("d/.wh..wh..opq", "") } },
          .there = { "d/new=2" },
          .absent = { "d/old" } },
        { "same name before",
          { { FILE_OF("d/a", "1") }, { FILE_OF("d/a", "2"), FILE_OF("d/.wh..wh..opq", "") } },
          .there = { "d/a=2" } },
        { "nested directories after",
          { { FILE_OF("d/s/old", "1"), FILE_OF("d/t/old", "1") },
            { DIR("d/s"), FILE_OF("d/s/new", "2"), FILE_OF("d/.wh..wh..opq", "") } },
          .there = { "d/s/new=2" },
          .absent = { "d/s/old", "d/t" } },
        { "keeps the directory",
          { { FILE_OF("d/old", "1") }, { FILE_OF("d/.wh..wh..opq", "") } },
          .there = { "d/" },
          .absent = { "d/old" } },
        { "missing directory", { { FILE_OF("d/.wh..wh..opq", "") } }, .absent = { "d" } },
        { "no directory",
          { { FILE_OF("d", "1") }, { FILE_OF("d/.wh..wh..opq", "") } },
          .error = "no directory" },
        { "root",
          { { FILE_OF("a", "1"), DIR("b") }, { FILE_OF(".wh..wh..opq", ""), FILE_OF("c", "2") } },
          .there = { "c=2" },
          .absent = { "a", "b" } },
        { "through a link",
          { { FILE_OF("d/old", "1"), SYMLINK("l", "d") }, { FILE_OF("l/.wh..wh..opq", "") } },
          .there = { "d/", "l->d" },
          .absent = { "d/old" } },
        { "does not follow links inside",
          { { DIR("k"), FILE_OF("k/keep", "1"), SYMLINK("d/l", "../k") },
            { FILE_OF("d/.wh..wh..opq", "") } },
          .there = { "k/keep=1" },
          .absent = { "d/l" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void every_kind_replaces_every_kind(void **state)
{
    static const struct tar_spec kinds[] = { FILE_OF("x", "new"),
                                             SYMLINK("x", "target"),
                                             DIR("x"),
                                             { .name = "x", .type = '6' },
                                             HARDLINK("x", "other") };
    static const mode_t types[] = { S_IFREG, S_IFLNK, S_IFDIR, S_IFIFO, S_IFREG };

    (void) state;
    for (size_t a = 0; a < ARRAY_SIZE(kinds); a++)
        for (size_t b = 0; b < 2 * ARRAY_SIZE(kinds); b++) {
            const struct tar_spec first[] = { FILE_OF("other", "o"), kinds[a], { 0 } };
            const struct tar_spec second[] = { kinds[b % ARRAY_SIZE(kinds)], { 0 } };
            const struct tar_spec both[] = { first[0], first[1], second[0], { 0 } };
            bool one_layer = b >= ARRAY_SIZE(kinds);
            struct sandbox *sb = NULL;
            mvm_auto(rootfs_unpack) u = NULL;
            struct stat st;

            assert_int_equal(sandbox_setup((void **) &sb), 0);
            u = unpack_open(sb);
            assert_int_equal(apply_specs(u, one_layer ? both : first, NULL), 0);
            if (!one_layer)
                assert_int_equal(apply_specs(u, second, NULL), 0);
            assert_int_equal(fstatat(sb->root_fd, "x", &st, AT_SYMLINK_NOFOLLOW), 0);
            if ((st.st_mode & S_IFMT) != types[b % ARRAY_SIZE(kinds)])
                fail_msg("kind %zu over kind %zu gives mode %o", b, a, st.st_mode);
            rootfs_unpack_free(steal_ptr(&u));
            assert_int_equal(sandbox_teardown((void **) &sb), 0);
        }
}

static void parents_that_are_no_directories(void **state)
{
    static const struct unpack_case cases[] = {
        { "of a lower layer gives way",
          { { FILE_OF("p", "1") }, { FILE_OF("p/x", "2") } },
          .there = { "p/x=2" } },
        { "of the same layer",
          { { FILE_OF("p", "1"), FILE_OF("p/x", "2") } },
          .error = "no directory in this layer" },
        { "replaced in the same layer",
          { { FILE_OF("p", "1"), DIR("p"), FILE_OF("p/x", "2") } },
          .there = { "p/x=2" } },
        { "missing ones are made", { { FILE_OF("a/b/c/x", "1") } }, .there = { "a/b/c/x=1" } },
        { "normal names",
          { { FILE_OF("./a//./x", "1"), DIR("./b/") } },
          .there = { "a/x=1", "b/" } },
        { "the cached parent went",
          { { FILE_OF("d/e/x", "1"), FILE_OF("d", "2") }, { FILE_OF("d/e/y", "3") } },
          .there = { "d/e/y=3" },
          .absent = { "d/e/x" } },
    };

    (void) state;
    run_cases(cases, ARRAY_SIZE(cases));
}

static void attributes_are_kept(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(strbuf) pax = STRBUF_INIT(4096);
    mvm_auto(rootfs_unpack) u = unpack_open(sb);
    char value[16] = "";
    struct stat st;

    pax_record(&pax, "SCHILY.xattr.user.note", "a\0b", 3);
    pax_record(&pax, "mtime", "981173106.123456789", 19);
    const struct tar_spec specs[] = {
        { .name = "d", .type = '5', .mode = 01555, .mtime = 1000, .uid = 5, .gid = 6 },
        { .name = "d/f",
          .data = "x",
          .mode = 06711,
          .uid = 7,
          .gid = 8,
          .pax = pax.data,
          .pax_len = pax.len },
        { .name = "d/l", .type = '2', .link = "x", .mtime = 2000, .uid = 9, .gid = 10 },
        { .name = "d/p", .type = '6', .mode = 0640, .mtime = 3000 },
        { .name = "i/f", .data = "y" },
        { 0 }
    };
    assert_int_equal(apply_specs(u, specs, NULL), 0);
    assert_int_equal(rootfs_unpack_finish(u, NULL, NULL), 0);
    assert_int_equal(fstatat(sb->root_fd, "d", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 01555);
    assert_int_equal(st.st_mtim.tv_sec, 1000);
    assert_int_equal(fstatat(sb->root_fd, "d/f", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 06711);
    assert_int_equal(st.st_mtim.tv_sec, 981173106);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
    if (geteuid() == 0) {
        assert_int_equal(st.st_uid, 7);
        assert_int_equal(st.st_gid, 8);
        assert_int_equal(fstatat(sb->root_fd, "d/l", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_uid, 9);
    }
    mvm_autoclose int fd = openat(sb->root_fd, "d/f", O_PATH | O_CLOEXEC);
    mvm_autofree char *path = NULL;

    assert_int_equal(path_of_fd(fd, &path, NULL), 0);
    assert_int_equal(getxattr(path, "user.note", value, sizeof(value)), 3);
    assert_memory_equal(value, "a\0b", 3);
    assert_int_equal(fstatat(sb->root_fd, "d/l", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mtim.tv_sec, 2000);
    assert_int_equal(fstatat(sb->root_fd, "d/p", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFIFO | 0640);
    assert_int_equal(fstatat(sb->root_fd, "i", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_mtim.tv_sec, 0);
    assert_int_equal(fstat(sb->root_fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
}

static void root_entry_and_upper_directories_set_attributes(void **state)
{
    struct sandbox *sb = *state;
    mvm_auto(rootfs_unpack) u = unpack_open(sb);
    static const struct tar_spec lower[] = {
        { .name = "./", .type = '5', .mode = 0711, .mtime = 50 },
        { .name = "d", .type = '5', .mode = 0700, .mtime = 60 },
        { .name = "/", .type = '5', .mode = 0710, .mtime = 55 },
        { 0 }
    };
    static const struct tar_spec upper[] = {
        { .name = "d", .type = '5', .mode = 0511, .mtime = 70 },
        { .name = "d/f", .data = "x" },
        { 0 }
    };
    static const struct tar_spec bad[] = { SYMLINK("./", "x"), { 0 } };
    struct stat st;

    assert_int_equal(apply_specs(u, lower, NULL), 0);
    assert_int_equal(apply_specs(u, upper, NULL), 0);
    assert_int_equal(apply_specs(u, bad, NULL), MVM_E_FORMAT);
    assert_int_equal(rootfs_unpack_finish(u, NULL, NULL), 0);
    assert_int_equal(fstat(sb->root_fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0710);
    assert_int_equal(st.st_mtim.tv_sec, 55);
    assert_int_equal(fstatat(sb->root_fd, "d", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0511);
    assert_int_equal(st.st_mtim.tv_sec, 70);
}

static void devices_are_made_by_root(void **state)
{
    struct sandbox *sb = *state;
    mvm_auto(rootfs_unpack) u = NULL;
    static const struct tar_spec specs[] = {
        { .name = "null", .type = '3', .mode = 0666, .major = 1, .minor = 3 },
        { .name = "disk", .type = '4', .mode = 0660, .major = 254, .minor = 17 },
        { 0 }
    };
    struct stat st;

    if (geteuid() != 0)
        skip();
    u = unpack_open(sb);
    assert_int_equal(apply_specs(u, specs, NULL), 0);
    assert_int_equal(fstatat(sb->root_fd, "null", &st, 0), 0);
    assert_int_equal(st.st_mode, S_IFCHR | 0666);
    assert_int_equal(st.st_rdev, makedev(1, 3));
    assert_int_equal(fstatat(sb->root_fd, "disk", &st, 0), 0);
    assert_int_equal(st.st_mode, S_IFBLK | 0660);
    assert_int_equal(st.st_rdev, makedev(254, 17));
}

/* A directory that its owner may not write, devices and foreign owners do not stop an ordinary
 * user. */
static int unpack_as_user(struct sandbox *sb)
{
    static const struct tar_spec lower[] = {
        { .name = "d", .type = '5', .mode = 0555, .uid = 1, .gid = 2 },
        { .name = "d/none", .data = "x", .mode = 0 | 01000, .uid = 3 },
        { .name = "null", .type = '3', .mode = 0666, .major = 1, .minor = 3 },
        { .name = "closed", .type = '5', .mode = 01000 },
        { 0 }
    };
    static const struct tar_spec upper[] = { { .name = "d/more", .data = "y" },
                                             { .name = "closed/f", .data = "z" },
                                             { 0 } };
    mvm_auto(rootfs_unpack) u = unpack_open(sb);
    struct stat st;

    if (apply_specs(u, lower, NULL) < 0 || apply_specs(u, upper, NULL) < 0)
        return 1;
    if (rootfs_unpack_finish(u, NULL, NULL) < 0 || !rootfs_unpack_owners(u))
        return 2;
    if (fstatat(sb->root_fd, "d", &st, 0) < 0 || (st.st_mode & 07777) != 0555 ||
        !sandbox_has(sb->root_fd, "d/more"))
        return 3;
    if (fstatat(sb->root_fd, "null", &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size != 0)
        return 4;
    return owner_map_get(rootfs_unpack_owners(u), st.st_ino).device == makedev(1, 3) ? 0 : 5;
}

static void ordinary_user_fills_what_the_image_closes(void **state)
{
    struct sandbox *sb = *state;

    if (geteuid() == 0)
        assert_int_equal(fchown(sb->root_fd, 65534, 65534), 0);
    assert_int_equal(sandbox_as_user(unpack_as_user, sb), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unpack_refuses_names_that_climb_out),
        cmocka_unit_test(unpack_confines_symlinked_parents),
        cmocka_unit_test(unpack_refuses_hardlink_to_outside),
        cmocka_unit_test(unpack_keeps_hard_links),
        cmocka_unit_test(whiteouts_hide_lower_layers_alone),
        cmocka_unit_test(opaque_markers_hide_wherever_they_stand),
        cmocka_unit_test(every_kind_replaces_every_kind),
        cmocka_unit_test(parents_that_are_no_directories),
        SANDBOX_TEST(attributes_are_kept),
        SANDBOX_TEST(root_entry_and_upper_directories_set_attributes),
        SANDBOX_TEST(devices_are_made_by_root),
        SANDBOX_TEST(ordinary_user_fills_what_the_image_closes),
    };

    return cmocka_run_group_tests_name("image-layer-unpack", tests, NULL, NULL);
}
