/* SPDX-License-Identifier: Apache-2.0 */
#include "power.h"

#include "kmsg.h"

#include <errno.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

void power_off(void)
{
    sync();
    if (reboot(RB_AUTOBOOT) < 0)
        kmsg_tell("restart: %s", strerror(errno));
    for (;;)
        pause(); /* PID 1 must not return: the kernel would panic */
}
