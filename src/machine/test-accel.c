/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/accel-internal.h"

#include "base/file.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

static void judge_says_what_stopped_the_guest(void **state)
{
    static const struct {
        struct probe_report report;
        bool in_time;
        const char *part;
    } cases[] = {
        { { .stage = PROBE_OPEN, .errnum = ENOENT }, true, "is missing" },
        { { .stage = PROBE_OPEN, .errnum = EACCES }, true, "group kvm" },
        { { .stage = PROBE_OPEN, .errnum = ENODEV }, true, "no hypervisor" },
        { { .stage = PROBE_OPEN, .errnum = EIO }, true, "error 5" },
        { { .stage = PROBE_VM, .errnum = ENOMEM }, true, "does not give a VM" },
        { { .stage = PROBE_RUN,
            .step = PROBE_STEP_XSTATE,
            .exit_reason = KVM_EXIT_INTERNAL_ERROR,
            .suberror = 1 },
          true,
          "at xsave and xrstor (internal error, suberror 1)" },
        { { .stage = PROBE_RUN, .step = PROBE_STEP_INT3, .exit_reason = KVM_EXIT_SHUTDOWN },
          true,
          "ended at int3" },
        { { .stage = PROBE_RUN, .step = 0, .errnum = EFAULT }, true, "at its start (error 14)" },
        { { .stage = PROBE_RUN, .step = 999, .exit_reason = KVM_EXIT_HLT }, true, "at its start" },
        { { .stage = PROBE_RUN, .step = PROBE_STEP_LOOP },
          false,
          "still at a long loop after 500 ms" },
        /* Killed at the very end: it was too slow all the same. */
        { { .stage = PROBE_DONE, .step = PROBE_STEP_END }, false, "emulates" },
    };
    struct accel_result result;

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        accel_judge(&cases[i].report, cases[i].in_time, &result);
        assert_false(result.kvm);
        assert_int_equal(result.slow, !cases[i].in_time);
        if (!strstr(result.reason, cases[i].part))
            fail_msg("'%s' does not say '%s'", result.reason, cases[i].part);
    }
    accel_judge(&(struct probe_report){ .stage = PROBE_DONE }, true, &result);
    assert_true(result.kvm);
    assert_string_equal(result.reason, "");
}

static void probe_comes_to_a_verdict_in_time(void **state)
{
    struct accel_result result;

    (void) state;
    assert_int_equal(accel_probe(&result, NULL), 0);
    assert_true(result.kvm || result.reason[0]);
}

static char root[] = "/tmp/test-accel-XXXXXX";
static int root_fd = -EBADF;

static int setup(void **state)
{
    (void) state;
    memcpy(root, "/tmp/test-accel-XXXXXX", sizeof(root));
    if (!mkdtemp(root))
        return -1;
    root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return root_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    mvm_autoclose int tmp_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void) state;
    (void) close(root_fd);
    return path_remove_tree(tmp_fd, root + strlen("/tmp/"), NULL);
}

/* Replaces @from by @to in the remembered result. */
static void edit_cache(const char *from, const char *to)
{
    mvm_autofree char *text = NULL;
    mvm_autofree char *edited = NULL;
    size_t len = 0;
    char *at;

    assert_int_equal(file_read(root_fd, "accel.json", 4096, &text, &len, NULL), 0);
    at = strstr(text, from);
    assert_non_null(at);
    *at = '\0';
    assert_true(asprintf(&edited, "%s%s%s", text, to, at + strlen(from)) > 0);
    assert_int_equal(file_write(root_fd, "accel.json", edited, strlen(edited), 0600, NULL), 0);
}

static void a_remembered_result_is_used(void **state)
{
    struct accel_result first, second;

    (void) state;
    assert_int_equal(accel_probe_cached(root_fd, &first, NULL), 0);
    edit_cache(first.kvm ? "\"kvm\":true,\"reason\":\"\"" : "\"kvm\":false,\"reason\":\"",
               first.kvm ? "\"kvm\":false,\"reason\":\"planted\""
                         : "\"kvm\":false,\"reason\":\"planted ");
    assert_int_equal(accel_probe_cached(root_fd, &second, NULL), 0);
    assert_false(second.kvm);
    assert_memory_equal(second.reason, "planted", 7);
}

static void a_result_of_another_boot_is_not(void **state)
{
    struct accel_result first, second;

    (void) state;
    assert_int_equal(accel_probe_cached(root_fd, &first, NULL), 0);
    edit_cache("\"key\":\"", "\"key\":\"x");
    edit_cache("\"reason\":\"", "\"reason\":\"planted ");
    assert_int_equal(accel_probe_cached(root_fd, &second, NULL), 0);
    assert_int_equal(second.kvm, first.kvm);
    assert_null(strstr(second.reason, "planted"));
}

static void a_broken_file_is_as_none(void **state)
{
    static const char *const texts[] = { "", "{", "[]", "{\"key\":1}", "{\"kvm\":\"yes\"}" };
    struct accel_result first, second;

    (void) state;
    assert_int_equal(accel_probe_cached(root_fd, &first, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_int_equal(file_write(root_fd, "accel.json", texts[i], strlen(texts[i]), 0600, NULL),
                         0);
        assert_int_equal(accel_probe_cached(root_fd, &second, NULL), 0);
        assert_int_equal(second.kvm, first.kvm);
    }
}

static void a_folder_that_takes_no_file_is_no_failure(void **state)
{
    mvm_autoclose int proc_fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct accel_result result;

    (void) state;
    assert_int_equal(accel_probe_cached(proc_fd, &result, NULL), 0);
    assert_true(result.kvm || result.reason[0]);
}

static void a_slow_result_is_remembered_for_a_minute_alone(void **state)
{
    struct accel_result slow = { .slow = true, .reason = "too slow" }, got = { .kvm = true };

    (void) state;
    accel_remember(root_fd, "key", 1000, &slow);
    assert_true(accel_recall(root_fd, "key", 1000, &got));
    assert_false(got.kvm);
    assert_true(got.slow);
    assert_string_equal(got.reason, "too slow");
    assert_true(accel_recall(root_fd, "key", 1000 + ACCEL_SLOW_KEPT_S - 1, &got));
    assert_false(accel_recall(root_fd, "key", 1000 + ACCEL_SLOW_KEPT_S, &got));
    assert_false(accel_recall(root_fd, "key", 999, &got));
}

static void a_firm_result_is_remembered_until_its_key_changes(void **state)
{
    struct accel_result missing = { .reason = "/dev/kvm is missing" }, got = { .kvm = true };

    (void) state;
    accel_remember(root_fd, "key", 1000, &missing);
    assert_true(accel_recall(root_fd, "key", INT64_MAX, &got));
    assert_false(got.kvm || got.slow);
    assert_false(accel_recall(root_fd, "another", 1000, &got));
    accel_remember(root_fd, "key", 1000, &(struct accel_result){ .kvm = true });
    assert_true(accel_recall(root_fd, "key", INT64_MAX, &got));
    assert_true(got.kvm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judge_says_what_stopped_the_guest),
        cmocka_unit_test(probe_comes_to_a_verdict_in_time),
        cmocka_unit_test_setup_teardown(a_remembered_result_is_used, setup, teardown),
        cmocka_unit_test_setup_teardown(a_result_of_another_boot_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_file_is_as_none, setup, teardown),
        cmocka_unit_test(a_folder_that_takes_no_file_is_no_failure),
        cmocka_unit_test_setup_teardown(a_slow_result_is_remembered_for_a_minute_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_firm_result_is_remembered_until_its_key_changes, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
