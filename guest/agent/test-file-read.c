/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/file-info.h"
#include "guest/agent/test-files.h"

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

static void names_may_be_of_any_encoding(void **state)
{
    unsigned count[256] = { 0 };

    (void) state;
    put("bad\xff", "");
    assert_int_equal(list_path("/", count), TTRPC_OK);
    assert_int_equal(count['b'], 1);
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

static void file_that_was_replaced_is_not_opened(void **state)
{
    mvm_autoclose int dir = -EBADF;
    mvm_autoclose int fd = -EBADF;
    mvm_autoerror mvm_error *err = NULL;
    struct agent_file f;

    (void) state;
    dir = open(w.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    put("file", "x");
    assert_int_equal(file_info_get(dir, "file", "file", &f, NULL), 0);
    assert_int_equal(file_info_open(dir, "file", &f, &fd, NULL), 0);
    (void) close(steal_fd(&fd));
    assert_int_equal(unlink(at("file")), 0);
    assert_int_equal(mkfifo(at("file"), 0600), 0);
    assert_int_equal(file_info_open(dir, "file", &f, &fd, &err), MVM_E_CANCELLED);
    assert_string_equal(mvm_error_message(err), "'file' has been replaced meanwhile");
    assert_int_equal(unlink(at("file")), 0);
    assert_int_equal(mkdir(at("file"), 0700), 0);
    assert_int_equal(file_info_open(dir, "file", &f, &fd, NULL), MVM_E_CANCELLED);
    file_info_release(&f);
}

enum {
    MANY = 4000
};

static const char *many(int i)
{
    static char name[256];

    (void) snprintf(name, sizeof(name), "d/%04d%0200d", i, 0); /* long: few fit into the queue */
    return name;
}

/* The folder's names were read some hundred at a time, and some of them stand for nothing by now.
 */
static void entries_that_go_meanwhile_are_left_out(void **state)
{
    static const enum agent_path_call calls[] = { AGENT_CALL_LIST, AGENT_CALL_READ };

    (void) state;
    assert_int_equal(mkdir(at("d"), 0700), 0);
    for (size_t k = 0; k < ARRAY_SIZE(calls); k++) {
        unsigned items = 0;
        struct frame *f;
        uint32_t id;

        for (int i = 0; i < MANY; i++)
            put(many(i), "");
        id = ask_path(calls[k], path_of("/d", false, calls[k] == AGENT_CALL_READ));
        for (int i = 0; i < 50; i++)
            world_turn(&w, 0); /* until the queue and the socket are full */
        for (int i = 0; i < MANY; i++)
            assert_int_equal(unlink(at(many(i))), 0);
        while ((f = client_take(&c, id, WORLD_PATIENCE_MS)) && f->h.type == TTRPC_DATA) {
            items++;
            frame_free(f);
        }
        assert_non_null(f);
        client_keep(&c, f->h, buf_view(&f->payload));
        frame_free(f);
        assert_int_equal(client_response(&c, id, NULL, NULL), TTRPC_OK);
        assert_true(items > 0 && items < MANY);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stat_tells_what_is_there),
        TEST(list_gives_each_entry_once),
        TEST(names_may_be_of_any_encoding),
        TEST(read_gives_files_and_trees),
        TEST(read_does_not_follow_within_a_tree),
        TEST(trees_that_are_read_have_a_depth),
        TEST(large_file_comes_in_pieces),
        TEST(file_that_was_replaced_is_not_opened),
        TEST(entries_that_go_meanwhile_are_left_out),
    };

    (void) umask(022);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
