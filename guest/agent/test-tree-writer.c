/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/file-info.h"
#include "guest/agent/test-files.h"
#include "guest/agent/tree-writer.h"

static void expect_file(const char *path, const char *want)
{
    char text[256] = "";
    FILE *f = fopen(at(path), "re");

    if (!f)
        fail_msg("%s is not there", path);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    (void) fclose(f);
    assert_string_equal(text, want);
}

static bool is_there(const char *path)
{
    struct stat st;

    return lstat(at(path), &st) == 0;
}

/* Entries of a folder that start with ".microvm-". */
static int count_temps(const char *path)
{
    DIR *dir = opendir(at(path));
    struct dirent *entry;
    int n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)))
        n += strncmp(entry->d_name, ".microvm-", 9) == 0;
    (void) closedir(dir);
    return n;
}

static uint32_t begin_write(const char *path, bool parents, bool own)
{
    const struct agent_item m = {
        .kind = AGENT_ITEM_TARGET, .path = (char *) path, .parents = parents, .own = own
    };
    mvm_autovalue(strbuf) message = STRBUF_INIT(16384);
    uint32_t id = client_request(&c,
                                 (struct request){ .method = "Write", .flags = TTRPC_REMOTE_OPEN });

    agent_write_input_encode(&m, &message);
    client_data(&c, id, buf_view(&message), 0);
    return id;
}

static void write_info(uint32_t id, struct agent_file f)
{
    const struct agent_item m = { .kind = AGENT_ITEM_INFO, .info = f };
    mvm_autovalue(strbuf) message = STRBUF_INIT(16384);

    agent_write_input_encode(&m, &message);
    assert_int_equal(message.failed, 0);
    client_data(&c, id, buf_view(&message), 0);
}

static void write_text(uint32_t id, const char *text)
{
    const struct agent_item m = { .kind = AGENT_ITEM_DATA, .data = text_view(text) };
    mvm_autovalue(strbuf) message = STRBUF_INIT(2 * AGENT_DATA_MAX);

    agent_write_input_encode(&m, &message);
    client_data(&c, id, buf_view(&message), 0);
}

static int end_write(uint32_t id, struct agent_write_response *ret)
{
    mvm_autovalue(strbuf) answer = STRBUF_INIT(1024);
    int code;

    client_data(&c, id, (struct bytes_view){ .len = 0 }, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    code = client_response(&c, id, &answer, NULL);
    if (ret)
        assert_int_equal(agent_write_response_decode((const uint8_t *) strbuf_str(&answer),
                                                     answer.len, ret, NULL),
                         0);
    return code;
}

static struct agent_file file_info(const char *name, uint32_t mode, uint64_t size)
{
    return (struct agent_file){
        .name = (char *) name, .mode = mode, .size = size, .mtime_ns = 5000000007
    };
}

static void expect_attributes(const char *path, mode_t mode, uid_t uid)
{
    struct stat st;

    assert_int_equal(lstat(at(path), &st), 0);
    assert_int_equal(st.st_mode, mode);
    assert_int_equal(st.st_uid, uid);
    assert_int_equal(st.st_mtim.tv_sec, 5);
    assert_int_equal(st.st_mtim.tv_nsec, 7);
}

static void write_makes_a_tree(void **state)
{
    struct agent_write_response done;
    struct agent_file link = file_info("sub/link", S_IFLNK | 0777, 0);
    uint32_t id;

    (void) state;
    id = begin_write("/new/t/", true, false);
    write_info(id, file_info("", S_IFDIR | 0555, 0));
    write_info(id, file_info("sub", S_IFDIR | 0750, 0));
    write_info(id, file_info("sub/file", S_IFREG | 04711, 10));
    write_text(id, "01234");
    assert_int_equal(client_health(&c), TTRPC_OK);
    assert_false(is_there("new/t/sub/file")); /* under its name when it is complete */
    assert_int_equal(count_temps("new/t/sub"), 1);
    write_text(id, "56789");
    link.link = (char *) "/etc/passwd";
    write_info(id, link);
    write_info(id, file_info("empty", S_IFREG | 0600, 0));
    assert_int_equal(end_write(id, &done), TTRPC_OK);
    assert_int_equal(done.files, 3);
    assert_int_equal(done.bytes, 10);
    expect_file("new/t/sub/file", "0123456789");
    expect_attributes("new/t", S_IFDIR | 0555, geteuid());
    expect_attributes("new/t/sub", S_IFDIR | 0750, geteuid());
    expect_attributes("new/t/sub/file", S_IFREG | 04711, geteuid());
    expect_attributes("new/t/empty", S_IFREG | 0600, geteuid());
    expect_attributes("new/t/sub/link", S_IFLNK | 0777, geteuid());
    assert_int_equal(count_temps("new/t"), 0);
    assert_int_equal(count_temps("new/t/sub"), 0);
}

static void write_sets_owners_when_asked(void **state)
{
    struct agent_file f = file_info("", S_IFREG | 06755, 1);
    uint32_t id;

    (void) state;
    if (geteuid() != 0) {
        print_message("# only root gives files away\n");
        skip();
    }
    f.uid = 12;
    f.gid = 34;
    id = begin_write("/f", false, true);
    write_info(id, f);
    write_text(id, "x");
    assert_int_equal(end_write(id, NULL), TTRPC_OK);
    expect_attributes("f", S_IFREG | 06755, 12);
}

static void write_replaces_what_is_there(void **state)
{
    uint32_t id;

    (void) state;
    put("victim", "old");
    assert_int_equal(symlink("victim", at("link")), 0);
    id = begin_write("/link", false, false);
    write_info(id, file_info("", S_IFREG | 0644, 3));
    write_text(id, "new");
    assert_int_equal(end_write(id, NULL), TTRPC_OK);
    expect_file("link", "new");
    expect_file("victim", "old");
    assert_int_equal(mkdir(at("folder"), 0755), 0);
    id = begin_write("/folder", false, false);
    write_info(id, file_info("", S_IFREG | 0644, 0));
    assert_int_equal(end_write(id, NULL), TTRPC_ALREADY_EXISTS);
    assert_int_equal(count_temps(""), 0);
}

static void nothing_is_written_outside_the_target(void **state)
{
    static const char *const names[] = {
        "..", "../x", "a/../../x", "/x", "a//x", "./x", "x/.", "x/"
    };
    uint32_t id;

    (void) state;
    assert_int_equal(mkdir(at("out"), 0755), 0);
    assert_int_equal(mkdir(at("t"), 0755), 0);
    assert_int_equal(symlink("../out", at("t/l")), 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        id = begin_write("/t", false, false);
        write_info(id, file_info("", S_IFDIR | 0755, 0));
        write_info(id, file_info(names[i], S_IFREG | 0644, 0));
        assert_int_equal(end_write(id, NULL), TTRPC_INVALID_ARGUMENT);
    }
    id = begin_write("/t", false, false);
    write_info(id, file_info("", S_IFDIR | 0755, 0));
    write_info(id, file_info("l/x", S_IFREG | 0644, 0)); /* through the link */
    assert_int_equal(end_write(id, NULL), TTRPC_INVALID_ARGUMENT);
    id = begin_write("/t", false, false);
    write_info(id, file_info("", S_IFDIR | 0755, 0));
    write_info(id, file_info("l", S_IFDIR | 0700, 0)); /* the link in a folder's place */
    assert_int_equal(end_write(id, NULL), TTRPC_INVALID_ARGUMENT);
    assert_false(is_there("out/x"));
    assert_false(is_there("x"));
}

static void only_folders_files_and_links_are_made(void **state)
{
    static const uint32_t types[] = { S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK, 0 };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        uint32_t id = begin_write("/f", false, false);

        write_info(id, file_info("", types[i] | 0666, 0));
        assert_int_equal(end_write(id, NULL), TTRPC_INVALID_ARGUMENT);
        assert_false(is_there("f"));
    }
    assert_int_equal(count_temps(""), 0);
}

/* A link's owner and time are its own; what it points to stays as it is. */
static void attributes_of_a_link_do_not_reach_its_target(void **state)
{
    struct agent_file link = file_info("", S_IFLNK | 0777, 0);
    struct stat before, after;
    uint32_t id;

    (void) state;
    put("victim", "old");
    assert_int_equal(chmod(at("victim"), 0600), 0);
    assert_int_equal(lstat(at("victim"), &before), 0);
    link.link = (char *) "victim";
    link.uid = geteuid() == 0 ? 12 : geteuid();
    link.gid = getegid();
    id = begin_write("/link", false, true);
    write_info(id, link);
    assert_int_equal(end_write(id, NULL), TTRPC_OK);
    expect_attributes("link", S_IFLNK | 0777, link.uid);
    assert_int_equal(lstat(at("victim"), &after), 0);
    assert_int_equal(after.st_mode, before.st_mode);
    assert_int_equal(after.st_uid, before.st_uid);
    assert_int_equal(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
}

static void items_out_of_order_are_refused(void **state)
{
    uint32_t id;

    (void) state;
    id = client_request(&c, (struct request){ .method = "Write", .flags = TTRPC_REMOTE_OPEN });
    write_info(id, file_info("", S_IFREG | 0644, 0));
    assert_int_equal(client_response(&c, id, NULL, NULL), TTRPC_INVALID_ARGUMENT);
    id = begin_write("/f", false, false);
    write_text(id, "x");
    assert_int_equal(end_write(id, NULL), TTRPC_INVALID_ARGUMENT);
    id = begin_write("/f", false, false);
    write_info(id, file_info("x", S_IFREG | 0644, 0));
    assert_int_equal(end_write(id, NULL), TTRPC_INVALID_ARGUMENT);
    id = begin_write("/f", false, false);
    write_info(id, file_info("", S_IFREG | 0644, 2));
    write_text(id, "xyz");
    assert_int_equal(end_write(id, NULL), TTRPC_INVALID_ARGUMENT);
    id = begin_write("/f", false, false);
    write_info(id, file_info("", S_IFREG | 0644, 2));
    write_text(id, "x");
    assert_int_equal(end_write(id, NULL), TTRPC_INVALID_ARGUMENT);
    id = begin_write("/none/f", false, false);
    assert_int_equal(end_write(id, NULL), TTRPC_NOT_FOUND);
    assert_false(is_there("f"));
    assert_int_equal(count_temps(""), 0);
}

static void vanished_writer_leaves_no_temporary_file(void **state)
{
    uint64_t deadline = clock_now_ms() + WORLD_PATIENCE_MS;
    uint32_t id;

    (void) state;
    id = begin_write("/f", false, false);
    write_info(id, file_info("", S_IFREG | 0644, 100));
    write_text(id, "x");
    assert_int_equal(client_health(&c), TTRPC_OK);
    assert_int_equal(count_temps(""), 1);
    client_close(&c);
    while (count_temps("") > 0 && clock_now_ms() < deadline)
        world_turn(&w, 5);
    assert_int_equal(count_temps(""), 0);
    assert_false(is_there("f"));
}

static int write_deep(unsigned depth)
{
    char name[4 * FILE_DEPTH_MAX] = "";
    uint32_t id = begin_write("/deep", false, false);

    write_info(id, file_info("", S_IFDIR | 0755, 0));
    for (unsigned i = 0; i < depth; i++) {
        size_t len = strlen(name);

        (void) snprintf(name + len, sizeof(name) - len, "%sd", len > 0 ? "/" : "");
        write_info(id, file_info(name, S_IFDIR | 0755, 0));
    }
    return end_write(id, NULL);
}

static void trees_that_are_written_have_a_depth(void **state)
{
    (void) state;
    assert_int_equal(write_deep(FILE_DEPTH_MAX), TTRPC_OK);
    assert_int_equal(write_deep(FILE_DEPTH_MAX + 1), TTRPC_RESOURCE_EXHAUSTED);
}

static int add_folder_item(struct tree_writer *t, const char *name)
{
    struct agent_item m = { .kind = AGENT_ITEM_INFO, .info.mode = S_IFDIR | 0755 };
    int r;

    m.info.name = strdup(name);
    r = tree_writer_add(t, &m, NULL);
    agent_item_deinit(&m);
    return r;
}

static void begin_tree(struct tree_writer *t, const char *path)
{
    struct agent_item m = { .kind = AGENT_ITEM_TARGET, .path = strdup(path) };

    tree_writer_init(t, w.machine.root_fd);
    assert_int_equal(tree_writer_add(t, &m, NULL), 0);
    agent_item_deinit(&m);
}

static void folders_of_a_tree_have_a_limit(void **state)
{
    struct tree_writer t;
    char name[32];

    (void) state;
    begin_tree(&t, "/many");
    assert_int_equal(add_folder_item(&t, ""), 0);
    for (unsigned i = 1; i < TREE_FOLDERS_MAX; i++) {
        (void) snprintf(name, sizeof(name), "%u", i);
        assert_int_equal(add_folder_item(&t, name), 0);
    }
    assert_int_equal(add_folder_item(&t, "1"), 0); /* nothing is kept of one that was there */
    assert_int_equal(add_folder_item(&t, "more"), MVM_E_LIMIT);
    tree_writer_deinit(&t);
}

/* Some thousand long names are as much as many short ones. */
static void names_of_folders_have_a_limit(void **state)
{
    char name[FILE_DEPTH_MAX * 32] = "";
    struct tree_writer t;
    size_t sum = 0, len;

    (void) state;
    begin_tree(&t, "/long");
    assert_int_equal(add_folder_item(&t, ""), 0);
    for (unsigned i = 0; i < FILE_DEPTH_MAX - 1; i++, sum += strlen(name)) {
        (void) snprintf(name + strlen(name), 32, "%s%.30s", i > 0 ? "/" : "",
                        "thirty-letters-a-folder-has-xx");
        assert_int_equal(add_folder_item(&t, name), 0);
    }
    len = strlen(name);
    for (unsigned i = 0; sum + len + 6 <= TREE_NAMES_MAX; i++, sum += len + 6) {
        (void) snprintf(name + len, sizeof(name) - len, "/%05u", i);
        assert_int_equal(add_folder_item(&t, name), 0);
    }
    (void) snprintf(name + len, sizeof(name) - len, "/above");
    assert_int_equal(add_folder_item(&t, name), MVM_E_LIMIT);
    tree_writer_deinit(&t);
}

/* As docker cp into a folder: what was there is nobody's of the copy. */
static void folders_that_were_there_stay_as_they_are(void **state)
{
    const uid_t uid = geteuid() == 0 ? 12 : geteuid();
    struct stat st;
    uint32_t id;

    (void) state;
    assert_int_equal(mkdir(at("t"), 0700), 0);
    assert_int_equal(mkdir(at("t/old"), 0700), 0);
    assert_int_equal(chmod(at("t"), 01777), 0);
    assert_int_equal(chown(at("t"), uid, (gid_t) -1), 0);
    assert_int_equal(chown(at("t/old"), uid, (gid_t) -1), 0);
    id = begin_write("/t", false, geteuid() == 0);
    write_info(id, file_info("", S_IFDIR | 0755, 0));
    write_info(id, file_info("old", S_IFDIR | 0555, 0));
    write_info(id, file_info("old/new", S_IFDIR | 0750, 0));
    write_info(id, file_info("old", S_IFDIR | 0555, 0)); /* entered again */
    write_info(id, file_info("old/file", S_IFREG | 0644, 0));
    assert_int_equal(end_write(id, NULL), TTRPC_OK);
    assert_int_equal(lstat(at("t"), &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 01777);
    assert_int_equal(st.st_uid, uid);
    assert_int_equal(lstat(at("t/old"), &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0700);
    assert_int_equal(st.st_uid, uid);
    assert_true(st.st_mtim.tv_sec > 5);
    expect_attributes("t/old/new", S_IFDIR | 0750, geteuid());
    expect_file("t/old/file", "");
}

/* Whatever their connections; and a burst of short ones is no crowd. */
static void copies_at_once_have_a_limit(void **state)
{
    uint32_t ids[SERVER_TREES_MAX], id = 0;
    struct client other;
    struct tree t;

    (void) state;
    client_open(&other, &w);
    for (int i = 0; i < SERVER_TREES_MAX; i++)
        ids[i] = begin_write("/f", false, false);
    assert_int_equal(client_health(&c), TTRPC_OK);
    id = client_request(&other, (struct request){ .method = "Write", .flags = TTRPC_REMOTE_OPEN });
    assert_int_equal(client_response(&other, id, NULL, NULL), TTRPC_RESOURCE_EXHAUSTED);
    read_tree(&t, path_of("/", false, true));
    assert_int_equal(t.code, TTRPC_RESOURCE_EXHAUSTED);
    strbuf_deinit(&t.text);
    assert_int_equal(end_write(ids[0], NULL), TTRPC_INVALID_ARGUMENT);
    put("file", "x");
    for (int i = 0; i < 3; i++)
        ids[i] = ask_path(AGENT_CALL_READ, path_of("/file", false, false));
    for (int i = 0; i < 3; i++)
        assert_int_equal(client_response(&c, ids[i], NULL, NULL), TTRPC_OK);
    client_close(&other);
    client_close(&c);
    world_turn(&w, 0);
    world_turn(&w, 0);
    assert_int_equal(w.server.n_trees, 0);
    client_open(&c, &w);
}

static void file_calls_leave_no_descriptor(void **state)
{
    unsigned before;

    (void) state;
    assert_int_equal(client_health(&c), TTRPC_OK);
    before = count_fds();
    for (int i = 0; i < 100; i++) {
        uint32_t id = begin_write("/t", false, false);
        struct tree t;

        write_info(id, file_info("", S_IFDIR | 0755, 0));
        write_info(id, file_info("f", S_IFREG | 0644, i % 2 ? 4 : 5));
        write_text(id, "text");
        assert_int_equal(end_write(id, NULL), i % 2 ? TTRPC_OK : TTRPC_INVALID_ARGUMENT);
        read_tree(&t, path_of("/t", false, true));
        assert_int_equal(t.code, TTRPC_OK);
        strbuf_deinit(&t.text);
    }
    world_turn(&w, 0);
    assert_int_equal(count_fds(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(write_makes_a_tree),
        TEST(write_sets_owners_when_asked),
        TEST(write_replaces_what_is_there),
        TEST(nothing_is_written_outside_the_target),
        TEST(only_folders_files_and_links_are_made),
        TEST(attributes_of_a_link_do_not_reach_its_target),
        TEST(items_out_of_order_are_refused),
        TEST(vanished_writer_leaves_no_temporary_file),
        TEST(trees_that_are_written_have_a_depth),
        TEST(folders_of_a_tree_have_a_limit),
        TEST(names_of_folders_have_a_limit),
        TEST(folders_that_were_there_stay_as_they_are),
        TEST(copies_at_once_have_a_limit),
        TEST(file_calls_leave_no_descriptor),
    };

    (void) umask(022);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
