/* SPDX-License-Identifier: Apache-2.0 */
/*
 * microvm-runner: one process a VM. It is started by the library with its descriptors at fixed
 * numbers (runner/control.h), supervises the machine, and tells how it ended over the control
 * socket.
 */
#include "base/io.h"
#include "base/path.h"
#include "runner/supervise.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* Exit statuses of the runner itself, as the reference has them (host.md section 13). */
#define RUNNER_EXIT_CONFIG 125

static int log_fd = STDERR_FILENO;

static bool have_descriptors(void)
{
    for (int fd = RUNNER_FD_CONFIG; fd <= RUNNER_FD_IMAGE_LOCK; fd++) {
        int flags = fcntl(fd, F_GETFD);

        /* No child of the runner may inherit any of them. */
        if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
            return false;
    }
    return true;
}

static int read_config(struct runner_config *config, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    size_t len = 0;
    int r;

    r = io_read_all(RUNNER_FD_CONFIG, RUNNER_CONFIG_MAX, &text, &len, err);
    if (r < 0)
        return mvm_context(err, r, "runner config");
    (void) close(RUNNER_FD_CONFIG);
    return runner_config_decode(text, len, config, err);
}

/* The soft limit of open files goes up to the hard one (H-180); a crash leaves no core with secrets
 * of the environment; nothing that is executed from here on can gain privileges. */
static void set_limits(void)
{
    struct rlimit files;
    const struct rlimit none = { 0, 0 };

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &files); /* the old limit does for one VM */
    }
    (void) setrlimit(RLIMIT_CORE, &none);
    (void) prctl(PR_SET_DUMPABLE, 0);
    (void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Removes the VM's folder, where nobody else does. The lock is still held here. */
static void remove_folder(const struct runner_config *config, const struct log *log)
{
    mvm_autoerror mvm_error *err = NULL;
    mvm_autofree char *parent = strdup(config->vm_dir);
    mvm_autoclose int fd = -EBADF;
    char *slash = parent ? strrchr(parent, '/') : NULL;

    if (!slash || slash == parent)
        return;
    *slash = '\0';
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || path_remove_tree(fd, slash + 1, &err) < 0)
        log_error(log, "runner", "remove '%s': %s", config->vm_dir, mvm_error_message(err));
}

/* A detached VM has no parent that would wait for it: who started it is told by the control socket
 * alone, and gets a child that has ended already. */
static bool is_left_behind(mvm_error **err)
{
    pid_t pid = fork();

    if (pid < 0)
        (void) mvm_fail(err, MVM_E_SYS, errno, "leave the parent");
    return pid != 0;
}

static int fail(int code, const mvm_error *err)
{
    struct control_message failed = { .type = CONTROL_FAILED, .number = code };

    (void) snprintf(failed.text, sizeof(failed.text), "%s",
                    mvm_error_message(err)); /* cut is fine */
    (void) control_send(RUNNER_FD_CONTROL, &failed, NULL);
    fprintf(stderr, "microvm-runner: %s\n", mvm_error_message(err));
    return RUNNER_EXIT_CONFIG;
}

int main(void)
{
    mvm_autovalue(runner_config) config = { .root_path = NULL };
    mvm_autoerror mvm_error *err = NULL;
    struct log log = { .sink = log_sink_fd, .user = &log_fd, .level = LOG_LEVEL_INFO };

    if (!have_descriptors()) {
        fprintf(stderr, "microvm-runner: a helper of microvm, not meant to be started by hand\n");
        return RUNNER_EXIT_CONFIG;
    }
    (void) signal(SIGPIPE, SIG_IGN);
    set_limits();
    log_info(&log, "step", "runner started");
    if (read_config(&config, &err) < 0)
        return fail(MVM_E_FORMAT, err);
    if (config.detached && is_left_behind(&err)) {
        if (!err)
            return 0;
        remove_folder(&config, &log);
        return fail(MVM_E_SYS, err);
    }
    log.level = config.log_level ? (enum log_level) config.log_level : LOG_LEVEL_INFO;
    if (supervise(&config, &log))
        remove_folder(&config, &log);
    return 0;
}
