/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include "kmsg.h"

#include "base/clock.h"
#include "base/mem.h"

#include <sys/epoll.h>

void control_flush(struct control *c)
{
    ssize_t n;

    while (c->out_len > 0 && (n = endpoint_write(&c->port, c->out, c->out_len)) > 0) {
        c->out_len -= (size_t) n;
        memmove(c->out, c->out + n, c->out_len);
    }
}

void control_send(struct control *c, const struct port_message *m)
{
    if (sizeof(c->out) - c->out_len < PORT_FRAME_MAX)
        return; /* a third message that the host did not take: it has stopped listening */
    c->out_len += port_encode(m, c->out + c->out_len);
    control_flush(c);
}

static int control_decode(struct control *c, struct port_message *ret, mvm_error **err)
{
    int used = port_decode(c->in, c->in_len, ret, err);

    if (used <= 0)
        return used;
    if (ret->type >= PORT_STARTED)
        return mvm_fail(err, MVM_E_FORMAT, 0, "control message %d: is not the host's to send",
                        (int) ret->type);
    c->in_len -= (size_t) used;
    memmove(c->in, c->in + used, c->in_len);
    c->finished = c->finished || ret->type == PORT_FINISHED;
    return 1;
}

int control_receive(struct control *c, struct port_message *ret, mvm_error **err)
{
    int r;

    while ((r = control_decode(c, ret, err)) == 0) {
        ssize_t n = endpoint_read(&c->port, c->in + c->in_len, sizeof(c->in) - c->in_len);

        if (n <= 0)
            return 0;
        c->in_len += (size_t) n;
    }
    return r;
}

void control_finish(struct control *c)
{
    mvm_autoclose int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    uint64_t deadline = clock_now_ms() + CONTROL_FINISH_MS;
    mvm_autoerror mvm_error *why = NULL;
    int r = c->port.fd < 0 || epoll_fd < 0 ? -1 : endpoint_watch(&c->port, epoll_fd, &why);

    while (r >= 0 && !c->finished && !c->port.hung_up) {
        uint64_t now = clock_now_ms();
        struct port_message m;

        if (now >= deadline)
            break;
        r = endpoint_wait(epoll_fd, (int) (deadline - now), &why);
        control_flush(c);
        while (r >= 0 && (r = control_receive(c, &m, &why)) > 0)
            continue; /* only PORT_FINISHED matters now */
    }
    if (why)
        kmsg_warning("%s", mvm_error_message(why));
}
