/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

/* What is printed on stderr goes to a file until told(). */
static int kept = -EBADF, file = -EBADF;

static void listen_to_stderr(void)
{
    (void) fflush(stderr);
    kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    file = memfd_create("test-message", MFD_CLOEXEC);
    assert_true(kept >= 0 && file >= 0);
    assert_int_equal(dup3(file, STDERR_FILENO, O_CLOEXEC), STDERR_FILENO);
}

static char *told(void)
{
    char *text = NULL;
    size_t len = 0;

    (void) fflush(stderr);
    assert_int_equal(dup3(kept, STDERR_FILENO, O_CLOEXEC), STDERR_FILENO);
    (void) close(steal_fd(&kept));
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    assert_int_equal(io_read_all(file, 1 << 20, &text, &len, NULL), 0);
    (void) close(steal_fd(&file));
    return text;
}

static void a_line_is_one_line_whatever_a_guest_says(void **state)
{
    mvm_autofree char *text = NULL;

    (void) state;
    listen_to_stderr();
    cli_print_line("no \x1b[31mred\nline\xff, \xc3\xa9 and \\x1b stay");
    text = told();
    assert_string_equal(text, "microvm: no \\x1b[31mred\\x0aline\\xff, \xc3\xa9 and \\x1b stay\n");
}

static void a_long_line_is_whole(void **state)
{
    mvm_autofree char *word = malloc(100001);
    mvm_autofree char *text = NULL;

    (void) state;
    assert_non_null(word);
    memset(word, '\x01', 100000);
    word[100000] = '\0';
    listen_to_stderr();
    assert_int_equal(cli_usage_error("'%s'", word), CLI_STATUS_FAILED);
    text = told();
    assert_int_equal(strlen(text), strlen("microvm: ''\n") + 400000);
}

static void a_log_record_is_escaped_too(void **state)
{
    mvm_autofree char *text = NULL;

    (void) state;
    listen_to_stderr();
    cli_log(NULL, MVM_LOG_WARNING, "vm", "\r\x1b[K");
    text = told();
    assert_string_equal(text, "microvm: \\x0d\\x1b[K\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_line_whatever_a_guest_says),
        cmocka_unit_test(a_long_line_is_whole),
        cmocka_unit_test(a_log_record_is_escaped_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
