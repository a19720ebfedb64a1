/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/mem.h"

#include <signal.h>
#include <sys/signalfd.h>

static int signal_fd = -EBADF;

int cli_signal_fd(void)
{
    static const int wanted[] = { SIGINT,  SIGTERM, SIGHUP,   SIGQUIT,
                                  SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT };
    sigset_t set;

    if (signal_fd >= 0)
        return signal_fd;
    (void) sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        (void) sigaddset(&set, wanted[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == 0)
        signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return signal_fd;
}

int cli_next_signal(void)
{
    struct signalfd_siginfo info;

    if (signal_fd < 0 || read(signal_fd, &info, sizeof(info)) != sizeof(info))
        return 0;
    return (int) info.ssi_signo;
}
