/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/vsock.h"

#include "agent/agent-limits.h"
#include "base/program.h"
#include "runner/control.h"
#include "virtio/vsock/ports.h"

#include <signal.h>
#include <sys/socket.h>

/* The machine's socket, the agent's connection and its listener, the hybrid socket, and the log
 * twice. */
#define VSOCK_FDS_MAX (VSOCK_MAP_MAX + 6)

void vsock_device_deinit(struct vsock_device *d)
{
    child_deinit(&d->child);
    for (size_t i = 0; i < d->n; i++)
        listener_deinit(&d->listeners[i]);
    free(d->listeners);
    if (d->machine_fd >= 0)
        (void) close(d->machine_fd);
    if (d->agent_fd >= 0)
        (void) close(d->agent_fd);
    *d = (struct vsock_device) VSOCK_DEVICE_NONE;
}

/* What the device's process is given while it is put together. */
struct plan {
    struct vsock_ports serves;
    struct child_fd fds[VSOCK_FDS_MAX];
    size_t n_fds;
};

static void plan_deinit(struct plan *p)
{
    vsock_ports_deinit(&p->serves);
}
MVM_DEFINE_AUTOVALUE(plan, plan_deinit)

/* One thing to serve; @fd, borrowed, gets the next number in the process. */
static int plan_add(struct plan *p, enum vsock_serve_kind kind, uint32_t port, int fd,
                    const char *path, mvm_error **err)
{
    struct vsock_serve serve = { .kind = kind, .port = port, .fd = -EBADF, .path = (char *) path };

    if (fd >= 0) {
        serve.fd = VSOCK_FD_MIN + (int) p->n_fds;
        p->fds[p->n_fds++] = (struct child_fd){ fd, serve.fd };
    }
    return vsock_ports_add(&p->serves, &serve, err);
}

static int add_listener(struct vsock_device *d, struct plan *p, enum vsock_serve_kind kind,
                        uint32_t port, const char *path, mvm_error **err)
{
    struct listener *l = &d->listeners[d->n];
    int r = listener_open(path, SOCK_STREAM, l, err);

    if (r < 0)
        return r;
    d->n++;
    return plan_add(p, kind, port, l->fd, kind == VSOCK_SERVE_HYBRID ? path : NULL, err);
}

static int add_callers_ports(struct vsock_device *d, const struct runner_config *config,
                             struct plan *p, mvm_error **err)
{
    for (size_t i = 0; i < config->vsock_ports.n; i++) {
        const struct vsock_port *port = &config->vsock_ports.items[i];
        int r = port->listen
                    ? add_listener(d, p, VSOCK_SERVE_LISTEN, port->port, port->socket_path, err)
                    : plan_add(p, VSOCK_SERVE_CONNECT, port->port, -EBADF, port->socket_path, err);

        if (r < 0)
            return mvm_context(err, r, "vsock port %u", port->port);
    }
    if (config->vsock_uds) {
        int r = add_listener(d, p, VSOCK_SERVE_HYBRID, 0, config->vsock_uds, err);

        if (r < 0)
            return mvm_context(err, r, "hybrid vsock socket");
    }
    return 0;
}

int vsock_device_find(char **ret, mvm_error **err)
{
    return program_find("MICROVM_VSOCK", "microvm-vsock", MICROVM_LIBEXECDIR, ret, err);
}

static int spawn(struct plan *p, int machine_fd, struct child *ret, mvm_error **err)
{
    mvm_autovalue(strv) argv = { .n = 0 };
    mvm_autofree char *path = NULL;
    struct child_spec spec = { .death_signal = SIGKILL };
    int r = vsock_device_find(&path, err);

    if (r < 0)
        return r;
    spec.path = path;

    if (strv_add(&argv, "microvm-vsock") < 0)
        return mvm_fail_nomem(err);
    r = vsock_ports_encode(&p->serves, &argv, err);
    if (r < 0)
        return r;
    p->fds[p->n_fds++] = (struct child_fd){ machine_fd, VSOCK_FD_MACHINE };
    p->fds[p->n_fds++] = (struct child_fd){ STDERR_FILENO, STDOUT_FILENO };
    p->fds[p->n_fds++] = (struct child_fd){ STDERR_FILENO, STDERR_FILENO };
    spec.argv = argv.items;
    spec.fds = p->fds;
    spec.n_fds = p->n_fds;
    return child_spawn(&spec, ret, err);
}

/* A pair: [0] is ours or the machine's, [1] the device's. */
static int make_pair(int *first, int *second, mvm_error **err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a socket pair");
    *first = pair[0];
    *second = pair[1];
    return 0;
}

int vsock_device_start(const struct runner_config *config, int dir_fd, struct vsock_device *ret,
                       mvm_error **err)
{
    mvm_autovalue(vsock_device) d = VSOCK_DEVICE_NONE;
    mvm_autovalue(plan) p = { .n_fds = 0 };
    mvm_autoclose int device_fd = -EBADF;
    mvm_autoclose int once_fd = -EBADF;
    char agent_path[64];
    int r;

    d.listeners = mem_array(config->vsock_ports.n + 2, sizeof(*d.listeners));
    if (!d.listeners)
        return mvm_fail_nomem(err);
    (void) snprintf(agent_path, sizeof(agent_path), "/proc/self/fd/%d/" CONTROL_AGENT_SOCKET,
                    dir_fd); /* fits: a number of 10 digits */
    r = make_pair(&d.machine_fd, &device_fd, err);
    if (r == 0)
        r = make_pair(&d.agent_fd, &once_fd, err);
    if (r == 0)
        r = plan_add(&p, VSOCK_SERVE_ONCE, AGENT_VSOCK_PORT, once_fd, NULL, err);
    if (r == 0)
        r = add_listener(&d, &p, VSOCK_SERVE_AGENT, AGENT_VSOCK_PORT, agent_path, err);
    if (r == 0)
        r = add_callers_ports(&d, config, &p, err);
    if (r == 0)
        r = spawn(&p, device_fd, &d.child, err);
    if (r < 0)
        return r;
    *ret = d;
    d = (struct vsock_device) VSOCK_DEVICE_NONE;
    return 0;
}
