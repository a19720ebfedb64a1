/* SPDX-License-Identifier: Apache-2.0 */
#include "image/disk-download.h"
#include "image/disk-image.h"
#include "image/disk-inflate.h"
#include "image/scratch.h"

#include "base/scan.h"
#include "base/test-sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

static void kinds_are_told_by_content(void **state)
{
    static const struct {
        const char *data;
        size_t len;
        enum disk_kind kind;
    } cases[] = {
        { "", 0, DISK_PLAIN },
        { "\x1f\x8b", 2, DISK_GZIP },
        { "\xfd"
          "7zXZ\0",
          6, DISK_XZ },
        { "\xfd"
          "7zXZ",
          5, DISK_PLAIN },
        { "BZh91AY&SY", 10, DISK_BZIP2 },
        { "BZh91AY&S", 9, DISK_PLAIN },
        { "BZh01AY&SY", 10, DISK_PLAIN },
        { "BZh9\x17\x72\x45\x38\x50\x90", 10, DISK_BZIP2 },
        { "BZh9 is how a text may begin", 28, DISK_PLAIN },
        { "\x28\xb5\x2f\xfd", 4, DISK_ZSTD },
        { "QFI\xfb", 4, DISK_PLAIN },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(disk_detect(cases[i].data, cases[i].len), cases[i].kind);
}

/* Content with zeros of any length at any place, in pieces of any size, is what is read back, and
 * long runs of zeros take no room. */
static void output_keeps_content_and_holes(void **state)
{
    enum {
        SIZE = 300000
    };
    mvm_autofree char *data = calloc(1, SIZE), *back = malloc(SIZE);
    unsigned seed = 12345;

    (void) state;
    assert_true(data && back);
    memset(data + 100, 'x', 5000);
    memset(data + 200000, 'y', 1);
    for (size_t piece = 1; piece < SIZE; piece = piece * 7 + seed % 3) {
        mvm_autoclose int fd = memfd_create("out", MFD_CLOEXEC);
        struct disk_output out = { .fd = fd, .max = SIZE };
        struct stat st;

        for (size_t at = 0; at < SIZE; at += piece)
            assert_int_equal(
                disk_output_add(&out, data + at, piece < SIZE - at ? piece : SIZE - at, NULL), 0);
        assert_int_equal(disk_output_end(&out, NULL), 0);
        assert_int_equal(pread(fd, back, SIZE, 0), SIZE);
        assert_memory_equal(back, data, SIZE);
        assert_int_equal(fstat(fd, &st), 0);
        if (piece >= 4096) /* single bytes are no hole's worth of zeros */
            assert_in_range(st.st_blocks * 512, 1, 40000);
        seed = seed * 1103515245u + 12345u;
        assert_int_equal(disk_output_add(&out, "z", 1, NULL), MVM_E_LIMIT);
    }
}

static void names_come_from_urls(void **state)
{
    static const char *const cases[][2] = {
        { "https://h/a/debian.qcow2.xz?s=1#f", "debian.qcow2" },
        { "https://h/x", "x" },
        { "https://h/x%2fy", "x_2fy" },
        { "https://h/\xc3\xa4", "__" },
        { "https://h", NULL },
        { "https://h/", NULL },
        { "https://h/..", NULL },
        { "https://h?/x", NULL },
        { "no url", NULL },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autofree char *name = NULL;
        int r = disk_image_name(cases[i][0], &name, NULL);

        print_message("# %s\n", cases[i][0]);
        assert_int_equal(r, cases[i][1] ? 0 : MVM_E_ARG);
        if (cases[i][1])
            assert_string_equal(name + 17, cases[i][1]);
    }
}

static void long_names_keep_their_end(void **state)
{
    char url[300] = "http://h/";
    mvm_autofree char *name = NULL;

    (void) state;
    memset(url + 9, 'n', 200);
    (void) snprintf(url + 209, 10, ".raw");
    assert_int_equal(disk_image_name(url, &name, NULL), 0);
    assert_int_equal(strlen(name), 17 + DISK_BASE_MAX);
    assert_string_equal(name + strlen(name) - 5, "n.raw");
}

static void ranges_are_read_strictly(void **state)
{
    static const struct {
        const char *text;
        bool good, has_total;
        uint64_t from, total;
    } cases[] = {
        { "bytes 5-9/10", true, true, 5, 10 },
        { "bytes 0-0/*", true, false, 0, 0 },
        { "bytes 5-9/", false, false, 0, 0 },
        { "bytes -9/10", false, false, 0, 0 },
        { "bytes 5/10", false, false, 0, 0 },
        { "bytes 5/1-0", false, false, 0, 0 },
        { "Bytes 5-9/10", false, false, 0, 0 },
        { "bytes=5-9/10", false, false, 0, 0 },
        { "bytes 5-9/10 ", false, false, 0, 0 },
        { "bytes 9223372036854775808-9/*", false, 0, 0, 0 },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t from = 0, total = 0;
        bool has_total = false;

        print_message("# %s\n", cases[i].text);
        assert_int_equal(disk_parse_range(cases[i].text, &from, &has_total, &total), cases[i].good);
        if (!cases[i].good)
            continue;
        assert_int_equal(from, cases[i].from);
        assert_int_equal(has_total, cases[i].has_total);
        assert_int_equal(total, cases[i].total);
    }
}

static void temporary_files_have_no_name_and_a_limit(void **state)
{
    char path[] = "/tmp/test-scratch-XXXXXX";
    mvm_autoclose int dir = -EBADF, fd = -EBADF;
    uint64_t size = SCRATCH_MAX - 4;

    (void) state;
    assert_non_null(mkdtemp(path));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(scratch_file_new(dir, &fd, NULL), 0);
    assert_int_equal(scratch_file_add(fd, "12345", 5, &size, NULL), MVM_E_LIMIT);
    assert_int_equal(size, SCRATCH_MAX - 4);
    assert_int_equal(scratch_file_add(fd, "1234", 4, &size, NULL), 0);
    assert_int_equal(size, SCRATCH_MAX);
    /* The folder is empty. */
    assert_int_equal(rmdir(path), 0);
}

struct dripping {
    int fd; /* listens */
    unsigned answers;
};

/* The head of an answer that begins where @request wants it. */
static ssize_t send_head(int fd, const char *request)
{
    const char *range = strstr(request, "bytes=");
    char head[256];
    uint64_t from = 0;
    int n;

    if (range && !scan_u64(range + 6, strcspn(range + 6, "-"), 999, &from))
        return -1;
    n = snprintf(head, sizeof(head),
                 "HTTP/1.1 %s\r\nETag: \"x\"\r\nContent-Length: %u\r\n"
                 "Content-Range: bytes %u-999/1000\r\nConnection: close\r\n\r\n",
                 range ? "206 Partial Content" : "200 OK", 1000 - (unsigned) from, (unsigned) from);
    return send(fd, head, (size_t) n, MSG_NOSIGNAL);
}

/* Answers as often as it is asked, @answers being their number, with a byte now and then. */
static void *drip(void *user)
{
    struct dripping *d = user;

    for (;;) {
        mvm_autoclose int fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC);
        char request[4096];
        ssize_t n;

        if (fd < 0)
            return NULL;
        d->answers++;
        n = read(fd, request, sizeof(request) - 1);
        request[n > 0 ? n : 0] = '\0';
        n = n > 0 ? send_head(fd, request) : n;
        for (unsigned i = 0; i < 1000 && n > 0; i++) {
            (void) usleep(20000);
            n = send(fd, "x", 1, MSG_NOSIGNAL);
        }
    }
}

static void downloads_that_drip_are_given_up(void **state)
{
    struct sandbox *sb = *state;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);
    mvm_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct dripping dripping = { .fd = fd };
    struct image_tick tick = { .fn = NULL };
    mvm_autofree char *url = NULL;
    mvm_auto(disk_download) d = NULL;
    mvm_autoerror mvm_error *e = NULL;
    pthread_t thread;
    char data[2000];

    assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &len), 0);
    assert_int_equal(pthread_create(&thread, NULL, drip, &dripping), 0);
    assert_true(asprintf(&url, "http://127.0.0.1:%u/x", ntohs(a.sin_port)) > 0);
    const struct disk_request request = { .url = url,
                                          .name = "x",
                                          .dir_fd = sb->root_fd,
                                          .max_bytes = 10000,
                                          .slow_ms = 200,
                                          .tick = &tick };

    assert_int_equal(disk_download_open(&request, &d, NULL), 0);
    assert_int_equal(disk_download_peek(d, data, sizeof(data), &e), MVM_E_NET);
    (void) shutdown(fd, SHUT_RDWR);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (!strstr(mvm_error_message(e), "after 5 tries: too slow"))
        fail_msg("'%s' after %u answers", mvm_error_message(e), dripping.answers);
    assert_int_equal(dripping.answers, DISK_TRIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_told_by_content),
        cmocka_unit_test(output_keeps_content_and_holes),
        cmocka_unit_test(names_come_from_urls),
        cmocka_unit_test(long_names_keep_their_end),
        cmocka_unit_test(ranges_are_read_strictly),
        cmocka_unit_test(temporary_files_have_no_name_and_a_limit),
        cmocka_unit_test_setup_teardown(downloads_that_drip_are_given_up, sandbox_setup,
                                        sandbox_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
