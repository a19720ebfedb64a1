/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine needs of the host. */
#include "machine/checks.h"

#include "base/mem.h"
#include "base/scan.h"
#include "machine/accel.h"
#include "machine/kernel.h"
#include "machine/machine.h"

#include <fcntl.h>

/* virtio-mmio with ACPI, vhost-user devices and -netdev stream are all there from this release on.
 */
#define QEMU_MAJOR_MIN 7
#define QEMU_MINOR_MIN 2

/* What a run goes by as well. Without a cache folder nothing was remembered, and a check makes
 * none. */
static int probe_kvm(const char *cache_dir, struct accel_result *ret, mvm_error **err)
{
    mvm_autoclose int fd = open(cache_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? accel_probe(ret, err) : accel_probe_cached(fd, ret, err);
}

static void check_kvm(const struct preflight_host *host, struct preflight_result *ret)
{
    struct accel_result result;
    mvm_autoerror mvm_error *err = NULL;

    if (probe_kvm(host->cache_dir, &result, &err) < 0)
        preflight_miss(ret, "", "the probe did not run: %s", mvm_error_message(err));
    else if (result.kvm)
        preflight_pass(ret, "KVM executes guest code");
    else if (strstr(result.reason, "missing"))
        preflight_miss(ret, "modprobe kvm_intel || modprobe kvm_amd", "%s; VMs run in software",
                       result.reason);
    else if (strstr(result.reason, "may not be opened"))
        preflight_miss(ret, "usermod -aG kvm $USER", "%s; VMs run in software", result.reason);
    else
        preflight_miss(ret, "", "%s; VMs run in software", result.reason);
}

/* "7.2.22" is at least QEMU_MAJOR_MIN.QEMU_MINOR_MIN. */
static bool version_is_enough(const char *version)
{
    size_t n = strcspn(version, ".");
    uint64_t major = 0, minor = 0;

    if (!scan_u64(version, n, 1000, &major))
        return false;
    if (version[n] == '.')
        (void) scan_u64(version + n + 1, strcspn(version + n + 1, "."), 1000,
                        &minor); /* absent: 0 */
    return major > QEMU_MAJOR_MIN || (major == QEMU_MAJOR_MIN && minor >= QEMU_MINOR_MIN);
}

static void check_qemu(const struct preflight_host *host, struct preflight_result *ret)
{
    static const char remedy[] = "apt-get install qemu-system-x86";
    mvm_autoerror mvm_error *err = NULL;
    mvm_autofree char *path = NULL;
    mvm_autofree char *version = NULL;

    (void) host;
    if (qemu_find(&path, &err) < 0 || qemu_version(path, &version, &err) < 0)
        preflight_miss(ret, remedy, "%s", mvm_error_message(err));
    else if (!version_is_enough(version))
        preflight_miss(ret, remedy, "%s is version %s; %d.%d is the oldest that does", path,
                       version, QEMU_MAJOR_MIN, QEMU_MINOR_MIN);
    else
        preflight_pass(ret, "%s, version %s", path, version);
}

static void check_kernel(const struct preflight_host *host, struct preflight_result *ret)
{
    mvm_autoerror mvm_error *err = NULL;
    mvm_auto(kernel) kernel = NULL;

    if (kernel_find(NULL, host->lib_dir, host->cache_dir, &kernel, &err) < 0)
        preflight_miss(ret, "microvm kernel fetch", "%s", mvm_error_message(err));
    else
        preflight_pass(ret, "%s (%s)", kernel->vmlinux_path, kernel->source);
}

const struct preflight_check machine_checks[MACHINE_CHECKS] = {
    { "kvm", "hardware virtualisation", false, check_kvm },
    { "qemu", "the machine emulator", true, check_qemu },
    { "kernel", "a kernel for the guest", true, check_kernel },
};
