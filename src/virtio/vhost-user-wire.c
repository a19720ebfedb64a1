/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vhost-user-wire.h"

#include <sys/socket.h>

const char *vhost_user_request_name(uint32_t request)
{
    static const char *const names[] = {
        "unknown",
        "GET_FEATURES",
        "SET_FEATURES",
        "SET_OWNER",
        "RESET_OWNER",
        "SET_MEM_TABLE",
        "SET_LOG_BASE",
        "SET_LOG_FD",
        "SET_VRING_NUM",
        "SET_VRING_ADDR",
        "SET_VRING_BASE",
        "GET_VRING_BASE",
        "SET_VRING_KICK",
        "SET_VRING_CALL",
        "SET_VRING_ERR",
        "GET_PROTOCOL_FEATURES",
        "SET_PROTOCOL_FEATURES",
        "GET_QUEUE_NUM",
        "SET_VRING_ENABLE",
        "SEND_RARP",
        "NET_SET_MTU",
        "SET_BACKEND_REQ_FD",
        "IOTLB_MSG",
        "SET_VRING_ENDIAN",
        "GET_CONFIG",
        "SET_CONFIG",
        "CREATE_CRYPTO_SESSION",
        "CLOSE_CRYPTO_SESSION",
        "POSTCOPY_ADVISE",
        "POSTCOPY_LISTEN",
        "POSTCOPY_END",
        "GET_INFLIGHT_FD",
        "SET_INFLIGHT_FD",
        "GPU_SET_SOCKET",
        "RESET_DEVICE",
        "VRING_KICK",
        "GET_MAX_MEM_SLOTS",
        "ADD_MEM_REG",
        "REM_MEM_REG",
        "SET_STATUS",
        "GET_STATUS",
    };

    return names[request < ARRAY_SIZE(names) ? request : 0];
}

void vhost_user_msg_deinit(struct vhost_user_msg *m)
{
    for (size_t i = 0; i < m->n_fds; i++)
        if (m->fds[i] >= 0)
            (void) close(m->fds[i]);
    m->n_fds = 0;
}

int vhost_user_msg_take_fd(struct vhost_user_msg *m, size_t i)
{
    return i < m->n_fds ? steal_fd(&m->fds[i]) : -EBADF;
}

void vhost_user_reader_reset(struct vhost_user_reader *r)
{
    vhost_user_msg_deinit(&r->msg);
    r->got = 0;
}

/* Takes over what came along. More than fits is MSG_CTRUNC: the kernel dropped the rest. */
static int take_fds(struct vhost_user_msg *m, struct msghdr *mh, mvm_error **err)
{
    bool too_many = (mh->msg_flags & MSG_CTRUNC) != 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (m->n_fds < ARRAY_SIZE(m->fds)) {
                m->fds[m->n_fds++] = fd;
            } else {
                (void) close(fd);
                too_many = true;
            }
        }
    }
    if (too_many)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d descriptors with a message",
                        VHOST_USER_FDS_MAX);
    return 0;
}

/* Some of the missing @len bytes. Never more than the message has, since descriptors go with the
 * bytes that they were sent with. 1: some came. */
static int read_some(struct vhost_user_reader *r, int fd, void *data, size_t len, mvm_error **err)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(VHOST_USER_FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = { data, len };
    struct msghdr mh = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
    };
    ssize_t n;
    int ret;

    do
        n = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN       ? 0
               : errno == ECONNRESET ? VHOST_USER_READ_END
                                     : mvm_fail(err, MVM_E_SYS, errno, "read from the machine");
    ret = take_fds(&r->msg, &mh, err);
    if (ret < 0)
        return ret;
    if (n == 0)
        return VHOST_USER_READ_END;
    r->got += (size_t) n;
    return 1;
}

static int parse_header(struct vhost_user_reader *r, mvm_error **err)
{
    struct vhost_user_msg *m = &r->msg;

    memcpy(&m->request, r->header, 4);
    memcpy(&m->flags, r->header + 4, 4);
    memcpy(&m->size, r->header + 8, 4);
    if ((m->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a message of version %u",
                        m->flags & VHOST_USER_VERSION_MASK);
    if (m->flags & VHOST_USER_REPLY)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a reply that nobody waits for");
    if (m->size > VHOST_USER_PAYLOAD_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%s with %u bytes, at most %d",
                        vhost_user_request_name(m->request), m->size, VHOST_USER_PAYLOAD_MAX);
    return 0;
}

int vhost_user_read(struct vhost_user_reader *r, int fd, mvm_error **err)
{
    int ret = 1;

    while (ret == 1 && r->got < VHOST_USER_HEADER) {
        ret = read_some(r, fd, r->header + r->got, VHOST_USER_HEADER - r->got, err);
        if (ret == 1 && r->got == VHOST_USER_HEADER && parse_header(r, err) < 0)
            return MVM_E_FORMAT;
    }
    while (ret == 1 && r->got < VHOST_USER_HEADER + r->msg.size) {
        size_t at = r->got - VHOST_USER_HEADER;

        ret = read_some(r, fd, r->msg.payload + at, r->msg.size - at, err);
    }
    return ret;
}

int vhost_user_reply(int fd, const struct vhost_user_msg *m, const void *payload, size_t len,
                     mvm_error **err)
{
    const uint32_t header[3] = { m->request, VHOST_USER_VERSION | VHOST_USER_REPLY,
                                 (uint32_t) len };
    struct iovec iov[2] = { { (void *) header, sizeof(header) }, { (void *) payload, len } };
    const struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
    ssize_t n;

    do
        n = sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "answer %s", vhost_user_request_name(m->request));
    if ((size_t) n != sizeof(header) + len)
        return mvm_fail(err, MVM_E_SYS, 0, "answer %s: the machine does not read",
                        vhost_user_request_name(m->request));
    return 0;
}
