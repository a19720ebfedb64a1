/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/vsock-map.h"

#include "agent/agent-limits.h"

#include <sys/stat.h>

void vsock_map_deinit(struct vsock_map *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->items[i].socket_path);
    free(v->items);
    *v = (struct vsock_map){ .n = 0 };
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

int vsock_map_add(struct vsock_map *v, uint32_t port, const char *socket_path, bool listen,
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
    if (v->n == VSOCK_MAP_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d ports", VSOCK_MAP_MAX);
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
    return check_path(path, VSOCK_HYBRID_PATH_MAX, err);
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

int vsock_map_check_host(const struct vsock_map *v, const char *uds_path, mvm_error **err)
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
