/* SPDX-License-Identifier: Apache-2.0 */
#include "network.h"

#include "base/mem.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int network_loopback_up(mvm_error **err)
{
    mvm_autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = { .ifr_name = "lo" };

    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "bring the interface lo up");
    return 0;
}
