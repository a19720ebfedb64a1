/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/qemu/command.h"

/* The unit of a VMDK's sizes. */
#define SECTOR_SIZE 512
/* Bytes of one option an extent, ",extents.511.locking=off". */
#define EXTENT_OPTIONS_MAX (32 * MACHINE_EXTENTS_MAX)

/* Appends one word, or remembers that memory ran out. */
#define WORD(v, failed, ...) ((failed) |= strv_addf((v), __VA_ARGS__) < 0)

/*
 * The board. pit, pic and rtc stay: without the three the software machine hangs before its first
 * line. Devices are found through ACPI, so that QEMU need not add them to the kernel's command
 * line; no option ROM is of use to a guest that is loaded directly. Guest memory is a shared memfd,
 * which devices in other processes map.
 */
static bool add_board(const struct machine_spec *spec, struct strv *v)
{
    bool kvm = spec->accel == MACHINE_ACCEL_KVM, failed = false;

    WORD(v, failed, "-M");
    WORD(v, failed, "microvm,memory-backend=mem,auto-kernel-cmdline=off,x-option-roms=off");
    WORD(v, failed, "-object");
    WORD(v, failed, "memory-backend-memfd,id=mem,size=%lluM,share=on",
         (unsigned long long) spec->memory_mib);
    WORD(v, failed, "-m");
    WORD(v, failed, "%llu", (unsigned long long) spec->memory_mib);
    WORD(v, failed, "-smp");
    WORD(v, failed, "%u", spec->cpus);
    WORD(v, failed, "-accel");
    WORD(v, failed, kvm ? "kvm" : "tcg");
    WORD(v, failed, "-cpu");
    WORD(v, failed, kvm ? "host" : "max");
    WORD(v, failed, "-global");
    WORD(v, failed, "virtio-mmio.force-legacy=false");
    return !failed;
}

/* What QEMU would add or do by itself, and the filter on its system calls. */
static bool add_limits(const struct machine_spec *spec, struct strv *v)
{
    static const char *const words[] = {
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-nic",
        "none",
        "-monitor",
        "none",
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
    };
    bool failed = false;

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        WORD(v, failed, "%s", words[i]);
    WORD(v, failed, "-name");
    WORD(v, failed, "%s",
         spec->name); /* letters, digits, '_', '.', '-': nothing that the parser knows */
    return !failed;
}

#define KERNEL_WORDS                                                           \
    "console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests 8250.nr_uarts=1 " \
    "random.trust_cpu=on noreplace-smp"

/*
 * The kernel's command line. panic=-1 and reboot=t end QEMU at once in both cases. tsc_early_khz:
 * where the host is busy, the software machine's guest fails to measure its TSC against the PIT; it
 * then goes without, and hangs in its timer set-up about once in ten starts (measured with
 * Debian's 6.1). tsc=reliable spares it the watchdog of that counter. The rest is time: no
 * self-tests of ciphers (in software 0.3 of 1.4 s), no search for serial ports that the board has
 * not, no wait for random numbers, and with one CPU no rewriting of the kernel's lock prefixes,
 * which costs the software machine more (0.1 s) than it can gain.
 *
 * Not "nolapic_timer", although Linux measures the local APIC's timer for 0.1 s and verifies the
 * result for as long: the PIT alone, in its place, loses the timer of an idle guest, which then
 * sleeps for ever.
 */
static bool add_kernel(const struct machine_spec *spec, const struct qemu_host *host,
                       struct strv *v)
{
    mvm_autofree char *tsc = NULL;
    bool failed = false;

    if (host->tsc_khz && asprintf(&tsc, " tsc_early_khz=%u tsc=reliable", host->tsc_khz) < 0) {
        tsc = NULL;
        return false;
    }
    WORD(v, failed, "-kernel");
    WORD(v, failed, "/proc/self/fd/%d", QEMU_FD_KERNEL);
    WORD(v, failed, "-initrd");
    WORD(v, failed, "/proc/self/fd/%d", QEMU_FD_INITRD);
    WORD(v, failed, "-append");
    WORD(v, failed, KERNEL_WORDS "%s%s%s", tsc ? tsc : "", spec->cmdline_extra ? " " : "",
         spec->cmdline_extra ? spec->cmdline_extra : "");
    return !failed;
}

int qemu_build_extents(const struct machine_spec *spec, struct strbuf *ret, mvm_error **err)
{
    strbuf_adds(ret, "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
                     "createType=\"twoGbMaxExtentFlat\"\n");
    /* "RW" is the format's word for an extent with content; that the disk is read-only is said by
     * the drive. */
    for (size_t i = 0; i < spec->n_root; i++)
        strbuf_addf(ret, "RW %llu FLAT \"/dev/fdset/%zu\" 0\n",
                    (unsigned long long) spec->root[i].size / SECTOR_SIZE, QEMU_FD_EXTENTS + i);
    return strbuf_check(ret, "root disk", err);
}

/* Sets of descriptors have the number of the first of them. What others read at the same time needs
 * no lock of QEMU's. */
static bool add_root(const struct machine_spec *spec, struct strv *v)
{
    size_t several = spec->n_root > 1 ? spec->n_root : 0;
    mvm_autovalue(strbuf) locking = STRBUF_INIT(EXTENT_OPTIONS_MAX);
    bool failed = false;

    for (size_t i = 0; i < several; i++) {
        WORD(v, failed, "-add-fd");
        WORD(v, failed, "fd=%zu,set=%zu", QEMU_FD_EXTENTS + i, QEMU_FD_EXTENTS + i);
        strbuf_addf(&locking, ",extents.%zu.locking=off", i);
    }
    WORD(v, failed, "-add-fd");
    WORD(v, failed, "fd=%d,set=%d", QEMU_FD_ROOT, QEMU_FD_ROOT);
    WORD(v, failed, "-drive");
    WORD(v, failed, "if=none,id=root,file=/dev/fdset/%d,format=%s,read-only=on,file.locking=off%s",
         QEMU_FD_ROOT, several ? "vmdk" : "raw", strbuf_str(&locking));
    WORD(v, failed, "-device");
    WORD(v, failed, "virtio-blk-device,drive=root");
    return !failed && !locking.failed;
}

/*
 * The disk ends with the VM: nothing of it need reach the host's disk (no-flush). What the guest
 * discards is given back to the host's file system. A host that is full gives the guest an I/O
 * error; QEMU's own default is to stop the machine, which nobody would start again.
 */
static bool add_upper(struct strv *v)
{
    bool failed = false;

    WORD(v, failed, "-add-fd");
    WORD(v, failed, "fd=%d,set=%d", QEMU_FD_UPPER, QEMU_FD_UPPER);
    WORD(v, failed, "-drive");
    WORD(
        v, failed,
        "if=none,id=upper,file=/dev/fdset/%d,format=raw,auto-read-only=off,file.locking=off,cache.no-flush=on,"
        "discard=unmap,werror=report,rerror=report",
        QEMU_FD_UPPER);
    WORD(v, failed, "-device");
    WORD(v, failed, "virtio-blk-device,drive=upper");
    return !failed;
}

static bool add_sockets(struct strv *v)
{
    bool failed = false;

    WORD(v, failed, "-chardev");
    WORD(v, failed, "socket,id=console,fd=%d", QEMU_FD_CONSOLE);
    WORD(v, failed, "-serial");
    WORD(v, failed, "chardev:console");
    WORD(v, failed, "-chardev");
    WORD(v, failed, "socket,id=vsock,fd=%d", QEMU_FD_VSOCK);
    WORD(v, failed, "-device");
    WORD(v, failed, "vhost-user-vsock-device,chardev=vsock");
    return !failed;
}

int qemu_build_command(const struct machine_spec *spec, const struct qemu_host *host,
                       struct strv *ret, mvm_error **err)
{
    if (strv_add(ret, "qemu-system-x86_64") < 0 || !add_board(spec, ret) ||
        !add_limits(spec, ret) || !add_kernel(spec, host, ret) || !add_root(spec, ret) ||
        (spec->upper_path && !add_upper(ret)) || !add_sockets(ret))
        return mvm_fail_nomem(err);
    return 0;
}
