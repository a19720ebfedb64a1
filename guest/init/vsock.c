/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/init/vsock.h"

#include "guest/agent/server.h"
#include "guest/init/kmsg.h"
#include "guest/init/uevent.h"

#include "base/mem.h"

#include <sys/socket.h>
/* The kernel's header takes sa_family_t from here, and has no include of its own for it. */
#include <linux/vm_sockets.h>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#define LISTEN_BACKLOG 16
/* accept(2) fails for want of memory or descriptors: time for them to come back. */
#define ACCEPT_RETRY_MS 100
/* Connections taken in one turn of the loop. */
#define ACCEPT_BATCH 16

/* The device has given the guest a number. */
static int vsock_is_there(void *user, mvm_error **err)
{
    mvm_autoclose int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
    unsigned int cid = VMADDR_CID_ANY;

    (void) user;
    if (fd < 0 && errno == ENOENT) /* comes with the driver, which is loaded by now */
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "the kernel has no vsock");
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open /dev/vsock");
    if (ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0)
        return 0;
    return cid != VMADDR_CID_ANY && cid > VMADDR_CID_HOST;
}

int vsock_wait(mvm_error **err)
{
    return uevent_wait_for(vsock_is_there, NULL, "the vsock device (CONFIG_VIRTIO_VSOCKETS)", err);
}

static int vsock_socket(int *ret_fd, mvm_error **err)
{
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a vsock socket");
    *ret_fd = fd;
    return 0;
}

static void vsock_take(struct vsock_listener *l, int fd, bool connecting)
{
    mvm_autoerror mvm_error *why = NULL;

    if (server_add(l->server, fd, connecting, &why) < 0)
        kmsg_tell("a connection of the host is closed: %s", mvm_error_message(why));
}

static void on_listener(void *user, uint32_t events)
{
    struct vsock_listener *l = user;

    (void) events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_vm peer = { .svm_family = AF_VSOCK };
        socklen_t len = sizeof(peer);
        int fd = accept4(l->fd, (struct sockaddr *) &peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
            return;
        if (fd < 0) { /* it would be told again at once */
            (void) loop_set_events(l->source, 0, NULL);
            loop_set_timer(l->retry, ACCEPT_RETRY_MS);
            return;
        }
        if (peer.svm_cid == VMADDR_CID_HOST)
            vsock_take(l, fd, false);
        else
            (void) close(fd);
    }
}

static void on_retry(void *user)
{
    struct vsock_listener *l = user;

    if (loop_set_events(l->source, EPOLLIN, NULL) < 0)
        loop_set_timer(l->retry, ACCEPT_RETRY_MS);
}

static int vsock_listen(struct vsock_listener *l, mvm_error **err)
{
    const struct sockaddr_vm own = {
        .svm_family = AF_VSOCK,
        .svm_cid = VMADDR_CID_ANY,
        .svm_port = AGENT_VSOCK_PORT,
    };
    int r;

    r = vsock_socket(&l->fd, err);
    if (r < 0)
        return r;
    if (bind(l->fd, (const struct sockaddr *) &own, sizeof(own)) < 0 ||
        listen(l->fd, LISTEN_BACKLOG) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "listen on vsock port %d", AGENT_VSOCK_PORT);
    r = loop_add_timer(l->server->loop, -1, on_retry, l, &l->retry, err);
    if (r == 0)
        r = loop_add_fd(l->server->loop, l->fd, EPOLLIN, on_listener, l, &l->source, err);
    return r;
}

/* A host that nobody listens on is no failure: it may connect. */
static int vsock_connect(struct vsock_listener *l, mvm_error **err)
{
    const struct sockaddr_vm host = {
        .svm_family = AF_VSOCK,
        .svm_cid = VMADDR_CID_HOST,
        .svm_port = AGENT_VSOCK_PORT,
    };
    int fd, r;

    r = vsock_socket(&fd, err);
    if (r < 0)
        return r;
    if (connect(fd, (const struct sockaddr *) &host, sizeof(host)) == 0) {
        vsock_take(l, fd, false);
    } else if (errno == EINPROGRESS) {
        vsock_take(l, fd, true);
    } else {
        kmsg_tell("connect to the host: %s", strerror(errno));
        (void) close(fd);
    }
    return 0;
}

int vsock_serve(struct vsock_listener *l, struct server *server, mvm_error **err)
{
    int r;

    *l = (struct vsock_listener){ .fd = -EBADF, .server = server };
    r = vsock_listen(l, err);
    return r < 0 ? r : vsock_connect(l, err);
}
