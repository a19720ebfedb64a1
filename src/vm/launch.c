/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/handle.h"

#include "base/io.h"
#include "base/path.h"
#include "runner/control.h"
#include "vm/dirs.h"
#include "vm/guest-files.h"

#include <fcntl.h>
#include <sys/socket.h>

/* Milliseconds for a runner to read its config and to fork. */
#define LAUNCH_LEAVE_MS 10000

struct runner_files {
    int config_fd, control_fd, log_fd, guest_fd; /* owned */
    int image_lock_fd;                           /* borrowed */
};

static void runner_files_deinit(struct runner_files *f)
{
    int *const all[] = { &f->config_fd, &f->control_fd, &f->log_fd, &f->guest_fd };

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (*all[i] >= 0)
            (void) close(steal_fd(all[i]));
}
MVM_DEFINE_AUTOVALUE(runner_files, runner_files_deinit)

/* What the runner is born with. @fds[0] is /dev/null for the streams that the caller has none for.
 */
static int spawn_runner(mvm_vm *vm, const struct runner_files *files, const int *stdio,
                        mvm_error **err)
{
    mvm_autoclose int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    mvm_autofree char *path = NULL;
    char *const argv[] = { (char *) "microvm-runner", vm->dir.name, NULL };
    int r;

    if (null_fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '/dev/null'");
    r = dirs_find_runner(&path, err);
    if (r < 0)
        return r;
    const struct child_fd fds[] = {
        { files->log_fd, STDOUT_FILENO },
        { files->log_fd, STDERR_FILENO },
        { files->config_fd, RUNNER_FD_CONFIG },
        { files->control_fd, RUNNER_FD_CONTROL },
        { vm->dir.lock_fd, RUNNER_FD_LOCK },
        { stdio[0] < 0 ? null_fd : stdio[0], RUNNER_FD_STDIN },
        { stdio[1] < 0 ? null_fd : stdio[1], RUNNER_FD_STDOUT },
        { stdio[2] < 0 ? null_fd : stdio[2], RUNNER_FD_STDERR },
        { files->guest_fd < 0 ? null_fd : files->guest_fd, RUNNER_FD_GUEST_FILES },
        { files->image_lock_fd < 0 ? null_fd : files->image_lock_fd, RUNNER_FD_IMAGE_LOCK },
    };
    const struct child_spec spec = {
        .path = path, .argv = argv, .fds = fds, .n_fds = ARRAY_SIZE(fds), .new_session = true
    };
    return child_spawn(&spec, &vm->runner, err);
}

static int make_files(const mvm_vm *vm, const struct runner_config *config,
                      const mvm_options *options, struct runner_files *f, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    int r;

    r = runner_config_encode(config, &text, err);
    if (r == 0)
        r = io_memfd("microvm-config", text, strlen(text), true, &f->config_fd, err);
    if (r == 0)
        r = guest_files_build(options, &f->guest_fd, err);
    if (r == 0)
        r = path_open_beneath(vm->dir.fd, "vm.log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600,
                              &f->log_fd, err);
    return r;
}

int vm_launch(mvm_vm *vm, const struct runner_config *config, const mvm_options *options,
              int image_lock_fd, mvm_error **err)
{
    static const int nothing[] = { -1, -1, -1 };
    mvm_autovalue(runner_files) files = { -EBADF, -EBADF, -EBADF, -EBADF, image_lock_fd };
    mvm_autoclose int ours = -EBADF;
    struct child_status status;
    int pair[2], r;

    r = make_files(vm, config, options, &files, err);
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a socket pair");
    ours = pair[0];
    files.control_fd = pair[1];
    r = spawn_runner(vm, &files, options->detached ? nothing : options->stdio, err);
    if (r < 0)
        return mvm_context(err, r, "start the runner");
    vm->control_fd = steal_fd(&ours);
    /* A detached VM's runner has left this process behind as soon as it can. */
    if (options->detached)
        (void) child_wait(&vm->runner, LAUNCH_LEAVE_MS, &status,
                          NULL); /* else it is killed later */
    /* From here on the lock is the runner's: it ends with its processes, and not with us. */
    (void) close(steal_fd(&vm->dir.lock_fd));
    return 0;
}
