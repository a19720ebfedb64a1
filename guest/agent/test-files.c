/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/conn.h"
#include "guest/agent/file-info.h"
#include "guest/agent/test-world.h"
#include "guest/agent/tree-writer.h"

#include "agent/messages.h"

#include <sys/stat.h>

static struct world w;
static struct client c;

static int set_up(void **state)
{
    (void) state;
    world_open(&w, NULL);
    client_open(&c, &w);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    client_close(&c);
    world_turn(&w, 0);
    world_close(&w);
    return 0;
}

/* In the root of the test. */
static const char *at(const char *path)
{
    static char full[2][512];
    static int turn;

    turn = !turn;
    (void) snprintf(full[turn], sizeof(full[turn]), "%s/%s", w.root, path);
    return full[turn];
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(at(path), "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void expect_file(const char *path, const char *want)
{
    char text[256] = "";
    FILE *f = fopen(at(path), "re");

    if (!f)
        fail_msg("%s is not there", path);
    (void) fread(text, 1, sizeof(text) - 1, f);
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

static struct agent_path_request path_of(const char *path, bool follow, bool recursive)
{
    return (struct agent_path_request){ .path = (char *) path,
                                        .follow = follow,
                                        .recursive = recursive };
}

static uint32_t ask_path(enum agent_path_call call, struct agent_path_request m)
{
    static const char *const methods[] = { "Stat", "List", "Read" };
    mvm_autovalue(strbuf) ask = STRBUF_INIT(16384);

    agent_path_request_encode(call, &m, &ask);
    assert_int_equal(ask.failed, 0);
    return client_request(&c,
                          (struct request){ .method = methods[call], .payload = buf_view(&ask) });
}

static int stat_path(const char *path, bool follow, struct agent_file *ret)
{
    const struct agent_path_request m = path_of(path, follow, false);
    mvm_autovalue(strbuf) answer = STRBUF_INIT(16384);
    uint32_t id = ask_path(AGENT_CALL_STAT, m);
    int code = client_response(&c, id, &answer, NULL);

    if (code == TTRPC_OK)
        assert_int_equal(
            agent_file_decode((const uint8_t *) strbuf_str(&answer), answer.len, ret, NULL), 0);
    return code;
}

static void stat_tells_what_is_there(void **state)
{
    const struct timespec times[2] = { { 1234, 567 }, { 1234, 567 } };
    struct agent_file f;

    (void) state;
    put("file", "12345");
    assert_int_equal(chmod(at("file"), 04751), 0);
    assert_int_equal(utimensat(AT_FDCWD, at("file"), times, 0), 0);
    assert_int_equal(symlink("/file", at("link")), 0);
    assert_int_equal(stat_path("/file", false, &f), TTRPC_OK);
    assert_int_equal(f.mode, S_IFREG | 04751);
    assert_int_equal(f.size, 5);
    assert_int_equal(f.mtime_ns, 1234000000567);
    assert_int_equal(f.uid, geteuid());
    agent_file_deinit(&f);
    assert_int_equal(stat_path("/link", false, &f), TTRPC_OK);
    assert_true(S_ISLNK(f.mode));
    assert_string_equal(f.link, "/file");
    agent_file_deinit(&f);
    assert_int_equal(stat_path("/link", true, &f), TTRPC_OK); /* absolute: inside the root */
    assert_true(S_ISREG(f.mode));
    agent_file_deinit(&f);
    assert_int_equal(stat_path("/none", false, &f), TTRPC_NOT_FOUND);
    assert_int_equal(stat_path("/file/x", false, &f), TTRPC_NOT_FOUND);
    assert_int_equal(stat_path("relative", false, &f), TTRPC_INVALID_ARGUMENT);
    assert_int_equal(stat_path("/../../..", false, &f), TTRPC_OK); /* the root itself */
    agent_file_deinit(&f);
}

/* The names of List in @names, sorted by nobody: one letter each, so that a count of each is
 * enough. */
static int list_path(const char *path, unsigned *count)
{
    uint32_t id = ask_path(AGENT_CALL_LIST, path_of(path, false, false));

    for (;;) {
        struct frame *f = client_take(&c, id, WORLD_PATIENCE_MS);
        const uint8_t *data;

        assert_non_null(f);
        data = (const uint8_t *) strbuf_str(&f->payload);
        if (f->h.type == TTRPC_DATA) {
            mvm_autovalue(agent_file) file = { .name = NULL };

            assert_int_equal(agent_file_decode(data, f->payload.len, &file, NULL), 0);
            count[(unsigned char) file.name[0]]++;
            frame_free(f);
        } else {
            struct ttrpc_response m;
            int code;

            assert_int_equal(ttrpc_response_decode(data, f->payload.len, &m, NULL), 0);
            code = m.code;
            frame_free(f);
            return code;
        }
    }
}

static void list_gives_each_entry_once(void **state)
{
    unsigned count[256] = { 0 }, all[256] = { 0 };

    (void) state;
    put("a", "");
    put("b", "");
    assert_int_equal(mkdir(at("d"), 0700), 0);
    assert_int_equal(list_path("/", count), TTRPC_OK);
    assert_int_equal(count['a'], 1);
    assert_int_equal(count['b'], 1);
    assert_int_equal(count['d'], 1);
    assert_int_equal(count['.'], 0);
    for (int i = 0; i < 5000; i++) { /* more than the queue takes at once */
        char name[32];

        (void) snprintf(name, sizeof(name), "d/x%d", i);
        put(name, "");
    }
    assert_int_equal(list_path("/d", all), TTRPC_OK);
    assert_int_equal(all['x'], 5000);
    assert_int_equal(list_path("/a", all), TTRPC_INVALID_ARGUMENT);
    assert_int_equal(list_path("/none", all), TTRPC_NOT_FOUND);
}

static void name_that_is_no_utf8_is_an_error(void **state)
{
    unsigned count[256] = { 0 };

    (void) state;
    put("bad\xff", "");
    assert_int_equal(list_path("/", count), TTRPC_INVALID_ARGUMENT);
}

/* --- Trees --- */

struct tree {
    struct strbuf text; /* "name type[:content or link]\n" each */
    int code;
};

static void note_item(struct tree *t, const struct agent_item *m, uint64_t *left)
{
    if (m->kind == AGENT_ITEM_DATA) {
        assert_true(m->data.len > 0 && m->data.len <= *left);
        *left -= m->data.len;
        strbuf_add(&t->text, m->data.data, m->data.len);
        return;
    }
    assert_int_equal(*left, 0);
    strbuf_addf(&t->text, "\n%s %o", m->info.name ? m->info.name : "", m->info.mode);
    if (m->info.link)
        strbuf_addf(&t->text, " %s", m->info.link);
    strbuf_addc(&t->text, ':');
    *left = m->info.size;
}

static void read_tree(struct tree *t, struct agent_path_request m)
{
    uint32_t id = ask_path(AGENT_CALL_READ, m);
    uint64_t left = 0;
    bool done = false;

    t->text = (struct strbuf) STRBUF_INIT(64u << 20);
    while (!done) {
        struct frame *f = client_take(&c, id, WORLD_PATIENCE_MS);
        const uint8_t *data;

        assert_non_null(f);
        data = (const uint8_t *) strbuf_str(&f->payload);
        if (f->h.type == TTRPC_DATA) {
            mvm_autovalue(agent_item) item = { .path = NULL };

            assert_int_equal(agent_tree_item_decode(data, f->payload.len, &item, NULL), 0);
            note_item(t, &item, &left);
        } else {
            struct ttrpc_response response;

            assert_int_equal(ttrpc_response_decode(data, f->payload.len, &response, NULL), 0);
            t->code = response.code;
            done = true;
        }
        frame_free(f);
    }
}

static void expect_tree(struct agent_path_request m, const char *want)
{
    struct tree t;

    read_tree(&t, m);
    assert_int_equal(t.code, TTRPC_OK);
    assert_string_equal(strbuf_str(&t.text), want);
    strbuf_deinit(&t.text);
}

static void expect_read_code(struct agent_path_request m, int code)
{
    struct tree t;

    read_tree(&t, m);
    assert_int_equal(t.code, code);
    strbuf_deinit(&t.text);
}

static void read_gives_files_and_trees(void **state)
{
    (void) state;
    assert_int_equal(mkdir(at("t"), 0750), 0);
    assert_int_equal(mkdir(at("t/sub"), 0700), 0);
    put("t/sub/file", "content");
    assert_int_equal(chmod(at("t/sub/file"), 0640), 0);
    assert_int_equal(symlink("t/sub/file", at("link")), 0);
    expect_tree(path_of("/t", false, true), "\n 40750:\nsub 40700:\nsub/file 100640:content");
    expect_tree(path_of("/t/sub/file", false, false), "\n 100640:content");
    expect_tree(path_of("/link", false, false), "\n 120777 t/sub/file:");
    expect_tree(path_of("/link", true, false), "\n 100640:content");
    expect_read_code(path_of("/t", false, false), TTRPC_INVALID_ARGUMENT);
    expect_read_code(path_of("/none", false, false), TTRPC_NOT_FOUND);
}

/* FIFOs are not opened: that would wait for a writer. */
static void read_does_not_follow_within_a_tree(void **state)
{
    (void) state;
    assert_int_equal(mkdir(at("t"), 0755), 0);
    assert_int_equal(symlink("/etc", at("t/l")), 0);
    expect_tree(path_of("/t", false, true), "\n 40755:\nl 120777 /etc:");
    assert_int_equal(unlink(at("t/l")), 0);
    assert_int_equal(mkfifo(at("t/f"), 0600), 0);
    expect_tree(path_of("/t", false, true), "\n 40755:\nf 10600:");
}

static void make_deep(unsigned depth)
{
    char path[4 * FILE_DEPTH_MAX] = "d";

    assert_int_equal(mkdir(at(path), 0755), 0);
    for (unsigned i = 1; i < depth; i++) {
        size_t len = strlen(path);

        (void) snprintf(path + len, sizeof(path) - len, "/d");
        assert_int_equal(mkdir(at(path), 0755), 0);
    }
}

static void trees_that_are_read_have_a_depth(void **state)
{
    const struct agent_path_request m = path_of("/d", false, true);

    (void) state;
    make_deep(FILE_DEPTH_MAX + 1);
    expect_read_code(m, TTRPC_RESOURCE_EXHAUSTED);
    expect_read_code(path_of("/d/d", false, true), TTRPC_OK);
}

static void large_file_comes_in_pieces(void **state)
{
    enum {
        SIZE = 3000001
    };
    char *data = malloc(SIZE + 1);
    struct tree t;

    (void) state;
    assert_non_null(data);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (char) ('a' + i % 23);
    data[SIZE] = '\0';
    put("big", data);
    read_tree(&t, path_of("/big", false, false));
    assert_int_equal(t.code, TTRPC_OK);
    assert_int_equal(t.text.len, SIZE + strlen("\n 100644:"));
    assert_string_equal(strbuf_str(&t.text) + strlen("\n 100644:"), data);
    strbuf_deinit(&t.text);
    free(data);
}

/* --- Write --- */

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
    write_info(id, file_info("fifo", S_IFIFO | 0622, 0));
    assert_int_equal(end_write(id, &done), TTRPC_OK);
    assert_int_equal(done.files, 4);
    assert_int_equal(done.bytes, 10);
    expect_file("new/t/sub/file", "0123456789");
    expect_attributes("new/t", S_IFDIR | 0555, geteuid());
    expect_attributes("new/t/sub", S_IFDIR | 0750, geteuid());
    expect_attributes("new/t/sub/file", S_IFREG | 04711, geteuid());
    expect_attributes("new/t/empty", S_IFREG | 0600, geteuid());
    expect_attributes("new/t/fifo", S_IFIFO | 0622, geteuid());
    assert_int_equal(count_temps("new/t"), 0);
    assert_int_equal(count_temps("new/t/sub"), 0);
}

static void write_sets_owners_when_asked(void **state)
{
    struct agent_file f = file_info("", S_IFREG | 06755, 1);
    uint32_t id;

    (void) state;
    if (geteuid() != 0)
        skip();
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
    id = begin_write("/f", false, false);
    write_info(id, file_info("", S_IFSOCK | 0644, 0));
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

static int add_folders(unsigned n)
{
    struct tree_writer t;
    int r = 0;

    tree_writer_init(&t, w.machine.root_fd);
    for (unsigned i = 0; r == 0 && i < n + 1; i++) {
        struct agent_item m = { .kind = i == 0 ? AGENT_ITEM_TARGET : AGENT_ITEM_INFO };

        if (i == 0) {
            m.path = strdup("/same");
        } else {
            m.info.mode = S_IFDIR | 0755;
            m.info.name = strdup(i == 1 ? "" : "x"); /* the same one again is no error */
        }
        r = tree_writer_add(&t, &m, NULL);
        agent_item_deinit(&m);
    }
    tree_writer_deinit(&t);
    return r;
}

static void folders_of_a_tree_have_a_limit(void **state)
{
    (void) state;
    assert_int_equal(add_folders(TREE_FOLDERS_MAX), 0);
    assert_int_equal(add_folders(TREE_FOLDERS_MAX + 1), MVM_E_LIMIT);
}

static void file_calls_leave_no_descriptor(void **state)
{
    unsigned before;

    (void) state;
    assert_int_equal(client_health(&c), TTRPC_OK);
    before = count_fds();
    for (int i = 0; i < 100; i++) {
        uint32_t id = begin_write("/t", false, false);

        write_info(id, file_info("", S_IFDIR | 0755, 0));
        write_info(id, file_info("f", S_IFREG | 0644, i % 2 ? 4 : 5));
        write_text(id, "text");
        assert_int_equal(end_write(id, NULL), i % 2 ? TTRPC_OK : TTRPC_INVALID_ARGUMENT);
        expect_read_code(path_of("/t", false, true), TTRPC_OK);
    }
    world_turn(&w, 0);
    assert_int_equal(count_fds(), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stat_tells_what_is_there),
        TEST(list_gives_each_entry_once),
        TEST(name_that_is_no_utf8_is_an_error),
        TEST(read_gives_files_and_trees),
        TEST(read_does_not_follow_within_a_tree),
        TEST(trees_that_are_read_have_a_depth),
        TEST(large_file_comes_in_pieces),
        TEST(write_makes_a_tree),
        TEST(write_sets_owners_when_asked),
        TEST(write_replaces_what_is_there),
        TEST(nothing_is_written_outside_the_target),
        TEST(items_out_of_order_are_refused),
        TEST(vanished_writer_leaves_no_temporary_file),
        TEST(trees_that_are_written_have_a_depth),
        TEST(folders_of_a_tree_have_a_limit),
        TEST(file_calls_leave_no_descriptor),
    };

    (void) umask(022);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
