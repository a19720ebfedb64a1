/* SPDX-License-Identifier: Apache-2.0 */
/*
 * microvm-init: PID 1 of the guest, /init of the initramfs.
 *
 * The order of steps is the design. Modules come first, vsock's among them, since the host learns
 * over it alone why a guest cannot start; what fails before it is in the kernel's log only. The
 * configs are read, and the image is mounted over the initramfs that held them. Then the agent
 * serves the host, which asks it for the image's program, and the machine ends with that.
 *
 * PID 1 never exits and has no signal handler: the kernel keeps from it every signal whose action
 * is the default one, SIGPIPE and SIGTERM included. Its environment, which is the kernel's command
 * line, decides nothing but the amount of logging, and the image's environment is the program's
 * alone.
 */
#include "guest/agent/server.h"
#include "guest/init/kmsg.h"
#include "guest/init/modules.h"
#include "guest/init/mounts.h"
#include "guest/init/network.h"
#include "guest/init/power.h"
#include "guest/init/root.h"
#include "guest/init/sysctl.h"
#include "guest/init/vsock.h"

#include "agent/boot-config.h"
#include "agent/guest-config.h"
#include "agent/krun-config.h"
#include "base/io.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

/* "microvm_debug=1" on the kernel's command line comes as a variable. */
#define DEBUG_VARIABLE "microvm_debug"
#define HOSTNAME_DEFAULT "localhost"
/* The host's key for an SSH server (guest.md, section 2.1). */
#define SSH_HOST_KEY "/etc/ssh/ssh_host_ecdsa_key"
/* Descriptors of PID 1: each connection has one, each program up to five, each tree that is read up
 * to FILE_DEPTH_MAX. */
#define INIT_FILES_MAX 65536

struct guest {
    struct boot_config boot;
    struct krun_config config;
    struct guest_config extra;
    struct agent_image image;
    struct agent_machine machine;
    struct loop *loop;
    struct server server;
    struct vsock_listener listener;
};

/* Descriptors 0 to 2 must not become a port or a pipe. The kernel has opened them when the
 * initramfs has a console. */
static void occupy_standard_fds(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        (void) close(fd);
}

static int read_config(const char *path, size_t max, char **ret_data, size_t *ret_len,
                       mvm_error **err)
{
    mvm_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open %s", path);
    r = io_read_all(fd, max, ret_data, ret_len, err);
    return r < 0 ? mvm_context(err, r, "%s", path) : 0;
}

static int read_configs(struct guest *g, mvm_error **err)
{
    mvm_autofree char *boot = NULL;
    mvm_autofree char *config = NULL;
    size_t boot_len, config_len;
    int r;

    r = read_config("/" BOOT_CONFIG_PATH, BOOT_CONFIG_MAX, &boot, &boot_len, err);
    if (r < 0)
        return r;
    r = boot_config_decode(boot, boot_len, &g->boot, err);
    if (r < 0)
        return mvm_context(err, r, "/" BOOT_CONFIG_PATH);
    r = read_config("/" KRUN_CONFIG_PATH, KRUN_CONFIG_MAX, &config, &config_len, err);
    if (r < 0)
        return r;
    r = krun_config_decode(config, config_len, &g->config, err);
    if (r < 0)
        return mvm_context(err, r, "/" KRUN_CONFIG_PATH);
    if (g->config.cmd.n == 0)
        return mvm_fail(err, MVM_E_ARG, 0, "/" KRUN_CONFIG_PATH ": no command");
    g->image.hostname = g->boot.hostname ? g->boot.hostname : HOSTNAME_DEFAULT;
    return 0;
}

/* Up to the vsock device. A module that does not load is told once that is there, if it comes at
 * all. */
static int boot_kernel(mvm_error **ret_module_error, mvm_error **err)
{
    int r;

    r = mounts_make_early(err);
    if (r < 0)
        return r;
    occupy_standard_fds();
    kmsg_open(getenv(DEBUG_VARIABLE) != NULL);
    kmsg_debug("started");
    if (modules_load(ret_module_error) < 0)
        kmsg_tell("%s", mvm_error_message(*ret_module_error));
    kmsg_debug("modules loaded");
    return vsock_wait(err);
}

/* What is wrong in the file is told, and all is as without it (guest.md G-44). */
static void read_guest_config(struct guest *g)
{
    mvm_autoerror mvm_error *why = NULL;

    if (guest_config_read(GUEST_CONFIG_PATH, &g->extra, &why) < 0)
        kmsg_tell("%s", mvm_error_message(why));
    /* No server is linked in that would read the key; who switched SSH off does not want it to stay
     * (guest.md G-38). An image's own server, which nobody switched off, keeps its key. */
    if (g->extra.disable_ssh && unlink(SSH_HOST_KEY) < 0 && errno != ENOENT && errno != ENOTDIR)
        kmsg_tell("remove %s: %s", SSH_HOST_KEY, strerror(errno));
}

static int boot_root(struct guest *g, mvm_error **err)
{
    int r;

    r = root_switch(&g->boot, err);
    if (r < 0)
        return r;
    kmsg_debug("root entered");
    read_guest_config(g);
    r = mounts_make(err);
    if (r < 0)
        return r;
    if (sethostname(g->image.hostname, strlen(g->image.hostname)) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the host name '%s'", g->image.hostname);
    sysctl_harden(); /* before the first program runs */
    r = network_loopback_up(err);
    if (r == 0 && g->boot.read_only)
        r = root_make_read_only(err);
    kmsg_debug("system ready");
    return r;
}

static int boot(struct guest *g, mvm_error *module_error, mvm_error **err)
{
    int r;

    if (module_error)
        return mvm_fail(err, MVM_E_SYS, 0, "%s", mvm_error_message(module_error));
    r = read_configs(g, err);
    return r < 0 ? r : boot_root(g, err);
}

/* --- What the agent does to this machine --- */

static int start_program(void *user, const struct agent_start *start, struct program *ret,
                         mvm_error **err)
{
    struct guest *g = user;

    return machine_start(&g->image, start, ret, err);
}

static void end_machine(void *user)
{
    struct guest *g = user;

    loop_stop(g->loop);
}

static int make_machine(struct guest *g, mvm_error **err)
{
    g->image.users = (struct user_cache) USER_CACHE_INIT;
    g->image.config = &g->config;
    g->image.boot = &g->boot;
    g->machine = (struct agent_machine){
        .user = g,
        .start = start_program,
        .signal = machine_signal,
        .kill_session = machine_kill_session,
        .kill_all = machine_kill_all,
        .sync = machine_sync,
        .set_clock = machine_set_clock,
        .end = end_machine,
        .root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
    };
    if (g->machine.root_fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the root");
    return loop_new(&g->loop, err);
}

/* Serves the host until the machine is to end. @failure: why the guest did not boot, or NULL. */
static int serve(struct guest *g, const char *failure, mvm_error **err)
{
    int r;

    r = make_machine(g, err);
    if (r == 0)
        r = server_init(&g->server, g->loop, &g->machine, failure, err);
    if (r == 0)
        r = vsock_serve(&g->listener, &g->server, err);
    if (r < 0)
        return r;
    if (!failure) /* the server that could be is not linked in (guest.md G-29, G-36) */
        kmsg_tell("ready (ssh: %s)", g->extra.disable_ssh ? "disabled" : "not built in");
    return loop_run(g->loop, err);
}

static int guest_run(struct guest *g, mvm_error **err)
{
    mvm_autoerror mvm_error *module_error = NULL;
    mvm_autoerror mvm_error *why = NULL;
    int r;

    r = boot_kernel(&module_error, err);
    if (r < 0)
        return r;
    r = boot(g, module_error, &why);
    if (r < 0)
        kmsg_tell("%s", mvm_error_message(why));
    return serve(g, r < 0 ? mvm_error_message(why) : NULL, err);
}

static void raise_limits(void)
{
    const struct rlimit files = { .rlim_cur = INIT_FILES_MAX, .rlim_max = INIT_FILES_MAX };

    (void) setrlimit(RLIMIT_NOFILE, &files); /* else fewer clients fit, and are refused */
}

int main(void)
{
    struct guest *guest = calloc(1, sizeof(*guest));
    mvm_autoerror mvm_error *why = NULL;
    sigset_t child;

    if (getpid() != 1) {
        (void) fprintf(stderr, "microvm-init: is PID 1 of a guest, and nothing else\n");
        return 125;
    }
    (void) sigemptyset(&child); /* these cannot fail */
    (void) sigaddset(&child, SIGCHLD);
    (void) sigprocmask(SIG_BLOCK, &child, NULL);
    raise_limits();
    if (guest && guest_run(guest, &why) < 0)
        kmsg_tell("%s", mvm_error_message(why));
    power_off();
}
