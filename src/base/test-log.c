/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct record {
    unsigned count;
    enum log_level level;
    char module[32];
    char message[4096];
};

static void record_sink(void *user, enum log_level level, const char *module, const char *message)
{
    struct record *r = user;

    r->count++;
    r->level = level;
    (void) snprintf(r->module, sizeof(r->module), "%s", module);
    (void) snprintf(r->message, sizeof(r->message), "%s", message);
    errno = EIO;
}

static void record_reaches_the_sink_whole(void **state)
{
    static struct record r;
    struct log log = { .sink = record_sink, .user = &r, .level = LOG_LEVEL_INFO };

    (void) state;
    log_warning(&log, "net", "port %d", 80);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.level, LOG_LEVEL_WARNING);
    assert_string_equal(r.module, "net");
    assert_string_equal(r.message, "port 80");
}

static void record_above_the_level_is_dropped(void **state)
{
    static struct record r;
    struct log log = { .sink = record_sink, .user = &r, .level = LOG_LEVEL_INFO };

    (void) state;
    log_info(&log, "m", "at");
    assert_int_equal(r.count, 1);
    log_debug(&log, "m", "above");
    assert_int_equal(r.count, 1);
}

static void null_log_drops_everything(void **state)
{
    struct log none = { .level = LOG_LEVEL_DEBUG };

    (void) state;
    log_error(NULL, "m", "x");
    log_error(&none, "m", "x");
}

static void logging_keeps_errno(void **state)
{
    static struct record r;
    struct log log = { .sink = record_sink, .user = &r, .level = LOG_LEVEL_INFO };

    (void) state;
    errno = EXDEV;
    log_error(&log, "m", "x");
    assert_int_equal(errno, EXDEV);
}

static void message_is_escaped_and_cut(void **state)
{
    static struct record r;
    struct log log = { .sink = record_sink, .user = &r, .level = LOG_LEVEL_INFO };
    char text[3001];

    (void) state;
    log_error(&log, "m", "%s", "a\nb\x1b[2J");
    assert_string_equal(r.message, "a\\x0ab\\x1b[2J");
    memset(text, 'x', sizeof(text) - 1);
    text[1023] = '\0';
    log_error(&log, "m", "%s", text);
    assert_int_equal(strlen(r.message), 1023);
    text[1023] = 'x';
    text[3000] = '\0';
    log_error(&log, "m", "%s", text);
    assert_int_equal(strlen(r.message), 1023);
    memset(text, '\n', sizeof(text) - 1);
    log_error(&log, "m", "%s", text);
    assert_int_equal(strlen(r.message), 2044); /* 511 whole escapes in 2047 bytes */
}

static void escape_cuts_between_characters(void **state)
{
    char out[8];

    (void) state;
    log_escape("abcdefg", out, sizeof(out));
    assert_string_equal(out, "abcdefg");
    log_escape("abcdefgh", out, sizeof(out));
    assert_string_equal(out, "abcdefg");
    log_escape("abcde\xc3\xa9", out, sizeof(out));
    assert_string_equal(out, "abcde\xc3\xa9");
    log_escape("abcdef\xc3\xa9", out, sizeof(out));
    assert_string_equal(out, "abcdef");
    log_escape("abc\n", out, sizeof(out));
    assert_string_equal(out, "abc\\x0a");
    log_escape("abcd\n", out, sizeof(out));
    assert_string_equal(out, "abcd");
    log_escape("x", out, 1);
    assert_string_equal(out, "");
    out[0] = '!';
    log_escape("x", out, 0);
    assert_int_equal(out[0], '!');
}

static void escape_shows_controls_and_what_is_not_utf8(void **state)
{
    char out[64];

    (void) state;
    log_escape("\x01\x7f\xc2\x80\xc2\x9f\xc2\xa0\xff\xc3", out, sizeof(out));
    assert_string_equal(out, "\\x01\\x7f\\xc2\\x80\\xc2\\x9f\xc2\xa0\\xff\\xc3");
    log_escape("back\\slash", out, sizeof(out));
    assert_string_equal(out, "back\\slash");
}

static void fd_sink_writes_one_line(void **state)
{
    mvm_autoclose int fd = -EBADF;
    mvm_autofree char *text = NULL;
    size_t len = 0;

    (void) state;
    assert_int_equal(io_memfd("log", "", 0, false, &fd, NULL), 0);
    log_sink_fd(&fd, LOG_LEVEL_ERROR, "mod", "hello");
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(io_read_all(fd, 1000, &text, &len, NULL), 0);
    assert_non_null(strstr(text, " error mod: hello\n"));
    assert_int_equal(strspn(text, "0123456789."), strcspn(text, " "));
    assert_int_equal(text[len - 1], '\n');
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
}

static void fd_sink_ends_a_cut_line_too(void **state)
{
    mvm_autoclose int fd = -EBADF;
    mvm_autofree char *text = NULL;
    char module[3001];
    size_t len = 0;

    (void) state;
    memset(module, 'm', sizeof(module) - 1);
    module[sizeof(module) - 1] = '\0';
    assert_int_equal(io_memfd("log", "", 0, false, &fd, NULL), 0);
    log_sink_fd(&fd, LOG_LEVEL_DEBUG, module, "x");
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(io_read_all(fd, 10000, &text, &len, NULL), 0);
    assert_in_range(len, 2000, 2999);
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_reaches_the_sink_whole),
        cmocka_unit_test(record_above_the_level_is_dropped),
        cmocka_unit_test(null_log_drops_everything),
        cmocka_unit_test(logging_keeps_errno),
        cmocka_unit_test(message_is_escaped_and_cut),
        cmocka_unit_test(escape_cuts_between_characters),
        cmocka_unit_test(escape_shows_controls_and_what_is_not_utf8),
        cmocka_unit_test(fd_sink_writes_one_line),
        cmocka_unit_test(fd_sink_ends_a_cut_line_too),
    };

    return cmocka_run_group_tests_name("base-log", tests, NULL, NULL);
}
