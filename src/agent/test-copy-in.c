/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/test-copy.h"

static void make_source_tree(struct fixture *f)
{
    int d;

    assert_int_equal(mkdirat(f->sb->root_fd, "src", 0755), 0);
    d = sandbox_open(f->sb->root_fd, "src");
    sandbox_write(d, "a", "hello");
    assert_int_equal(fchmodat(d, "a", 0640, 0), 0);
    assert_int_equal(mkdirat(d, "d", 0750), 0);
    assert_int_equal(symlinkat("/etc/passwd", d, "d/l"), 0);
    assert_int_equal(mkfifoat(d, "d/fifo", 0644), 0);
    (void) close(d);
}

static void assert_log_has(struct fixture *f, const char *line)
{
    if (!strstr(strbuf_str(&f->log), line))
        fail_msg("no '%s' in:\n%s", line, strbuf_str(&f->log));
}

static void tree_goes_in_as_it_is(void **state)
{
    struct fixture *f = *state;
    mvm_autofree char *src = in_root(f, "src");
    struct copy_result r;

    make_source_tree(f);
    assert_int_equal(copy_in(f->client, src, "/new", &plain, &r, NULL), 0);
    assert_true(scan_has_prefix(strbuf_str(&f->log), "target /new\n40755 '' 0\n"));
    assert_log_has(f, "100640 'a' 5\n");
    assert_log_has(f, "40750 'd' 0\n120777 'd/l' 0 -> /etc/passwd\n");
    assert_null(strstr(strbuf_str(&f->log), "fifo"));
    assert_int_equal(f->written_bytes, 5);
    assert_int_equal(r.files, 4);
    assert_int_equal(r.bytes, 5);
    assert_int_equal(r.skipped, 1);
}

static void set_id_bits_go_in_with_an_archive_alone(void **state)
{
    static const struct copy_options archive = { .archive = true };
    struct fixture *f = *state;
    mvm_autofree char *src = in_root(f, "file");
    mvm_autofree char *dir = in_root(f, "tmp");
    struct copy_result r;

    sandbox_write(f->sb->root_fd, "file", "");
    assert_int_equal(fchmodat(f->sb->root_fd, "file", 06755, 0), 0);
    assert_int_equal(copy_in(f->client, src, "/x", &plain, &r, NULL), 0);
    assert_string_equal(strbuf_str(&f->log), "target /x\n100755 '' 0\n");
    strbuf_reset(&f->log);
    assert_int_equal(mkdirat(f->sb->root_fd, "tmp", 0700), 0);
    assert_int_equal(fchmodat(f->sb->root_fd, "tmp", 03777, 0), 0);
    assert_int_equal(copy_in(f->client, dir, "/x", &plain, &r, NULL), 0);
    assert_string_equal(strbuf_str(&f->log), "target /x\n41777 '' 0\n");
    strbuf_reset(&f->log);
    assert_int_equal(copy_in(f->client, src, "/x", &archive, &r, NULL), 0);
    assert_string_equal(strbuf_str(&f->log), "target /x own\n106755 '' 0\n");
}

static void places_in_the_guest_are_those_of_docker_cp(void **state)
{
    static const struct {
        const char *source, *guest;
        uint32_t there;
        const char *target; /* or NULL, and */
        int code;
    } cases[] = {
        { "src", "/new", 0, "target /new\n", 0 },
        { "src", "/dir", S_IFDIR | 0755, "target /dir/src\n", 0 },
        { "src", "dir/", S_IFDIR | 0755, "target /dir/src\n", 0 },
        { "src", "/", S_IFDIR | 0755, "target /src\n", 0 },
        { "src/.", "/dir", S_IFDIR | 0755, "target /dir\n", 0 },
        { "src/", "/new", 0, "target /new\n", 0 },
        { "src", "/file", S_IFREG | 0644, NULL, MVM_E_EXISTS },
        { "src/a", "/file", S_IFREG | 0644, "target /file\n", 0 },
        { "src/a", "/dir", S_IFDIR | 0755, "target /dir/a\n", 0 },
        { "src/a", "/none/", 0, NULL, MVM_E_NOT_FOUND },
        { "src/none", "/x", 0, NULL, MVM_E_NOT_FOUND },
    };
    struct fixture *f = *state;

    make_source_tree(f);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autofree char *src = in_root(f, cases[i].source);
        struct copy_result r;
        int code;

        strbuf_reset(&f->log);
        f->stat_mode = cases[i].there;
        code = copy_in(f->client, src, cases[i].guest, &plain, &r, NULL);
        if (code != cases[i].code ||
            (cases[i].target && !scan_has_prefix(strbuf_str(&f->log), cases[i].target)))
            fail_msg("case %zu: %d, %s", i, code, strbuf_str(&f->log));
    }
}

/* As docker cp, which writes to what a link names. */
static void link_as_the_destination_means_its_target(void **state)
{
    static const char *const links[][2] = {
        { "/srv/link", "other" },   { "/srv/other", "/etc/x/../y" }, { "/loop", "/srv/back" },
        { "/srv/back", "../loop" }, { "/srv/../loop", "/loop" },
    };
    struct fixture *f = *state;
    mvm_autofree char *src = in_root(f, "src/a");
    mvm_error *err = NULL;
    struct copy_result r;

    make_source_tree(f);
    f->links = links;
    f->n_links = ARRAY_SIZE(links);
    f->stat_mode = S_IFREG | 0644;
    assert_int_equal(copy_in(f->client, src, "/srv/link", &plain, &r, NULL), 0);
    assert_true(scan_has_prefix(strbuf_str(&f->log), "target /etc/x/../y\n"));
    strbuf_reset(&f->log);
    f->stat_mode = 0; /* it points to nothing: that is made */
    assert_int_equal(copy_in(f->client, src, "/srv/other", &plain, &r, NULL), 0);
    assert_true(scan_has_prefix(strbuf_str(&f->log), "target /etc/x/../y\n"));
    strbuf_reset(&f->log);
    f->stat_mode = S_IFDIR | 0755;
    assert_int_equal(copy_in(f->client, src, "/srv/link", &plain, &r, NULL), 0);
    assert_true(scan_has_prefix(strbuf_str(&f->log), "target /etc/x/../y/a\n"));
    assert_int_equal(copy_in(f->client, src, "/loop", &plain, &r, &err), MVM_E_ARG);
    assert_non_null(strstr(mvm_error_message(err), "Too many levels of symbolic links"));
    mvm_error_free(err);
}

static void link_as_the_source_is_a_link_or_what_it_means(void **state)
{
    static const struct copy_options follow = { .follow = true, .archive = true };
    struct fixture *f = *state;
    mvm_autofree char *src = in_root(f, "link");
    struct copy_result r;

    sandbox_write(f->sb->root_fd, "file", "content");
    assert_int_equal(symlinkat("file", f->sb->root_fd, "link"), 0);
    assert_int_equal(copy_in(f->client, src, "/x", &plain, &r, NULL), 0);
    assert_string_equal(strbuf_str(&f->log), "target /x\n120777 '' 0 -> file\n");
    strbuf_reset(&f->log);
    assert_int_equal(copy_in(f->client, src, "/x", &follow, &r, NULL), 0);
    assert_string_equal(strbuf_str(&f->log), "target /x own\n100644 '' 7\n");
}

static void failing_guest_ends_the_copy(void **state)
{
    struct fixture *f = *state;
    mvm_autofree char *src = in_root(f, "big");
    mvm_autoclose int fd = openat(f->sb->root_fd, "big", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    mvm_error *err = NULL;
    struct copy_result r;

    assert_int_equal(ftruncate(fd, 64 << 20), 0); /* far more than can wait to be sent */
    f->fail_after = 10; /* target, info, 7 of data, and the one that is answered */
    assert_int_equal(copy_in(f->client, src, "/x", &plain, &r, &err), MVM_E_LIMIT);
    assert_string_equal(mvm_error_message(err), "copy to '/x' in the guest: no space left");
    mvm_error_free(err);
    f->fail_after = 0;
    assert_int_equal(copy_in(f->client, src, "/x", &plain, &r, NULL), 0);
    assert_int_equal(f->written_bytes, (7 * AGENT_DATA_MAX) + (64 << 20));
}

static int temp_file(struct fixture *f)
{
    int fd = openat(f->sb->root_fd, "tar", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

static void tar_of_a_tree_goes_back_in(void **state)
{
    struct fixture *f = *state;
    int fd = temp_file(f);
    mvm_autoclose int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    struct copy_result r;

    f->items = copy_test_tree;
    f->n_items = ARRAY_SIZE(copy_test_tree);
    assert_int_equal(copy_out_tar(f->client, "/srv/t", fd, &plain, &r, NULL), 0);
    assert_int_equal(r.files, 8);
    assert_int_equal(lseek(copy, 0, SEEK_SET), 0);
    f->stat_mode = S_IFDIR | 0700;
    assert_int_equal(
        copy_in_tar(f->client, fcntl(copy, F_DUPFD_CLOEXEC, 3), "/back", &plain, &r, NULL), 0);
    assert_string_equal(strbuf_str(&f->log), "target /back\n"
                                             "40700 '' 0\n"
                                             "40555 't' 0\n"
                                             "100751 't/a' 5\n"
                                             "40755 't/d' 0\n"
                                             "100600 't/d/empty' 0\n"
                                             "40755 't/d/e' 0\n"
                                             "100644 't/d/e/\xff\x80' 1\n"
                                             "120777 't/d/l' 0 -> ../../../outside\n"
                                             "100644 't/z' 1\n");
    assert_int_equal(f->written_bytes, 7);
    assert_int_equal(r.files, 9); /* with the folder that it went into */
}

static void tar_for_a_reader_that_left_fails(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[AGENT_DATA_MAX];
    static const struct agent_item big[] = {
        INFO(NULL, S_IFREG | 0644, 2 * AGENT_DATA_MAX),
        { .kind = AGENT_ITEM_DATA, .data = { data, sizeof(data) } },
        { .kind = AGENT_ITEM_DATA, .data = { data, sizeof(data) } },
    };
    mvm_error *err = NULL;
    struct copy_result r;
    int pipes[2];

    f->items = big;
    f->n_items = ARRAY_SIZE(big);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    (void) close(pipes[0]);
    assert_int_equal(copy_out_tar(f->client, "/big", pipes[1], &plain, &r, &err), MVM_E_SYS);
    assert_string_equal(mvm_error_message(err),
                        "copy '/big' from the guest: write the tar stream: Broken pipe");
    mvm_error_free(err);
}

/* What came is in the stream; its end is not, by which others know that more was to come. */
static void tar_of_a_copy_that_failed_has_no_end(void **state)
{
    static const struct agent_item cut[] = { DIR_ITEM(NULL), INFO("a", S_IFREG | 0644, 0) };
    struct fixture *f = *state;
    int fd = temp_file(f);
    struct copy_result r;
    struct stat st;

    f->items = cut;
    f->n_items = ARRAY_SIZE(cut);
    f->status = TTRPC_INTERNAL;
    assert_int_equal(copy_out_tar(f->client, "/d", fd, &plain, &r, NULL), MVM_E_GUEST);
    assert_int_equal(fstatat(f->sb->root_fd, "tar", &st, 0), 0);
    assert_true(st.st_size < 10240);
}

/* A ustar header (POSIX.1-2017, pax, "ustar Interchange Format"). */
static void tar_entry_put(struct strbuf *out, const char *name, char type, const char *link,
                          const char *content)
{
    char block[512] = "";
    size_t len = strlen(content);
    unsigned sum = 0;

    (void) snprintf(block, 100, "%s", name);
    (void) snprintf(block + 100, 8, "%07o", 0644);
    (void) snprintf(block + 108, 8, "%07o", 0);
    (void) snprintf(block + 116, 8, "%07o", 0);
    (void) snprintf(block + 124, 12, "%011o", (unsigned) len);
    (void) snprintf(block + 136, 12, "%011o", 0);
    memset(block + 148, ' ', 8);
    block[156] = type;
    (void) snprintf(block + 157, 100, "%s", link);
    memcpy(block + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof(block); i++)
        sum += (unsigned char) block[i];
    (void) snprintf(block + 148, 8, "%06o", sum);
    strbuf_add(out, block, sizeof(block));
    if (len > 0) {
        char padded[512] = "";

        memcpy(padded, content, len);
        strbuf_add(out, padded, sizeof(padded));
    }
}

static int tar_in(struct fixture *f, struct strbuf *tar, struct copy_result *r, mvm_error **err)
{
    static const char zeros[1024];
    int fd = temp_file(f);

    strbuf_add(tar, zeros, sizeof(zeros));
    assert_int_equal(write(fd, tar->data, tar->len), (ssize_t) tar->len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    strbuf_reset(&f->log);
    f->stat_mode = S_IFDIR | 0755;
    return copy_in_tar(f->client, fd, "/t", &plain, r, err);
}

static void tar_in_any_order_gets_its_folders(void **state)
{
    struct fixture *f = *state;
    mvm_autovalue(strbuf) tar = STRBUF_INIT(1u << 20);
    struct copy_result r;

    tar_entry_put(&tar, "./", '5', "", "");
    tar_entry_put(&tar, "./a/b/one", '0', "", "1");
    tar_entry_put(&tar, "/abs", '0', "", "22");
    tar_entry_put(&tar, "a/two", '0', "", "");
    tar_entry_put(&tar, "dev", '3', "", "");
    assert_int_equal(tar_in(f, &tar, &r, NULL), 0);
    assert_string_equal(strbuf_str(&f->log), "target /t\n"
                                             "40755 '' 0\n"
                                             "40755 'a' 0\n"
                                             "40755 'a/b' 0\n"
                                             "100644 'a/b/one' 1\n"
                                             "100644 'abs' 2\n"
                                             "40755 'a' 0\n"
                                             "100644 'a/two' 0\n");
    assert_int_equal(r.skipped, 1);
}

static void tar_that_climbs_or_links_is_refused(void **state)
{
    static const struct {
        const char *name;
        char type;
        int code;
    } cases[] = { { "../x", '0', MVM_E_FORMAT },
                  { "a/../../x", '0', MVM_E_FORMAT },
                  { "a/..", '5', MVM_E_FORMAT },
                  { "hard", '1', MVM_E_UNSUPPORTED } };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(strbuf) tar = STRBUF_INIT(1u << 20);
        struct copy_result r;
        mvm_error *err = NULL;

        tar_entry_put(&tar, cases[i].name, cases[i].type, "linked", "");
        assert_int_equal(tar_in(f, &tar, &r, &err), cases[i].code);
        assert_non_null(strstr(mvm_error_message(err), cases[i].name));
        mvm_error_free(err);
    }
}

static void tar_that_is_none_is_refused(void **state)
{
    struct fixture *f = *state;
    mvm_autovalue(strbuf) tar = STRBUF_INIT(1u << 20);
    struct copy_result r;

    strbuf_adds(&tar, "this is no tar stream, and long enough for libarchive to see that: ");
    while (tar.len < 2048)
        strbuf_adds(&tar, "0123456789");
    assert_int_equal(tar_in(f, &tar, &r, NULL), MVM_E_FORMAT);
    f->stat_mode = S_IFREG | 0644;
    assert_int_equal(copy_in_tar(f->client, temp_file(f), "/t", &plain, &r, NULL), MVM_E_EXISTS);
    f->stat_mode = 0;
    assert_int_equal(copy_in_tar(f->client, temp_file(f), "/t", &plain, &r, NULL), MVM_E_NOT_FOUND);
}

int main(void)
{
#define COPY_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        COPY_TEST(tree_goes_in_as_it_is),
        COPY_TEST(set_id_bits_go_in_with_an_archive_alone),
        COPY_TEST(places_in_the_guest_are_those_of_docker_cp),
        COPY_TEST(link_as_the_destination_means_its_target),
        COPY_TEST(link_as_the_source_is_a_link_or_what_it_means),
        COPY_TEST(failing_guest_ends_the_copy),
        COPY_TEST(tar_of_a_tree_goes_back_in),
        COPY_TEST(tar_for_a_reader_that_left_fails),
        COPY_TEST(tar_of_a_copy_that_failed_has_no_end),
        COPY_TEST(tar_in_any_order_gets_its_folders),
        COPY_TEST(tar_that_climbs_or_links_is_refused),
        COPY_TEST(tar_that_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
