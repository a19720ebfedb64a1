/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/test-copy.h"

#include "base/io.h"

#include <dirent.h>

/* Copies the script @items out; the result and the error's text are in the fixture. */
static int out(struct fixture *f, const struct agent_item *items, size_t n, const char *guest,
               const char *name, const struct copy_options *o)
{
    mvm_autofree char *host = in_root(f, name);
    mvm_autoerror mvm_error *err = NULL;
    int r;

    f->items = items;
    f->n_items = n;
    r = copy_out(f->client, guest, host, o, &f->result, &err);
    (void) snprintf(f->text, sizeof(f->text), "%s", mvm_error_message(err)); /* may be cut */
    return r;
}
#define OUT(f, items, guest, name, o) out((f), (items), ARRAY_SIZE(items), (guest), (name), (o))

static void assert_text(struct fixture *f, const char *name, const char *text)
{
    mvm_autoclose int fd = openat(f->sb->root_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    mvm_autofree char *data = NULL;
    size_t len = 0;

    assert_true(fd >= 0);
    assert_int_equal(io_read_all(fd, 1 << 20, &data, &len, NULL), 0);
    assert_string_equal(data, text);
}

/* How many names the sandbox's root holds, at any depth. */
static unsigned count_names(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fdopendir(fd);
    const struct dirent *e;
    unsigned n = 0;

    assert_non_null(dir);
    while ((e = readdir(dir))) {
        mvm_autoclose int child = -EBADF;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        n++;
        child = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child >= 0)
            n += count_names(child);
    }
    (void) closedir(dir);
    return n;
}

static void tree_comes_out_as_it_is(void **state)
{
    struct fixture *f = *state;
    char target[64] = "";
    struct stat st;

    assert_int_equal(OUT(f, copy_test_tree, "/srv/t", "new", &plain), 0);
    assert_text(f, "new/a", "hello");
    assert_text(f, "new/d/empty", "");
    assert_text(f, "new/d/e/\xff\x80", "x");
    assert_text(f, "new/z", "z");
    assert_true(readlinkat(f->sb->root_fd, "new/d/l", target, sizeof(target) - 1) > 0);
    assert_string_equal(target, "../../../outside");
    assert_int_equal(fstatat(f->sb->root_fd, "new/a", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0751); /* no set-id bits */
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(st.st_mtim.tv_sec, 1700000000);
    assert_int_equal(st.st_mtim.tv_nsec, 500000000);
    assert_int_equal(fstatat(f->sb->root_fd, "new", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0555);
    assert_int_equal(st.st_mtim.tv_sec, 1700000000);
    assert_int_equal(f->result.files, 8);
    assert_int_equal(f->result.bytes, 7);
    assert_int_equal(f->result.skipped, 0);
    assert_int_equal(count_names(f->sb->root_fd), 8); /* no temporary name is left */
}

static void archive_keeps_set_id_bits_and_owners(void **state)
{
    static const struct agent_item items[] = {
        { .kind = AGENT_ITEM_INFO, .info = { .mode = S_IFREG | 06755, .uid = 1234, .gid = 4321 } }
    };
    static const struct copy_options archive = { .archive = true };
    struct fixture *f = *state;
    struct stat st;

    assert_int_equal(OUT(f, items, "/bin/su", "su", &archive), 0);
    assert_int_equal(fstatat(f->sb->root_fd, "su", &st, 0), 0);
    if (geteuid() == 0) {
        assert_int_equal(st.st_uid, 1234);
        assert_int_equal(st.st_gid, 4321);
        assert_int_equal(st.st_mode & 07777, 06755);
    } else { /* ours: then without the bits */
        assert_int_equal(st.st_uid, geteuid());
        assert_int_equal(st.st_mode & 07777, 0755);
    }
}

static void destination_names_are_those_of_docker_cp(void **state)
{
    static const struct agent_item file[] = { INFO(NULL, S_IFREG | 0644, 1), DATA("f") };
    static const struct agent_item dir[] = { DIR_ITEM(NULL), INFO("in", S_IFREG | 0644, 1),
                                             DATA("d") };
    struct fixture *f = *state;

    assert_int_equal(mkdirat(f->sb->root_fd, "there", 0755), 0);
    sandbox_write(f->sb->root_fd, "file", "old");
    /* A file: to a new name, over a file, into a folder. */
    assert_int_equal(OUT(f, file, "/g/src", "new", &plain), 0);
    assert_text(f, "new", "f");
    assert_int_equal(OUT(f, file, "/g/src", "file", &plain), 0);
    assert_text(f, "file", "f");
    assert_int_equal(OUT(f, file, "/g/src", "there", &plain), 0);
    assert_text(f, "there/src", "f");
    assert_int_equal(OUT(f, file, "/g/src", "none/", &plain), MVM_E_NOT_FOUND);
    assert_int_equal(OUT(f, file, "/g/src", "none/x", &plain), MVM_E_NOT_FOUND);
    assert_int_equal(OUT(f, file, "/g/src", "file/", &plain), MVM_E_NOT_FOUND);
    /* A folder: to a new name, into a folder, its content alone; never over a file. */
    assert_int_equal(OUT(f, dir, "/g/dir", "dir", &plain), 0);
    assert_text(f, "dir/in", "d");
    assert_int_equal(OUT(f, dir, "/g/dir/", "dir2/", &plain), 0);
    assert_text(f, "dir2/in", "d");
    assert_int_equal(OUT(f, dir, "/g/sub", "there", &plain), 0);
    assert_text(f, "there/sub/in", "d");
    assert_int_equal(OUT(f, dir, "/g/dir/.", "there", &plain), 0);
    assert_text(f, "there/in", "d");
    assert_int_equal(OUT(f, dir, "/", "there/sub", &plain), 0);
    assert_int_equal(OUT(f, dir, "/g/dir", "file", &plain), MVM_E_EXISTS);
    /* The folder that was merged into keeps its mode. */
    assert_text(f, "file", "f");
}

static void names_that_lead_astray_are_refused(void **state)
{
#define BAD(...)                                                                 \
    {                                                                            \
        (const struct agent_item[]){ DIR_ITEM(NULL), __VA_ARGS__ },              \
            sizeof((const struct agent_item[]){ DIR_ITEM(NULL), __VA_ARGS__ }) / \
                sizeof(struct agent_item)                                        \
    }
    static const struct agent_item f1 = INFO("../outside/canary", S_IFREG | 0644, 0);
    const struct {
        const struct agent_item *items;
        size_t n;
    } cases[] = {
        BAD(f1),
        BAD(INFO("/tmp/x", S_IFREG | 0644, 0)),
        BAD(INFO("..", S_IFREG | 0644, 0)),
        BAD(INFO(".", S_IFREG | 0644, 0)),
        BAD(INFO("a//b", S_IFREG | 0644, 0)),
        BAD(INFO("a/", S_IFREG | 0644, 0)),
        BAD(DIR_ITEM("a"), INFO("a/../b", S_IFREG | 0644, 0)),
        BAD(DIR_ITEM("a"), INFO("a/./b", S_IFREG | 0644, 0)),
        BAD(INFO("a/b", S_IFREG | 0644, 0)), /* in no folder */
        BAD(DIR_ITEM("a"), INFO("b", S_IFREG | 0644, 0), INFO("a/c", S_IFREG | 0644, 0)),
        BAD(DIR_ITEM("ab"), INFO("a/c", S_IFREG | 0644, 0)),
        BAD(LINK("l", "../outside"), INFO("l/canary", S_IFREG | 0644, 0)),
        BAD(LINK("l", "../outside"), DIR_ITEM("l"), INFO("l/canary", S_IFREG | 0644, 0)),
        BAD(INFO("f", S_IFREG | 0644, 0), INFO("f/x", S_IFREG | 0644, 0)),
        BAD(DIR_ITEM("a"), LINK("a", "../outside")), /* over a folder */
        BAD(DIR_ITEM(NULL)),                         /* the source twice */
    };
#undef BAD
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int r = out(f, cases[i].items, cases[i].n, "/g/dir", "", &plain);

        if (r != MVM_E_FORMAT && r != MVM_E_EXISTS)
            fail_msg("case %zu: %d, %s", i, r, f->text);
        assert_non_null(strstr(f->text, "copy '/g/dir' from the guest: "));
        assert_true(sandbox_canary_lives(f->sb));
        assert_int_equal(path_remove_tree(f->sb->root_fd, "dir", NULL), 0);
    }
}

static void link_of_the_host_is_not_followed(void **state)
{
    static const struct agent_item items[] = { DIR_ITEM(NULL), DIR_ITEM("d"),
                                               INFO("d/canary", S_IFREG | 0644, 1), DATA("!") };
    struct fixture *f = *state;

    assert_int_equal(symlinkat("../outside", f->sb->root_fd, "d"), 0);
    assert_int_equal(OUT(f, items, "/g/.", "", &plain), MVM_E_EXISTS);
    assert_true(sandbox_canary_lives(f->sb));
}

static void file_that_is_not_whole_does_not_appear(void **state)
{
    static const struct agent_item cut[] = { INFO(NULL, S_IFREG | 0644, 3), DATA("ab") };
    static const struct agent_item cut_within[] = { DIR_ITEM(NULL), INFO("a", S_IFREG | 0644, 3),
                                                    DATA("ab"), INFO("b", S_IFREG | 0644, 0) };
    static const struct agent_item more[] = { INFO(NULL, S_IFREG | 0644, 3), DATA("abcd") };
    static const struct agent_item more_later[] = { INFO(NULL, S_IFREG | 0644, 2), DATA("ab"),
                                                    DATA("c") };
    static const struct agent_item early[] = { DATA("ab") };
    static const struct agent_item of_folder[] = { DIR_ITEM(NULL), DATA("ab") };
    struct fixture *f = *state;

    sandbox_write(f->sb->root_fd, "kept", "old");
    assert_int_equal(OUT(f, cut, "/g", "kept", &plain), MVM_E_FORMAT);
    assert_int_equal(OUT(f, more, "/g", "kept", &plain), MVM_E_FORMAT);
    assert_int_equal(OUT(f, early, "/g", "kept", &plain), MVM_E_FORMAT);
    assert_text(f, "kept", "old");
    assert_int_equal(count_names(f->sb->root_fd), 1);
    assert_int_equal(OUT(f, cut_within, "/g", "dir", &plain), MVM_E_FORMAT);
    assert_int_equal(OUT(f, of_folder, "/g", "dir", &plain), MVM_E_FORMAT);
    assert_int_equal(count_names(f->sb->root_fd), 3); /* dir, and dir/g which holds nothing */
    assert_int_equal(OUT(f, more_later, "/g", "two", &plain), MVM_E_FORMAT);
    assert_text(f, "two", "ab");
}

static void devices_are_left_out_and_counted(void **state)
{
    static const struct agent_item items[] = { DIR_ITEM(NULL),
                                               INFO("null", S_IFCHR | 0666, 0),
                                               INFO("disk", S_IFBLK | 0666, 0),
                                               INFO("fifo", S_IFIFO | 0666, 0),
                                               INFO("socket", S_IFSOCK | 0666, 0),
                                               INFO("file", S_IFREG | 0644, 0) };
    static const struct agent_item device[] = { INFO(NULL, S_IFCHR | 0666, 0) };
    struct fixture *f = *state;

    assert_int_equal(OUT(f, items, "/dev", "dev", &plain), 0);
    assert_int_equal(f->result.skipped, 4);
    assert_int_equal(f->result.files, 2);
    assert_int_equal(count_names(f->sb->root_fd), 2);
    assert_int_equal(OUT(f, device, "/dev/null", "null", &plain), MVM_E_UNSUPPORTED);
}

static void limits_hold_at_their_number(void **state)
{
    static const struct agent_item items[] = { DIR_ITEM(NULL), INFO("a", S_IFREG | 0644, 2),
                                               DATA("aa"), INFO("b", S_IFREG | 0644, 2),
                                               DATA("bb") };
    struct fixture *f = *state;
    struct copy_options o = { .max_bytes = 4 };
    static struct agent_item deep[COPY_DEPTH_MAX + 2] = { DIR_ITEM(NULL) };
    char *names[COPY_DEPTH_MAX + 2] = { NULL };

    assert_int_equal(OUT(f, items, "/g", "ok", &o), 0);
    o.max_bytes = 3;
    assert_int_equal(OUT(f, items, "/g", "above", &o), MVM_E_LIMIT);
    for (size_t i = 1; i < ARRAY_SIZE(deep); i++) {
        assert_true(
            asprintf(&names[i], "%s%sd", names[i - 1] ? names[i - 1] : "", i > 1 ? "/" : "") > 0);
        deep[i] = (struct agent_item) DIR_ITEM(names[i]);
    }
    assert_int_equal(out(f, deep, COPY_DEPTH_MAX + 1, "/g", "deep", &plain), 0);
    assert_int_equal(f->result.files, COPY_DEPTH_MAX + 1);
    assert_int_equal(out(f, deep, COPY_DEPTH_MAX + 2, "/g", "deeper", &plain), MVM_E_FORMAT);
    for (size_t i = 1; i < ARRAY_SIZE(deep); i++)
        free(names[i]);
}

static void entries_are_counted(void **state)
{
    struct copy_result result = { .files = 0 };
    mvm_autovalue(copy_check) check = COPY_CHECK_INIT(&plain, &result);
    const struct agent_file root = { .mode = S_IFDIR | 0755 };
    const struct agent_file file = { .name = (char *) "f", .mode = S_IFREG | 0644 };

    (void) state;
    assert_int_equal(copy_check_info(&check, &root, NULL), 1);
    for (uint64_t i = 1; i < COPY_ENTRIES_MAX; i++)
        if (copy_check_info(&check, &file, NULL) != 1)
            fail_msg("entry %llu is refused", (unsigned long long) i);
    assert_int_equal(copy_check_info(&check, &file, NULL), MVM_E_LIMIT);
}

static void refusal_of_the_guest_is_passed_on(void **state)
{
    struct fixture *f = *state;

    f->status = TTRPC_NOT_FOUND;
    assert_int_equal(out(f, NULL, 0, "/none", "x", &plain), MVM_E_NOT_FOUND);
    assert_string_equal(f->text, "copy '/none' from the guest: no such file");
    f->status = 0;
    assert_int_equal(out(f, NULL, 0, "/none", "x", &plain), MVM_E_FORMAT);
    assert_int_equal(count_names(f->sb->root_fd), 0);
}

int main(void)
{
#define COPY_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        COPY_TEST(tree_comes_out_as_it_is),
        COPY_TEST(archive_keeps_set_id_bits_and_owners),
        COPY_TEST(destination_names_are_those_of_docker_cp),
        COPY_TEST(names_that_lead_astray_are_refused),
        COPY_TEST(link_of_the_host_is_not_followed),
        COPY_TEST(file_that_is_not_whole_does_not_appear),
        COPY_TEST(devices_are_left_out_and_counted),
        COPY_TEST(limits_hold_at_their_number),
        COPY_TEST(entries_are_counted),
        COPY_TEST(refusal_of_the_guest_is_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
