/* SPDX-License-Identifier: Apache-2.0 */
/* The least init: one byte on the first serial port, and then nothing. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ACK, which no kernel's message has. */
#define BYTE "\006"
#define TTY_MAJOR 4
#define TTY_S0 64

int main(void)
{
    int fd = -1;

    if (mknod("/ttyS0", S_IFCHR | 0600, makedev(TTY_MAJOR, TTY_S0)) == 0)
        fd = open("/ttyS0", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || write(fd, BYTE, 1) != 1)
        return 1;
    for (;;)
        (void) pause();
}
