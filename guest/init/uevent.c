/* SPDX-License-Identifier: Apache-2.0 */
#include "uevent.h"

#include "base/clock.h"
#include "base/mem.h"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

/* Group of the kernel's own events (Linux, lib/kobject_uevent.c). */
#define UEVENT_GROUP_KERNEL 1

static int uevent_open(int *ret_fd, mvm_error **err)
{
    const struct sockaddr_nl address = { .nl_family = AF_NETLINK,
                                         .nl_groups = UEVENT_GROUP_KERNEL };
    mvm_autoclose int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                                  NETLINK_KOBJECT_UEVENT);

    if (fd < 0 || bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "listen for the kernel's device events");
    *ret_fd = steal_fd(&fd);
    return 0;
}

/* Content does not matter, nor that some were lost (ENOBUFS): each wakes us to look again. */
static void uevent_drop_all(int fd)
{
    char byte;

    while (recv(fd, &byte, 1, 0) >= 0 || errno == EINTR || errno == ENOBUFS)
        continue;
}

int uevent_wait_for(int (*is_there)(void *user, mvm_error **err), void *user, const char *what,
                    mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    uint64_t deadline;
    int r;

    r = is_there(user, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = uevent_open(&fd, err);
    if (r < 0)
        return r;
    deadline = clock_now_ms() + DEVICE_WAIT_MS;
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        uint64_t now;

        r = is_there(user, err);
        if (r != 0)
            return r < 0 ? r : 0;
        now = clock_now_ms();
        if (now >= deadline)
            return mvm_fail(err, MVM_E_TIMEOUT, 0, "%s did not appear in %d seconds", what,
                            DEVICE_WAIT_MS / 1000);
        if (poll(&p, 1, (int) (deadline - now)) < 0 && errno != EINTR)
            return mvm_fail(err, MVM_E_SYS, errno, "wait for %s", what);
        uevent_drop_all(fd);
    }
}
