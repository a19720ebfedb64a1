/* SPDX-License-Identifier: Apache-2.0 */
/*
 * microvm-init: PID 1 of the guest, /init of the initramfs.
 *
 * The order of steps is the design. Modules come first, with the ports' driver in front, since the
 * host names the ports while the others load. The control port is opened before anything else may
 * fail, so that the host learns why a guest cannot start; what fails before it is in the kernel's
 * log only. The configs are read, and the image is mounted over the initramfs that held them. Then
 * one program runs, and the machine ends with it.
 *
 * PID 1 never exits and has no signal handler: the kernel keeps from it every signal whose action
 * is the default one, SIGPIPE and SIGTERM included. Its environment, which is the kernel's command
 * line, decides nothing but the amount of logging, and the image's environment is the program's
 * alone.
 */
#include "control.h"
#include "environment.h"
#include "kmsg.h"
#include "modules.h"
#include "mounts.h"
#include "network.h"
#include "ports.h"
#include "power.h"
#include "program.h"
#include "relay.h"
#include "root.h"

#include "agent/boot-config.h"
#include "agent/krun-config.h"
#include "base/io.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

/* "microvm_debug=1" on the kernel's command line comes as a variable. */
#define DEBUG_VARIABLE "microvm_debug"
#define HOSTNAME_DEFAULT "localhost"

struct guest {
    struct ports ports;
    struct control control;
    struct boot_config boot;
    struct krun_config config;
    const char *hostname;
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
    g->hostname = g->boot.hostname ? g->boot.hostname : HOSTNAME_DEFAULT;
    return 0;
}

/* The ports that this program has use for. */
static int open_stream_ports(struct guest *g, mvm_error **err)
{
    int r = 0;

    if (g->boot.stdin_open)
        r = ports_open(&g->ports, PORT_STDIN, err);
    if (r == 0)
        r = ports_open(&g->ports, PORT_STDOUT, err);
    if (r == 0 && !g->boot.tty)
        r = ports_open(&g->ports, PORT_STDERR, err);
    return r;
}

/* Up to the open control port. A module that does not load is told once the port is there, if it
 * comes at all. */
static int boot_kernel(struct guest *g, mvm_error **err)
{
    mvm_autoerror mvm_error *module_error = NULL;
    int r, loaded;

    r = mounts_make_early(err);
    if (r < 0)
        return r;
    occupy_standard_fds();
    kmsg_open(getenv(DEBUG_VARIABLE) != NULL);
    kmsg_debug("started");
    loaded = modules_load(&module_error);
    if (loaded < 0)
        kmsg_warning("%s", mvm_error_message(module_error));
    kmsg_debug("modules loaded");
    r = ports_open(&g->ports, PORT_CONTROL, err);
    if (r < 0)
        return r;
    g->control.port.fd = steal_fd(&g->ports.fd[PORT_CONTROL]);
    g->control.port.writable = g->control.port.readable = true;
    if (loaded < 0)
        error_move(err, steal_ptr(&module_error));
    return loaded;
}

static int boot_root(struct guest *g, mvm_error **err)
{
    const char *device = g->boot.root_device ? g->boot.root_device : "/dev/vda";
    const char *fstype = g->boot.root_fstype ? g->boot.root_fstype : "erofs";
    int r;

    r = root_switch(device, fstype, err);
    if (r < 0)
        return r;
    kmsg_debug("root entered");
    r = mounts_make(err);
    if (r < 0)
        return r;
    if (sethostname(g->hostname, strlen(g->hostname)) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the host name '%s'", g->hostname);
    r = network_loopback_up(err);
    kmsg_debug("system ready");
    return r;
}

static int start_program(struct guest *g, struct program *ret, mvm_error **err)
{
    mvm_autovalue(user) user = { .home = NULL };
    mvm_autovalue(strv) env = { .items = NULL };
    struct environment_defaults defaults = { .hostname = g->hostname };
    int r;

    r = user_lookup(g->boot.user, &user, err);
    if (r < 0)
        return r;
    defaults.home = user.home;
    defaults.term = g->boot.tty ? "xterm" : NULL;
    r = environment_build(&g->config.env, &defaults, &env, err);
    if (r < 0)
        return r;
    const struct program_spec spec = {
        .argv = &g->config.cmd,
        .env = &env,
        .workdir = g->config.workdir ? g->config.workdir : "/",
        .user = &user,
        .tty = g->boot.tty,
        .stdin_open = g->boot.stdin_open,
        .rows = g->boot.rows,
        .cols = g->boot.cols,
    };
    return program_start(&spec, ret, err);
}

/* On success *ret_last is the last message for the host. */
static int guest_run(struct guest *g, struct port_message *ret_last, mvm_error **err)
{
    const struct port_message started = { .type = PORT_STARTED };
    mvm_autovalue(program) program = PROGRAM_NONE;
    int r;

    r = boot_kernel(g, err);
    if (r < 0)
        return r;
    r = read_configs(g, err);
    if (r < 0)
        return r;
    r = open_stream_ports(g, err);
    if (r < 0)
        return r;
    kmsg_debug("ports open");
    r = boot_root(g, err);
    if (r < 0)
        return r;
    r = start_program(g, &program, err);
    if (r < 0)
        return r;
    kmsg_debug("program started");
    control_send(&g->control, &started);
    return relay_run(&g->control, &g->ports, &program, ret_last, err);
}

static struct port_message failure_message(int code, const mvm_error *why)
{
    struct port_message m = { .type = PORT_FAILED };

    m.number = code == MVM_E_NOT_FOUND ? 127 : code == MVM_E_CHILD ? 126 : 125;
    (void) snprintf(m.text, sizeof(m.text), "%s", mvm_error_message(why)); /* may be cut */
    return m;
}

/* Runs the guest and tells the host how that went. */
static void guest_serve(struct guest *g)
{
    mvm_autoerror mvm_error *why = NULL;
    struct port_message last;
    int r;

    r = guest_run(g, &last, &why);
    if (r < 0) {
        kmsg_warning("%s", mvm_error_message(why));
        last = failure_message(r, why);
    }
    sync(); /* once the host has the last message, it may end the machine at any instant */
    control_send(&g->control, &last);
    control_finish(&g->control);
}

int main(void)
{
    struct guest *guest = malloc(sizeof(*guest));
    sigset_t child;

    if (getpid() != 1) {
        (void) fprintf(stderr, "microvm-init: is PID 1 of a guest, and nothing else\n");
        return 125;
    }
    (void) sigemptyset(&child); /* these cannot fail */
    (void) sigaddset(&child, SIGCHLD);
    (void) sigprocmask(SIG_BLOCK, &child, NULL);
    if (guest) {
        *guest = (struct guest){ .ports = PORTS_INIT, .control = CONTROL_INIT };
        guest_serve(guest);
    }
    power_off();
}
