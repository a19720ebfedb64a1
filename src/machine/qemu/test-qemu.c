/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/machine.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/path.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include <cmocka.h>

static char folder[] = "/tmp/microvm-test-XXXXXX";

static int setup(void **state)
{
    (void) state;
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    mvm_autoclose int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void) state;
    return path_remove_tree(fd, strrchr(folder, '/') + 1, NULL);
}

/* A program in the folder; its path is the caller's. */
static char *program(const char *name, const char *script, mode_t mode)
{
    char *path = path_join(folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, script, strlen(script), NULL), 0);
    assert_int_equal(close(fd), 0);
    return path;
}

static int check(unsigned cpus, uint64_t memory_mib, mvm_error **err)
{
    const struct machine_spec spec = { .cpus = cpus, .memory_mib = memory_mib };

    return machine_check(&spec, err);
}

static void check_takes_cpus_within_their_limits(void **state)
{
    (void) state;
    assert_int_equal(check(0, 64, NULL), MVM_E_ARG);
    assert_int_equal(check(1, 64, NULL), 0);
    assert_int_equal(check(MACHINE_CPUS_MAX, 64, NULL), 0);
    assert_int_equal(check(MACHINE_CPUS_MAX + 1, 64, NULL), MVM_E_ARG);
}

static void check_takes_memory_up_to_the_hosts(void **state)
{
    mvm_autoerror mvm_error *err = NULL;
    struct sysinfo info;
    uint64_t host_mib;

    (void) state;
    assert_int_equal(sysinfo(&info), 0);
    host_mib = (uint64_t) info.totalram * info.mem_unit >> 20;
    assert_int_equal(check(1, 0, NULL), MVM_E_ARG);
    assert_int_equal(check(1, MACHINE_MEMORY_MIB_MIN - 1, NULL), MVM_E_ARG);
    assert_int_equal(check(1, MACHINE_MEMORY_MIB_MIN, NULL), 0);
    assert_int_equal(check(1, host_mib, NULL), 0);
    assert_int_equal(check(1, host_mib + 1, &err), MVM_E_ARG);
    assert_non_null(strstr(mvm_error_message(err), "this host has"));
    assert_int_equal(check(1, UINT64_MAX, NULL), MVM_E_ARG);
}

static void find_refuses_a_variable_that_names_no_program(void **state)
{
    mvm_autofree char *plain = program("plain", "text", 0644);
    const char *const values[] = { "/nowhere/qemu", folder, plain };
    char *path = NULL;

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        mvm_autoerror mvm_error *err = NULL;

        assert_int_equal(setenv("MICROVM_QEMU", values[i], 1), 0);
        assert_int_equal(qemu_find(&path, &err), MVM_E_NOT_FOUND);
        assert_non_null(strstr(mvm_error_message(err), values[i]));
        assert_non_null(strstr(mvm_error_message(err), "MICROVM_QEMU"));
        assert_null(path);
    }
    assert_int_equal(unsetenv("MICROVM_QEMU"), 0);
}

static void find_names_the_package_when_path_has_none(void **state)
{
    static char untouched[] = "untouched";
    mvm_autofree char *saved = strdup(getenv("PATH"));
    const char *const paths[] = { "", ":", "/nowhere::/dev", folder };
    char *path = untouched;

    (void) state;
    assert_int_equal(setenv("MICROVM_QEMU", "", 1), 0); /* as if it were not there */
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        mvm_autoerror mvm_error *err = NULL;

        assert_int_equal(setenv("PATH", paths[i], 1), 0);
        assert_int_equal(qemu_find(&path, &err), MVM_E_NOT_FOUND);
        assert_non_null(strstr(mvm_error_message(err), "apt-get install qemu-system-"));
        assert_ptr_equal(path, untouched);
    }
    assert_int_equal(setenv("PATH", saved, 1), 0);
}

static int version_of(const char *script, char **ret)
{
    mvm_autofree char *path = program("qemu", script, 0755);

    return qemu_version(path, ret, NULL);
}

static void version_is_what_the_program_says(void **state)
{
    mvm_autofree char *version = NULL;

    (void) state;
    assert_int_equal(
        version_of("#!/bin/sh\necho \"QEMU emulator version 7.2.22 (Debian) $1\"\n", &version), 0);
    assert_string_equal(version, "7.2.22");
}

static void version_refuses_programs_that_do_not_tell(void **state)
{
    char *version = NULL;

    (void) state;
    assert_int_equal(version_of("#!/bin/sh\necho hello\n", &version), MVM_E_FORMAT);
    assert_int_equal(version_of("#!/bin/sh\necho version unknown\n", &version), MVM_E_FORMAT);
    assert_int_equal(version_of("#!/bin/sh\necho version 1; exit 3\n", &version), MVM_E_CHILD);
    assert_null(version);
}

static void start_refuses_what_it_cannot_open(void **state)
{
    static char root_path[] = "/nowhere/root";
    static const struct machine_extent one[] = { { .path = root_path } };
    struct machine_spec spec = { .name = "x",
                                 .accel = MACHINE_ACCEL_KVM,
                                 .kernel_path = "/nowhere/vmlinux",
                                 .root = one,
                                 .n_root = 1,
                                 .tsc_since = tsc_sample_take(),
                                 .lock_fd = -EBADF };
    mvm_autofree char *plain = program("vmlinux", "text", 0644);
    mvm_autovalue(child) child = CHILD_NONE;
    mvm_autoerror mvm_error *kernel = NULL;
    mvm_autoerror mvm_error *root = NULL;

    (void) state;
    assert_int_equal(setenv("MICROVM_QEMU", "/bin/sh", 1), 0);
    assert_int_equal(qemu_start(&spec, &child, &kernel), MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(kernel), "kernel '/nowhere/vmlinux'"));
    spec.kernel_path = plain;
    assert_int_equal(qemu_start(&spec, &child, &root), MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(root), "root disk '/nowhere/root'"));
    assert_int_equal(child.pid, 0);
    assert_int_equal(unsetenv("MICROVM_QEMU"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_takes_cpus_within_their_limits),
        cmocka_unit_test(check_takes_memory_up_to_the_hosts),
        cmocka_unit_test(find_refuses_a_variable_that_names_no_program),
        cmocka_unit_test(find_names_the_package_when_path_has_none),
        cmocka_unit_test(version_is_what_the_program_says),
        cmocka_unit_test(version_refuses_programs_that_do_not_tell),
        cmocka_unit_test(start_refuses_what_it_cannot_open),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
