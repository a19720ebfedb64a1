/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/checks.h"

#include "base/file.h"
#include "base/mem.h"
#include "machine/accel.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

static void a_missing_part_is_named_with_the_command_that_mends_it(void **state)
{
    const struct preflight_host nowhere = { .cache_dir = "/nowhere/at/all",
                                            .lib_dir = "/nowhere/lib" };
    struct preflight_result results[MACHINE_CHECKS];
    mvm_autoerror mvm_error *err = NULL;

    (void) state;
    assert_int_equal(setenv("MICROVM_QEMU", "/nowhere/qemu", 1), 0);
    assert_int_equal(unsetenv("MICROVM_KERNEL"), 0);
    assert_int_equal(preflight_run(machine_checks, MACHINE_CHECKS, &nowhere, results, &err),
                     MVM_E_UNSUPPORTED);
    assert_int_equal(unsetenv("MICROVM_QEMU"), 0);
    assert_non_null(strstr(mvm_error_message(err), "qemu: '/nowhere/qemu'"));
    assert_non_null(strstr(mvm_error_message(err), "kernel: no guest kernel"));
    assert_string_equal(results[1].remedy, "apt-get install qemu-system-x86");
    assert_string_equal(results[2].remedy, "microvm kernel fetch");
}

static void an_old_qemu_is_named_with_its_version(void **state)
{
    const struct preflight_host nowhere = { .cache_dir = "/nowhere/at/all",
                                            .lib_dir = "/nowhere/lib" };
    struct preflight_result results[MACHINE_CHECKS];
    char path[] = "/tmp/test-checks-XXXXXX";
    mvm_autoclose int fd = mkostemp(path, O_CLOEXEC);
    static const char script[] = "#!/bin/sh\necho QEMU emulator version 7.1.9\n";

    (void) state;
    assert_int_equal(write(fd, script, sizeof(script) - 1), sizeof(script) - 1);
    assert_int_equal(fchmod(fd, 0700), 0);
    (void) close(steal_fd(&fd));
    assert_int_equal(setenv("MICROVM_QEMU", path, 1), 0);
    assert_int_equal(preflight_run(machine_checks, MACHINE_CHECKS, &nowhere, results, NULL),
                     MVM_E_UNSUPPORTED);
    assert_int_equal(unsetenv("MICROVM_QEMU"), 0);
    assert_int_equal(unlink(path), 0);
    assert_false(results[1].ok);
    assert_non_null(strstr(results[1].detail, "version 7.1.9; 7.2 is the oldest"));
}

static void kvm_is_judged_by_what_a_run_remembers(void **state)
{
    char folder[] = "/tmp/test-checks-XXXXXX";
    struct preflight_result results[MACHINE_CHECKS];
    mvm_autofree char *text = NULL;
    mvm_autofree char *edited = NULL;
    mvm_autoclose int fd = -EBADF;
    struct accel_result result;
    size_t len = 0;
    char *at;

    (void) state;
    assert_non_null(mkdtemp(folder));
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(accel_probe_cached(fd, &result, NULL), 0);
    assert_int_equal(file_read(fd, "accel.json", 4096, &text, &len, NULL), 0);
    at = strstr(text, "\"kvm\"");
    assert_non_null(at);
    *at = '\0';
    assert_true(asprintf(&edited, "%s\"kvm\":false,\"reason\":\"planted\"}", text) > 0);
    assert_int_equal(file_write(fd, "accel.json", edited, strlen(edited), 0600, NULL), 0);
    const struct preflight_host host = { .cache_dir = folder, .lib_dir = "/nowhere/lib" };
    (void) preflight_run(machine_checks, MACHINE_CHECKS, &host, results, NULL);
    assert_int_equal(unlinkat(fd, "accel.json", 0), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_false(results[0].ok);
    assert_non_null(strstr(results[0].detail, "planted"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_part_is_named_with_the_command_that_mends_it),
        cmocka_unit_test(an_old_qemu_is_named_with_its_version),
        cmocka_unit_test(kvm_is_judged_by_what_a_run_remembers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
