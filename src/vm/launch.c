/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/handle.h"

#include "base/io.h"
#include "base/path.h"
#include "runner/control.h"
#include "vm/dirs.h"

#include <fcntl.h>
#include <sys/socket.h>

/* What the runner is born with. @fds[0] is /dev/null for the streams that the caller has none for.
 */
static int spawn_runner(mvm_vm *vm, int config_fd, int control_fd, int log_fd, const int *stdio,
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
        { log_fd, STDOUT_FILENO },
        { log_fd, STDERR_FILENO },
        { config_fd, RUNNER_FD_CONFIG },
        { control_fd, RUNNER_FD_CONTROL },
        { vm->dir.lock_fd, RUNNER_FD_LOCK },
        { stdio[0] < 0 ? null_fd : stdio[0], RUNNER_FD_STDIN },
        { stdio[1] < 0 ? null_fd : stdio[1], RUNNER_FD_STDOUT },
        { stdio[2] < 0 ? null_fd : stdio[2], RUNNER_FD_STDERR },
    };
    const struct child_spec spec = {
        .path = path, .argv = argv, .fds = fds, .n_fds = ARRAY_SIZE(fds), .new_session = true
    };
    return child_spawn(&spec, &vm->runner, err);
}

int vm_launch(mvm_vm *vm, const struct runner_config *config, const int *stdio, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    mvm_autoclose int config_fd = -EBADF;
    mvm_autoclose int ours = -EBADF;
    mvm_autoclose int theirs = -EBADF;
    mvm_autoclose int log_fd = -EBADF;
    int pair[2], r;

    r = runner_config_encode(config, &text, err);
    if (r == 0)
        r = io_memfd("microvm-config", text, strlen(text), true, &config_fd, err);
    if (r == 0)
        r = path_open_beneath(vm->dir.fd, "vm.log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600,
                              &log_fd, err);
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a socket pair");
    ours = pair[0];
    theirs = pair[1];
    r = spawn_runner(vm, config_fd, theirs, log_fd, stdio, err);
    if (r < 0)
        return mvm_context(err, r, "start the runner");
    vm->control_fd = steal_fd(&ours);
    /* From here on the lock is the runner's: it ends with its processes, and not with us. */
    (void) close(steal_fd(&vm->dir.lock_fd));
    return 0;
}
