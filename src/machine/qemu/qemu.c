/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/machine.h"

#include "base/path.h"
#include "base/scan.h"
#include "machine/qemu/command.h"
#include "machine/qemu/jail.h"
#include "machine/tsc.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
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

static int open_file(const char *path, const char *what, int *ret_fd, mvm_error **err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno,
                        "open the %s '%s'", what, path);
    *ret_fd = fd;
    return 0;
}

/* Deals out the descriptors; @fds has room for all. */
static size_t list_fds(const struct machine_spec *spec, int kernel_fd, int root_fd,
                       struct child_fd *fds)
{
    size_t n = 0;

    fds[n++] = (struct child_fd){ spec->log_fd, STDOUT_FILENO };
    fds[n++] = (struct child_fd){ spec->log_fd, STDERR_FILENO };
    fds[n++] = (struct child_fd){ kernel_fd, QEMU_FD_KERNEL };
    fds[n++] = (struct child_fd){ spec->initrd_fd, QEMU_FD_INITRD };
    fds[n++] = (struct child_fd){ root_fd, QEMU_FD_ROOT };
    fds[n++] = (struct child_fd){ spec->console_fd, QEMU_FD_CONSOLE };
    if (spec->lock_fd >= 0)
        fds[n++] = (struct child_fd){ spec->lock_fd, QEMU_FD_LOCK };
    fds[n++] = (struct child_fd){ spec->vsock_fd, QEMU_FD_VSOCK };
    return n;
}

int qemu_start(const struct machine_spec *spec, struct child *ret, mvm_error **err)
{
    mvm_autofree char *path = NULL;
    mvm_autoclose int kernel_fd = -EBADF;
    mvm_autoclose int root_fd = -EBADF;
    mvm_autoclose int ruleset_fd = -EBADF;
    mvm_autovalue(strv) argv = { .items = NULL };
    struct child_fd fds[8];
    struct child_spec child = {
        .fds = fds, .death_signal = SIGKILL, .prepare = jail_enter, .prepare_user = &ruleset_fd
    };
    const struct qemu_host host = { .tsc_khz = spec->accel == MACHINE_ACCEL_TCG ? tsc_khz() : 0 };
    int r;

    r = qemu_find(&path, err);
    if (r == 0)
        r = open_file(spec->kernel_path, "kernel", &kernel_fd, err);
    if (r == 0)
        r = open_file(spec->root_path, "root disk", &root_fd, err);
    if (r == 0)
        r = jail_make(kernel_fd, &ruleset_fd, err);
    if (r == 0)
        r = qemu_build_command(spec, &host, &argv, err);
    if (r < 0)
        return r;
    child.path = path;
    child.argv = argv.items;
    child.n_fds = list_fds(spec, kernel_fd, root_fd, fds);
    return child_spawn(&child, ret, err);
}
