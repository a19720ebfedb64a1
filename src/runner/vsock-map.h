/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's vsock ports as the caller asked for them, in the order of the asking: a port on which
 * the guest reaches a host UNIX socket, or (listen) one that host programs reach through a socket
 * that is made for them. And the one hybrid socket of a VM, over which a host client names the port
 * itself, as Firecracker and cloud-hypervisor have it.
 */
#ifndef RUNNER_VSOCK_MAP_H
#define RUNNER_VSOCK_MAP_H

#include "base/error.h"
#include "base/mem.h"
#include "virtio/vsock/ports.h"

#include <stdbool.h>
#include <stdint.h>

/* Entries of one VM: each listening one is a descriptor of the device's process, which may be born
 * with 64 (base/child.h). */
#define VSOCK_MAP_MAX 48

struct vsock_port {
    uint32_t port;
    bool listen;       /* the host listens at the path, for connections into the guest */
    char *socket_path; /* owned, absolute */
};

struct vsock_map {
    struct vsock_port *items; /* owned */
    size_t n;
    size_t cap;
};
void vsock_map_deinit(struct vsock_map *v);
MVM_DEFINE_AUTOVALUE(vsock_map, vsock_map_deinit)

/* Appends. MVM_E_ARG: port 0, the wildcard 0xFFFFFFFF, the agent's own, a path that is relative or
 * too long; MVM_E_EXISTS: a port twice (libkrun, too, has one entry a port); MVM_E_LIMIT. */
int vsock_map_add(struct vsock_map *v, uint32_t port, const char *socket_path, bool listen,
                  mvm_error **err);
/* What is wrong with the path of a hybrid socket. */
int vsock_uds_check(const char *path, mvm_error **err);

/* Looks at the host's side of all, before anything is started: what is at a path must be a socket,
 * or nothing where one is to be made. @uds_path may be NULL. */
int vsock_map_check_host(const struct vsock_map *v, const char *uds_path, mvm_error **err);

#endif
