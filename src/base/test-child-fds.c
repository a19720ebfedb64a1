/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers that a child's descriptors get. */
#include "base/child.h"

#include "base/io.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

/* Far above what any of these programs needs, far below the patience of the test runner. */
#define PATIENCE_MS 30000

/* A vector of literals: execve(2) takes it without const and changes nothing. */
#define ARGV(...) ((char *const *) (const char *const[]){ __VA_ARGS__, NULL })
#define SH(script)                         \
    {                                      \
        .argv = ARGV("sh", "-c", (script)) \
    }

/* Memory files that hold their own names: "A", "B", "C". */
static void named_files(int fds[3])
{
    static const char *const names[] = { "A", "B", "C" };

    for (int i = 0; i < 3; i++)
        assert_int_equal(io_memfd(names[i], names[i], 1, true, &fds[i], NULL), 0);
}

static void close_all(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void) close(fds[i]);
}

/* What the child reads from the numbers @map gives to A, B, C. */
static void check_mapping(const int files[3], const int to[3])
{
    mvm_autoclose int out_fd = -EBADF;
    mvm_autofree char *out = NULL;
    mvm_autovalue(child) c = CHILD_NONE;
    struct child_status status = { .exited = false };
    struct child_fd fds[4];
    char script[200];
    size_t len = 0;
    struct child_spec spec = SH(script);

    assert_int_equal(io_memfd("out", "", 0, false, &out_fd, NULL), 0);
    for (int i = 0; i < 3; i++)
        fds[i] = (struct child_fd){ .from = files[i], .to = to[i] };
    fds[3] = (struct child_fd){ .from = out_fd, .to = 1 };
    spec.fds = fds;
    spec.n_fds = 4;
    (void) snprintf(script, sizeof(script), "cat /proc/$$/fd/%d /proc/$$/fd/%d /proc/$$/fd/%d",
                    to[0], to[1], to[2]);
    assert_int_equal(child_spawn(&spec, &c, NULL), 0);
    assert_int_equal(child_wait(&c, PATIENCE_MS, &status, NULL), 0);
    assert_true(status.exited);
    assert_int_equal(status.code, 0);
    assert_int_equal(lseek(out_fd, 0, SEEK_SET), 0);
    assert_int_equal(io_read_all(out_fd, 100, &out, &len, NULL), 0);
    assert_string_equal(out, "ABC");
}

static void descriptors_may_swap_their_numbers(void **state)
{
    int files[3];

    (void) state;
    named_files(files);
    check_mapping(files, (int[]){ files[1], files[2], files[0] });
    check_mapping(files, (int[]){ files[2], files[1], files[0] });
    check_mapping(files, (int[]){ files[0], files[1], files[2] });
    check_mapping(files, (int[]){ 0, 3, 4 });
    check_mapping(files, (int[]){ 61, 62, 639 });
    /* The same file three times over. */
    check_mapping((int[]){ files[0], files[1], files[2] }, (int[]){ 2, 0, 3 });
    close_all(files, 3);
}

static void descriptor_numbers_have_an_end(void **state)
{
    static struct child_fd fds[641];
    struct child_spec spec = { .argv = ARGV("true"), .fds = fds, .n_fds = 1 };
    mvm_autovalue(child) c = CHILD_NONE;
    mvm_autoerror mvm_error *e = NULL;
    struct child_status status;
    struct rlimit files;

    (void) state;
    /* Their copies lie above the highest of them for a while. */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_cur < 2048) {
        print_message("# fewer than 2048 descriptors are allowed\n");
        skip();
    }
    for (int i = 0; i < 641; i++)
        fds[i] = (struct child_fd){ .from = 2, .to = i };
    spec.n_fds = 640;
    assert_int_equal(child_spawn(&spec, &c, NULL), 0);
    assert_int_equal(child_wait(&c, PATIENCE_MS, &status, NULL), 0);
    spec.n_fds = 641;
    assert_int_equal(child_spawn(&spec, &c, &e), MVM_E_ARG);
    assert_string_equal(mvm_error_message(e), "more than 640 descriptors for 'true'");
    spec.n_fds = 1;
    fds[0].to = 640;
    assert_int_equal(child_spawn(&spec, &c, &e), MVM_E_ARG);
    assert_string_equal(mvm_error_message(e), "descriptor number 640 for 'true' is not 0 to 639");
    fds[0].to = -1;
    assert_int_equal(child_spawn(&spec, &c, NULL), MVM_E_ARG);
    fds[0] = (struct child_fd){ .from = 999, .to = 3 };
    assert_int_equal(child_spawn(&spec, &c, &e), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(e), EBADF);
    assert_int_equal(c.pidfd, -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_may_swap_their_numbers),
        cmocka_unit_test(descriptor_numbers_have_an_end),
    };

    return cmocka_run_group_tests_name("base-child-fds", tests, NULL, NULL);
}
