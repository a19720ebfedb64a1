/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/qemu/command.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct machine_serial_port ports[] = { { "microvm.control", 40 },
                                                    { "microvm.stdin", 41 } };

static struct machine_spec spec_of_two_ports(void)
{
    return (struct machine_spec){
        .name = "web-1",
        .cpus = 2,
        .memory_mib = 512,
        .accel = MACHINE_ACCEL_KVM,
        .kernel_path = "/secret/place/vmlinux",
        .initrd_fd = 30,
        .root_path = "/secret/place/root.erofs,readonly=off",
        .console_fd = 31,
        .log_fd = 32,
        .lock_fd = 33,
        .ports = ports,
        .n_ports = ARRAY_SIZE(ports),
    };
}

/* What follows @option the @nth time; NULL when it does not come that often. */
static const char *value_of(const struct strv *v, const char *option, size_t nth)
{
    for (size_t i = 0; i + 1 < v->n; i++)
        if (strcmp(v->items[i], option) == 0 && nth-- == 0)
            return v->items[i + 1];
    return NULL;
}

static void assert_value(const struct strv *v, const char *option, size_t nth, const char *wanted)
{
    const char *found = value_of(v, option, nth);

    if (!found || strcmp(found, wanted) != 0)
        fail_msg("%s, number %zu: '%s', not '%s'", option, nth, found ? found : "(none)", wanted);
}

static void build(const struct machine_spec *spec, uint32_t tsc_khz, struct strv *argv)
{
    const struct qemu_host host = { .tsc_khz = tsc_khz };

    assert_int_equal(qemu_build_command(spec, &host, argv, NULL), 0);
    assert_string_equal(argv->items[0], "qemu-system-x86_64");
    assert_null(argv->items[argv->n]);
}

static void command_has_what_the_spec_says(void **state)
{
    const struct machine_spec spec = spec_of_two_ports();
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    build(&spec, 0, &argv);
    assert_value(&argv, "-m", 0, "512");
    assert_value(&argv, "-object", 0, "memory-backend-memfd,id=mem,size=512M,share=on");
    assert_value(&argv, "-smp", 0, "2");
    assert_value(&argv, "-name", 0, "web-1");
    assert_value(&argv, "-nic", 0, "none");
    assert_value(&argv, "-sandbox", 0,
                 "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
}

static void command_for_kvm_takes_the_hosts_cpu(void **state)
{
    const struct machine_spec spec = spec_of_two_ports();
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    build(&spec, 0, &argv);
    assert_value(&argv, "-accel", 0, "kvm");
    assert_value(&argv, "-cpu", 0, "host");
}

static void command_for_tcg_takes_every_emulated_feature(void **state)
{
    struct machine_spec spec = spec_of_two_ports();
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    spec.accel = MACHINE_ACCEL_TCG;
    build(&spec, 0, &argv);
    assert_value(&argv, "-accel", 0, "tcg");
    assert_value(&argv, "-cpu", 0, "max");
}

static void command_names_descriptors_by_their_numbers_in_qemu(void **state)
{
    const struct machine_spec spec = spec_of_two_ports();
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    build(&spec, 0, &argv);
    assert_value(&argv, "-kernel", 0, "/proc/self/fd/3");
    assert_value(&argv, "-initrd", 0, "/proc/self/fd/4");
    assert_value(&argv, "-add-fd", 0, "fd=5,set=1");
    assert_value(&argv, "-chardev", 0, "socket,id=console,fd=6");
    assert_value(&argv, "-chardev", 1, "socket,id=port0,fd=8");
    assert_value(&argv, "-chardev", 2, "socket,id=port1,fd=9");
    assert_null(value_of(&argv, "-chardev", 3));
    assert_value(&argv, "-device", 2, "virtserialport,chardev=port0,name=microvm.control");
    assert_value(&argv, "-device", 3, "virtserialport,chardev=port1,name=microvm.stdin");
}

static void command_opens_the_root_disk_for_reading_only(void **state)
{
    const struct machine_spec spec = spec_of_two_ports();
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    build(&spec, 0, &argv);
    assert_value(&argv, "-drive", 0,
                 "if=none,id=root,file=/dev/fdset/1,format=raw,read-only=on,file.locking=off");
}

static void command_takes_the_most_ports(void **state)
{
    struct machine_serial_port many[MACHINE_SERIAL_PORTS_MAX];
    struct machine_spec spec = spec_of_two_ports();
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = ports[0];
    spec.ports = many;
    spec.n_ports = ARRAY_SIZE(many);
    build(&spec, 0, &argv);
    assert_value(&argv, "-chardev", MACHINE_SERIAL_PORTS_MAX, "socket,id=port15,fd=23");
}

static void command_tells_the_clocks_rate_only_when_it_is_known(void **state)
{
    const struct machine_spec spec = spec_of_two_ports();
    mvm_autovalue(strv) without = { .n = 0 };
    mvm_autovalue(strv) with = { .n = 0 };

    (void) state;
    build(&spec, 0, &without);
    assert_value(&without, "-append", 0, "console=ttyS0 quiet panic=-1 reboot=t");
    build(&spec, 2400001, &with);
    assert_value(&with, "-append", 0,
                 "console=ttyS0 quiet panic=-1 reboot=t tsc_early_khz=2400001");
}

static void command_appends_the_extra_words_in_one_argument(void **state)
{
    struct machine_spec spec = spec_of_two_ports();
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    spec.cmdline_extra = "debug -monitor stdio";
    build(&spec, 7, &argv);
    assert_value(&argv, "-append", 0,
                 "console=ttyS0 quiet panic=-1 reboot=t tsc_early_khz=7 debug -monitor stdio");
    assert_null(value_of(&argv, "-monitor", 1));
}

static void command_holds_no_path_of_the_callers(void **state)
{
    const struct machine_spec spec = spec_of_two_ports();
    mvm_autovalue(strv) argv = { .n = 0 };

    (void) state;
    build(&spec, 1, &argv);
    for (size_t i = 0; i < argv.n; i++)
        if (strstr(argv.items[i], "secret") || strstr(argv.items[i], "erofs"))
            fail_msg("argument %zu: '%s'", i, argv.items[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_has_what_the_spec_says),
        cmocka_unit_test(command_for_kvm_takes_the_hosts_cpu),
        cmocka_unit_test(command_for_tcg_takes_every_emulated_feature),
        cmocka_unit_test(command_names_descriptors_by_their_numbers_in_qemu),
        cmocka_unit_test(command_opens_the_root_disk_for_reading_only),
        cmocka_unit_test(command_takes_the_most_ports),
        cmocka_unit_test(command_tells_the_clocks_rate_only_when_it_is_known),
        cmocka_unit_test(command_appends_the_extra_words_in_one_argument),
        cmocka_unit_test(command_holds_no_path_of_the_callers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
