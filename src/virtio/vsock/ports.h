/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the vsock device serves, as the words of its command line. The runner encodes them and the
 * device decodes them, both here.
 *
 *   connect:PORT:PATH  the guest's connections to the host's PORT go to the UNIX socket PATH
 *   listen:PORT:FD     connections that the listening UNIX socket FD accepts go to the guest's PORT
 *   hybrid:FD:PATH     a client of FD writes "CONNECT <port>\n" and reads "OK <port>\n"; the
 * guest's connections to a port without a "connect:" go to the UNIX socket PATH_<port> once:PORT:FD
 * the guest's first connection to the host's PORT is joined to the socket FD agent:PORT:FD      as
 * listen; nobody else may connect to PORT, on either side
 */
#ifndef VIRTIO_VSOCK_PORTS_H
#define VIRTIO_VSOCK_PORTS_H

#include "base/error.h"
#include "base/mem.h"

enum vsock_serve_kind {
    VSOCK_SERVE_CONNECT,
    VSOCK_SERVE_LISTEN,
    VSOCK_SERVE_HYBRID,
    VSOCK_SERVE_ONCE,
    VSOCK_SERVE_AGENT,
};

/* Room for every port that a user lists by hand; each costs a comparison a connection. */
#define VSOCK_SERVES_MAX 256
/* 0 to 2 are the standard streams, 3 is the machine's socket. */
#define VSOCK_FD_MACHINE 3
#define VSOCK_FD_MIN 4
#define VSOCK_FD_MAX 1023
/* sun_path of unix(7), with its end, and for "hybrid" with "_4294967294". */
#define VSOCK_PATH_MAX 107
#define VSOCK_HYBRID_PATH_MAX (VSOCK_PATH_MAX - 11)

struct vsock_serve {
    enum vsock_serve_kind kind;
    uint32_t port; /* not of HYBRID */
    int fd;        /* -EBADF where there is none: of CONNECT. Not owned: a number to be */
    char *path;    /* owned; of CONNECT and HYBRID: absolute */
};

struct vsock_ports {
    struct vsock_serve *items; /* owned */
    size_t n, cap;
};
void vsock_ports_deinit(struct vsock_ports *p);
MVM_DEFINE_AUTOVALUE(vsock_ports, vsock_ports_deinit)

/* Adds a copy, unless it is wrong by itself or goes against another one: MVM_E_ARG or MVM_E_LIMIT.
 */
int vsock_ports_add(struct vsock_ports *p, const struct vsock_serve *serve, mvm_error **err);
/* One word an entry, appended. */
int vsock_ports_encode(const struct vsock_ports *p, struct strv *ret, mvm_error **err);
/* @words: NULL-ended. */
int vsock_ports_decode(char *const *words, struct vsock_ports *ret, mvm_error **err);

#endif
