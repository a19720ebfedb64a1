/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/vsock-ports.h"

#include "agent/agent-limits.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Connections that wait to be taken: as many as the device has at once. */
#define VSOCK_BACKLOG 1024

void vsock_ports_deinit(struct vsock_ports *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->items[i].socket_path);
    free(v->items);
    *v = (struct vsock_ports){ .n = 0 };
}

static int check_path(const char *path, size_t max, mvm_error **err)
{
    if (path[0] != '/')
        return mvm_fail(err, MVM_E_ARG, 0, "the socket's path '%s' is not absolute", path);
    if (strlen(path) > max)
        return mvm_fail(err, MVM_E_ARG, 0, "the socket's path has %zu bytes: %zu are possible",
                        strlen(path), max);
    return 0;
}

int vsock_ports_add(struct vsock_ports *v, uint32_t port, const char *socket_path, bool listen,
                    mvm_error **err)
{
    char *copy;
    int r;

    if (port == 0 || port == UINT32_MAX)
        return mvm_fail(err, MVM_E_ARG, 0, "port %u: 1 to 4294967294 are possible", port);
    if (port == AGENT_VSOCK_PORT)
        return mvm_fail(err, MVM_E_ARG, 0, "port %u is the guest agent's own", port);
    r = check_path(socket_path, VSOCK_PATH_MAX, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < v->n; i++)
        if (v->items[i].port == port)
            return mvm_fail(err, MVM_E_EXISTS, 0, "port %u was given before", port);
    if (v->n == VSOCK_PORTS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d ports", VSOCK_PORTS_MAX);
    copy = strdup(socket_path);
    if (!copy || mem_grow(&v->items, &v->cap, v->n, sizeof(*v->items)) < 0) {
        free(copy);
        return mvm_fail_nomem(err);
    }
    v->items[v->n++] = (struct vsock_port){ .port = port, .listen = listen, .socket_path = copy };
    return 0;
}

int vsock_uds_check(const char *path, mvm_error **err)
{
    return check_path(path, VSOCK_UDS_PATH_MAX, err);
}

/* @made: a socket is to be made there, in a folder that has to exist. */
static int check_host_path(const char *path, bool made, mvm_error **err)
{
    struct stat st;

    if (lstat(path, &st) == 0) {
        if (!made && S_ISLNK(st.st_mode) && stat(path, &st) < 0)
            return 0; /* it may come */
        if (!S_ISSOCK(st.st_mode))
            return mvm_fail(err, MVM_E_ARG, 0, "'%s' is there and is no socket", path);
    } else if (errno != ENOENT) {
        return mvm_fail(err, MVM_E_ARG, errno, "look at '%s'", path);
    }
    return 0;
}

int vsock_ports_check_host(const struct vsock_ports *v, const char *uds_path, mvm_error **err)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct vsock_port *p = &v->items[i];
        int r = check_host_path(p->socket_path, p->listen, err);

        if (r < 0)
            return mvm_context(err, r, "vsock port %u", p->port);
    }
    if (uds_path) {
        int r = check_host_path(uds_path, true, err);

        if (r < 0)
            return mvm_context(err, r, "hybrid vsock socket");
    }
    return 0;
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    memcpy(a.sun_path, path, strnlen(path, sizeof(a.sun_path) - 1)); /* checked to fit */
    return a;
}

/* True when nobody listens on the socket at @path any more. */
static bool is_stale(const char *path)
{
    const struct sockaddr_un a = address_of(path);
    mvm_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat st;

    return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && fd >= 0 &&
           connect(fd, (const struct sockaddr *) &a, sizeof(a)) < 0 && errno == ECONNREFUSED;
}

static int bind_fresh(int fd, const char *path, mvm_error **err)
{
    const struct sockaddr_un a = address_of(path);
    int r = bind(fd, (const struct sockaddr *) &a, sizeof(a));

    if (r < 0 && errno == EADDRINUSE) {
        if (!is_stale(path))
            return mvm_fail(err, MVM_E_BUSY, 0, "'%s' is in use", path);
        (void) unlink(path); /* where that fails, so does the next bind */
        r = bind(fd, (const struct sockaddr *) &a, sizeof(a));
    }
    return r < 0 ? mvm_fail(err, MVM_E_SYS, errno, "make the socket '%s'", path) : 0;
}

int vsock_listen(const char *path, struct vsock_listener *ret, mvm_error **err)
{
    mvm_autovalue(vsock_listener) l = VSOCK_LISTENER_NONE;
    struct stat st;
    int r;

    l.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* bind(2) takes the mode over: the socket is never open to others, not even for a moment. */
    if (l.fd < 0 || fchmod(l.fd, 0600) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a socket");
    r = bind_fresh(l.fd, path, err);
    if (r < 0)
        return r;
    if (listen(l.fd, VSOCK_BACKLOG) < 0 || lstat(path, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "listen on '%s'", path);
    l.dev = st.st_dev;
    l.ino = st.st_ino;
    l.path = strdup(path);
    if (!l.path)
        return mvm_fail_nomem(err);
    *ret = l;
    l = (struct vsock_listener) VSOCK_LISTENER_NONE;
    return 0;
}

void vsock_listener_deinit(struct vsock_listener *l)
{
    struct stat st;

    if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
        (void) unlink(l->path); /* gone already is as good */
    free(l->path);
    if (l->fd >= 0)
        (void) close(l->fd);
    *l = (struct vsock_listener) VSOCK_LISTENER_NONE;
}
