/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/machine.h"

#include "base/path.h"
#include "base/scan.h"
#include "machine/qemu/command.h"
#include "machine/qemu/files.h"
#include "machine/qemu/jail.h"
#include "machine/tsc.h"

#include <signal.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

/* Milliseconds for `qemu-system-... --version`. */
#define QEMU_VERSION_MS 10000

int machine_check(const struct machine_spec *spec, mvm_error **err)
{
    struct sysinfo info;
    uint64_t host_mib;

    if (spec->cpus == 0 || spec->cpus > MACHINE_CPUS_MAX)
        return mvm_fail(err, MVM_E_ARG, 0, "%u CPUs: 1 to %d are possible", spec->cpus,
                        MACHINE_CPUS_MAX);
    if (spec->memory_mib < MACHINE_MEMORY_MIB_MIN)
        return mvm_fail(err, MVM_E_ARG, 0, "%llu MiB of memory: %d is the least",
                        (unsigned long long) spec->memory_mib, MACHINE_MEMORY_MIB_MIN);
    if (sysinfo(&info) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "ask for the host's memory");
    host_mib = (uint64_t) info.totalram * info.mem_unit >> 20;
    if (spec->memory_mib > host_mib)
        return mvm_fail(err, MVM_E_ARG, 0, "%llu MiB of memory: this host has %llu",
                        (unsigned long long) spec->memory_mib, (unsigned long long) host_mib);
    return 0;
}

int qemu_find(char **ret_path, mvm_error **err)
{
    const char *given = getenv("MICROVM_QEMU");
    struct utsname host;
    mvm_autofree char *name = NULL;
    mvm_autofree char *path = NULL;

    if (given && *given) {
        if (!path_is_program(given))
            return mvm_fail(err, MVM_E_NOT_FOUND, 0, "'%s' (from $MICROVM_QEMU) is not a program",
                            given);
        path = strdup(given);
        if (!path)
            return mvm_fail_nomem(err);
        *ret_path = steal_ptr(&path);
        return 0;
    }
    if (uname(&host) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "ask for the host's architecture");
    if (asprintf(&name, "qemu-system-%s", host.machine) < 0)
        return mvm_fail_nomem(err);
    path = path_find_program(name);
    if (!path)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0,
                        "%s is not installed (apt-get install qemu-system-%s)", name,
                        strcmp(host.machine, "x86_64") == 0 ? "x86" : "arm");
    *ret_path = steal_ptr(&path);
    return 0;
}

int qemu_version(const char *path, char **ret_version, mvm_error **err)
{
    static const char before[] = "version ";
    char *const argv[] = { (char *) path, (char *) "--version", NULL };
    const struct child_spec spec = { .path = path, .argv = argv };
    mvm_autofree char *text = NULL;
    const char *at;
    char *version;
    size_t len;
    int r;

    r = child_run(&spec, QEMU_VERSION_MS, 65536, &text, err);
    if (r < 0)
        return r;
    at = strstr(text, before);
    len = at ? strspn(at + sizeof(before) - 1, "0123456789.") : 0;
    if (len == 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' does not tell its version", path);
    version = strndup(at + sizeof(before) - 1, len);
    if (!version)
        return mvm_fail_nomem(err);
    *ret_version = version;
    return 0;
}

/* Deals out the descriptors; @fds has room for all. */
static size_t list_fds(const struct machine_spec *spec, const struct qemu_files *files,
                       struct child_fd *fds)
{
    const struct child_fd some[] = {
        { spec->log_fd, STDOUT_FILENO },
        { spec->log_fd, STDERR_FILENO },
        { files->kernel_fd, QEMU_FD_KERNEL },
        { spec->initrd_fd, QEMU_FD_INITRD },
        { files->root_fd, QEMU_FD_ROOT },
        { spec->console_fd, QEMU_FD_CONSOLE },
        { spec->lock_fd, QEMU_FD_LOCK },
        { spec->vsock_fd, QEMU_FD_VSOCK },
        { spec->image_lock_fd, QEMU_FD_IMAGE_LOCK },
        { files->upper_fd, QEMU_FD_UPPER },
    };
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(some); i++)
        if (some[i].from >= 0)
            fds[n++] = some[i];
    for (size_t i = 0; i < files->n_extents; i++)
        fds[n++] = (struct child_fd){ files->extents[i], QEMU_FD_EXTENTS + (int) i };
    return n;
}

int qemu_start(const struct machine_spec *spec, struct child *ret, mvm_error **err)
{
    mvm_autofree char *path = NULL;
    mvm_autovalue(qemu_files) files = QEMU_FILES_NONE;
    mvm_autoclose int ruleset_fd = -EBADF;
    mvm_autovalue(strv) argv = { .items = NULL };
    mvm_autofree struct child_fd *fds = mem_array(QEMU_FD_END, sizeof(*fds));
    struct child_spec child = {
        .fds = fds, .death_signal = SIGKILL, .prepare = jail_enter, .prepare_user = &ruleset_fd
    };
    const struct qemu_host host = { .tsc_khz = spec->accel == MACHINE_ACCEL_TCG
                                                   ? tsc_khz(&spec->tsc_since)
                                                   : 0 };
    int r;

    if (!fds)
        return mvm_fail_nomem(err);
    r = qemu_find(&path, err);
    if (r == 0)
        r = qemu_files_open(spec, &files, err);
    if (r == 0)
        r = jail_make(files.kernel_fd, QEMU_FD_EXTENTS + (int) files.n_extents, &ruleset_fd, err);
    if (r == 0)
        r = qemu_build_command(spec, &host, &argv, err);
    if (r < 0)
        return r;
    child.path = path;
    child.argv = argv.items;
    child.n_fds = list_fds(spec, &files, fds);
    return child_spawn(&child, ret, err);
}
