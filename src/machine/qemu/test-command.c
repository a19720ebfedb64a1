/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's command line, and what is refused before there is one. */
#include "machine/qemu/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/sysinfo.h>

#include <cmocka.h>

static char root_path[] = "/tmp/a,b=c d/root.erofs", data_path[] = "/tmp/a,b=c d/1.data";
static const struct machine_extent one[] = { { .path = root_path } };

static struct machine_spec spec_of(enum machine_accel accel)
{
    return (struct machine_spec){ .name = "web",
                                  .cpus = 2,
                                  .memory_mib = 512,
                                  .accel = accel,
                                  .kernel_path = "/tmp/a,b=c d/vmlinux",
                                  .root = one,
                                  .n_root = 1,
                                  .lock_fd = -1 };
}

/* The word after @option, for its @nth use. */
static const char *value_of(const struct strv *argv, const char *option, unsigned nth)
{
    for (size_t i = 0; i + 1 < argv->n; i++)
        if (strcmp(argv->items[i], option) == 0 && nth-- == 0)
            return argv->items[i + 1];
    fail_msg("'%s' is not there", option);
    return NULL;
}

static void build(const struct machine_spec *spec, uint32_t tsc_khz, struct strv *argv)
{
    const struct qemu_host host = { .tsc_khz = tsc_khz };

    assert_int_equal(qemu_build_command(spec, &host, argv, NULL), 0);
}

static void the_spec_decides_the_machine(void **state)
{
    const struct machine_spec spec = spec_of(MACHINE_ACCEL_KVM);
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    build(&spec, 0, &argv);
    assert_string_equal(value_of(&argv, "-accel", 0), "kvm");
    assert_string_equal(value_of(&argv, "-cpu", 0), "host");
    assert_string_equal(value_of(&argv, "-smp", 0), "2");
    assert_string_equal(value_of(&argv, "-m", 0), "512");
    assert_string_equal(value_of(&argv, "-object", 0),
                        "memory-backend-memfd,id=mem,size=512M,share=on");
    assert_string_equal(value_of(&argv, "-name", 0), "web");
}

static void the_guest_of_a_software_machine_is_told_its_clock(void **state)
{
    struct machine_spec spec = spec_of(MACHINE_ACCEL_TCG);
    mvm_autovalue(strv) known = { .n = 0 };
    mvm_autovalue(strv) unknown = { .n = 0 };

    (void) state;
    spec.cmdline_extra = "microvm_debug=1";
    build(&spec, 2599998, &known);
    assert_string_equal(value_of(&known, "-accel", 0), "tcg");
    assert_string_equal(value_of(&known, "-cpu", 0), "max");
    assert_non_null(strstr(value_of(&known, "-append", 0),
                           " tsc_early_khz=2599998 tsc=reliable microvm_debug=1"));
    build(&spec, 0, &unknown);
    assert_null(strstr(value_of(&unknown, "-append", 0), "tsc"));
    assert_non_null(strstr(value_of(&unknown, "-append", 0), " microvm_debug=1"));
}

/* A comma in one would end QEMU's option, and add another. */
static void no_path_is_in_the_command_line(void **state)
{
    const struct machine_spec spec = spec_of(MACHINE_ACCEL_TCG);
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    build(&spec, 0, &argv);
    for (size_t i = 0; i < argv.n; i++)
        if (strstr(argv.items[i], "a,b"))
            fail_msg("'%s' has a path", argv.items[i]);
    assert_string_equal(value_of(&argv, "-kernel", 0), "/proc/self/fd/3");
    assert_non_null(strstr(value_of(&argv, "-drive", 0), "read-only=on,file.locking=off"));
}

static unsigned count_of(const struct strv *argv, const char *word)
{
    unsigned n = 0;

    for (size_t i = 0; i < argv->n; i++)
        n += strcmp(argv->items[i], word) == 0;
    return n;
}

static void a_disk_of_several_extents_is_one_disk(void **state)
{
    static const struct machine_extent several[] = { { root_path, 4096 },
                                                     { data_path, 1ULL << 40 } };
    struct machine_spec spec = spec_of(MACHINE_ACCEL_TCG);
    mvm_autovalue(strbuf) list = STRBUF_INIT(QEMU_EXTENTS_TEXT_MAX);
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    spec.root = several;
    spec.n_root = 2;
    build(&spec, 0, &argv);
    assert_string_equal(value_of(&argv, "-add-fd", 0), "fd=16,set=16");
    assert_string_equal(value_of(&argv, "-add-fd", 1), "fd=17,set=17");
    assert_string_equal(value_of(&argv, "-add-fd", 2), "fd=5,set=5");
    assert_string_equal(value_of(&argv, "-drive", 0),
                        "if=none,id=root,file=/dev/fdset/5,format=vmdk,read-only=on,"
                        "file.locking=off,extents.0.locking=off,extents.1.locking=off");
    assert_int_equal(count_of(&argv, "-drive"), 1);
    assert_int_equal(qemu_build_extents(&spec, &list, NULL), 0);
    assert_non_null(strstr(strbuf_str(&list), "\nRW 8 FLAT \"/dev/fdset/16\" 0\n"
                                              "RW 2147483648 FLAT \"/dev/fdset/17\" 0\n"));
}

static void the_list_of_extents_has_room_for_all(void **state)
{
    struct machine_extent *all = calloc(MACHINE_EXTENTS_MAX, sizeof(*all));
    struct machine_spec spec = spec_of(MACHINE_ACCEL_TCG);
    mvm_autovalue(strbuf) list = STRBUF_INIT(QEMU_EXTENTS_TEXT_MAX);
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    assert_non_null(all);
    for (size_t i = 0; i < MACHINE_EXTENTS_MAX; i++)
        all[i] = (struct machine_extent){ data_path, INT64_MAX };
    spec.root = all;
    spec.n_root = MACHINE_EXTENTS_MAX;
    build(&spec, 0, &argv);
    assert_int_equal(qemu_build_extents(&spec, &list, NULL), 0);
    assert_non_null(strstr(strbuf_str(&list), "\"/dev/fdset/527\""));
    free(all);
}

/* QEMU's default is to stop a machine whose disk has no room left. */
static void a_full_host_is_the_guest_s_error(void **state)
{
    struct machine_spec spec = spec_of(MACHINE_ACCEL_TCG);
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    spec.upper_path = "/tmp/a,b=c d/upper.img";
    build(&spec, 0, &argv);
    assert_non_null(strstr(value_of(&argv, "-drive", 1), ",werror=report,"));
    assert_null(strstr(value_of(&argv, "-drive", 1), "read-only=on"));
    assert_null(strstr(value_of(&argv, "-drive", 1), "a,b"));
    assert_string_equal(value_of(&argv, "-device", 0), "virtio-blk-device,drive=root");
    assert_string_equal(value_of(&argv, "-device", 1), "virtio-blk-device,drive=upper");
}

static void the_only_way_out_is_the_vsock_device(void **state)
{
    const struct machine_spec spec = spec_of(MACHINE_ACCEL_TCG);
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    build(&spec, 0, &argv);
    assert_string_equal(value_of(&argv, "-chardev", 1), "socket,id=vsock,fd=8");
    assert_string_equal(value_of(&argv, "-device", 0), "virtio-blk-device,drive=root");
    assert_string_equal(value_of(&argv, "-device", 1), "vhost-user-vsock-device,chardev=vsock");
    for (size_t i = 0; i < argv.n; i++)
        if (strstr(argv.items[i], "serial-device") || strstr(argv.items[i], "virtio-net"))
            fail_msg("'%s' is a device that nobody asked for", argv.items[i]);
}

static void qemu_may_not_start_programs_or_reach_a_network(void **state)
{
    const struct machine_spec spec = spec_of(MACHINE_ACCEL_TCG);
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    build(&spec, 0, &argv);
    assert_string_equal(value_of(&argv, "-nic", 0), "none");
    assert_string_equal(value_of(&argv, "-monitor", 0), "none");
    assert_string_equal(value_of(&argv, "-sandbox", 0),
                        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
}

static void assert_checked(unsigned cpus, uint64_t memory_mib, const char *why)
{
    const struct machine_spec spec = { .name = "x", .cpus = cpus, .memory_mib = memory_mib };
    mvm_autoerror mvm_error *err = NULL;
    int r = machine_check(&spec, &err);

    if (r != (*why ? MVM_E_ARG : 0) || !strstr(mvm_error_message(err), why))
        fail_msg("%d '%s' instead of '%s'", r, mvm_error_message(err), why);
}

static void cpus_and_memory_have_limits(void **state)
{
    struct sysinfo info;
    uint64_t host_mib;

    (void) state;
    assert_int_equal(sysinfo(&info), 0);
    host_mib = (uint64_t) info.totalram * info.mem_unit >> 20;
    assert_checked(1, MACHINE_MEMORY_MIB_MIN, "");
    assert_checked(0, MACHINE_MEMORY_MIB_MIN, "0 CPUs: 1 to 255");
    assert_checked(MACHINE_CPUS_MAX, host_mib, "");
    assert_checked(MACHINE_CPUS_MAX + 1, host_mib, "256 CPUs: 1 to 255");
    assert_checked(1, 0, "0 MiB of memory: 64 is the least");
    assert_checked(1, MACHINE_MEMORY_MIB_MIN - 1, "63 MiB of memory: 64 is the least");
    assert_checked(1, host_mib + 1, "this host has");
    assert_checked(1, UINT64_MAX, "this host has");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_spec_decides_the_machine),
        cmocka_unit_test(the_guest_of_a_software_machine_is_told_its_clock),
        cmocka_unit_test(no_path_is_in_the_command_line),
        cmocka_unit_test(a_disk_of_several_extents_is_one_disk),
        cmocka_unit_test(the_list_of_extents_has_room_for_all),
        cmocka_unit_test(a_full_host_is_the_guest_s_error),
        cmocka_unit_test(the_only_way_out_is_the_vsock_device),
        cmocka_unit_test(qemu_may_not_start_programs_or_reach_a_network),
        cmocka_unit_test(cpus_and_memory_have_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
