/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/start.h"

#include "agent/boot-config.h"
#include "base/path.h"
#include "machine/accel.h"
#include "machine/initramfs.h"
#include "runner/control.h"

#include <sys/socket.h>
#include <sys/stat.h>

void started_deinit(struct started *s)
{
    child_deinit(&s->machine);
    vsock_device_deinit(&s->vsock);
    if (s->console_fd >= 0)
        (void) close(steal_fd(&s->console_fd));
}

/* KVM or software, and for people the reason of the second. */
static int choose_accel(const struct runner_config *config, const struct log *log,
                        struct strbuf *notice, enum machine_accel *ret, mvm_error **err)
{
    struct accel_result result = { .kvm = false };
    mvm_autoclose int dir_fd = -EBADF;
    int r;

    *ret = config->accel;
    if (config->accel == MACHINE_ACCEL_TCG)
        return 0;
    r = path_make_dirs(config->cache_dir, 0700, &dir_fd, err);
    if (r == 0)
        r = accel_probe_cached(dir_fd, &result, err);
    if (r < 0)
        return mvm_context(err, r, "probe KVM");
    if (!result.kvm && config->accel == MACHINE_ACCEL_KVM)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "KVM was asked for: %s", result.reason);
    *ret = result.kvm ? MACHINE_ACCEL_KVM : MACHINE_ACCEL_TCG;
    if (!result.kvm)
        strbuf_addf(notice, "software emulation, since %s", result.reason);
    log_info(log, "runner", "accelerator: %s%s%s", result.kvm ? "kvm" : "tcg",
             result.kvm ? "" : ": ", result.reason);
    return 0;
}

/* The second disk of the machine, as the guest's kernel names it. */
#define UPPER_DEVICE "/dev/vdb"

/* The initramfs with the two config files of this VM. */
static int build_initramfs(const struct runner_config *config, int *ret_fd, mvm_error **err)
{
    const struct boot_config boot = { .hostname = config->name,
                                      .user = config->user,
                                      .upper_device = config->upper_path ? (char *) UPPER_DEVICE
                                                                         : NULL,
                                      .read_only = config->read_only,
                                      .tty = config->tty,
                                      .stdin_open = config->stdin_open,
                                      .rows = (uint16_t) config->rows,
                                      .cols = (uint16_t) config->cols };
    mvm_autovalue(strbuf) boot_text = STRBUF_INIT(BOOT_CONFIG_MAX);
    mvm_autovalue(strbuf) program_text = STRBUF_INIT(KRUN_CONFIG_MAX);
    int r;

    r = boot_config_encode(&boot, &boot_text, err);
    if (r == 0)
        r = krun_config_encode(&config->program, &program_text, err);
    if (r == 0)
        r = strbuf_check(&program_text, "command and environment", err);
    if (r == 0)
        r = strbuf_check(&boot_text, "boot config", err);
    if (r < 0)
        return r;
    const struct initramfs_file files[] = {
        { .path = BOOT_CONFIG_PATH,
          .mode = S_IFREG | 0600,
          .data = boot_text.data,
          .len = boot_text.len },
        { .path = KRUN_CONFIG_PATH,
          .mode = S_IFREG | 0600,
          .data = program_text.data,
          .len = program_text.len },
    };
    const struct initramfs_parts parts = { .init_path = config->init_path,
                                           .modules_path = config->modules_path,
                                           .files = files,
                                           .n_files = ARRAY_SIZE(files),
                                           .archive_fd = RUNNER_FD_GUEST_FILES };

    return initramfs_build(&parts, ret_fd, err);
}

struct start_files {
    struct tsc_sample since;
    int initrd_fd;
    int console_fd; /* the machine's end */
};

static void start_files_deinit(struct start_files *f)
{
    if (f->initrd_fd >= 0)
        (void) close(steal_fd(&f->initrd_fd));
    if (f->console_fd >= 0)
        (void) close(steal_fd(&f->console_fd));
}
MVM_DEFINE_AUTOVALUE(start_files, start_files_deinit)

static int launch(const struct runner_config *config, enum machine_accel accel,
                  const struct start_files *files, int vsock_fd, struct child *ret, mvm_error **err)
{
    const struct machine_extent whole = { .path = config->root_path };
    bool several = config->root_extents.n > 0;
    const struct machine_spec spec = {
        .name = config->name,
        .cpus = config->num_vcpus,
        .memory_mib = config->ram_mib,
        .accel = accel,
        .tsc_since = files->since,
        .kernel_path = config->kernel_path,
        .initrd_fd = files->initrd_fd,
        .cmdline_extra = config->log_level == LOG_LEVEL_DEBUG
                             ? "microvm_debug=1 loglevel=8 printk.devkmsg=on"
                             : NULL,
        .root = several ? config->root_extents.items : &whole,
        .n_root = several ? config->root_extents.n : 1,
        .upper_path = config->upper_path,
        .console_fd = files->console_fd,
        .log_fd = STDERR_FILENO,
        .lock_fd = RUNNER_FD_LOCK,
        .image_lock_fd = RUNNER_FD_IMAGE_LOCK,
        .vsock_fd = vsock_fd,
    };
    int r = machine_check(&spec, err);

    return r < 0 ? r : qemu_start(&spec, ret, err);
}

static int make_console(struct started *s, struct start_files *files, mvm_error **err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a socket pair");
    s->console_fd = pair[0];
    files->console_fd = pair[1];
    return 0;
}

int start_machine(const struct runner_config *config, int dir_fd, const struct log *log,
                  struct strbuf *notice, struct started *ret, mvm_error **err)
{
    mvm_autovalue(started) s = STARTED_NONE;
    mvm_autovalue(start_files)
        files = { .since = tsc_sample_take(), .initrd_fd = -EBADF, .console_fd = -EBADF };
    enum machine_accel accel = MACHINE_ACCEL_TCG;
    int r;

    r = choose_accel(config, log, notice, &accel, err);
    if (r == 0)
        r = build_initramfs(config, &files.initrd_fd, err);
    if (r == 0)
        r = make_console(&s, &files, err);
    if (r < 0)
        return r;
    r = vsock_device_start(config, dir_fd, &s.vsock, err);
    if (r < 0)
        return mvm_context(err, r, "start the vsock device");
    r = launch(config, accel, &files, s.vsock.machine_fd, &s.machine, err);
    if (r < 0)
        return mvm_context(err, r, "start the machine");
    (void) close(
        steal_fd(&s.vsock.machine_fd)); /* so that the device's end tells of the machine's */
    *ret = s;
    s = (struct started) STARTED_NONE;
    return 0;
}
