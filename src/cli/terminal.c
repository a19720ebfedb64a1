/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

void terminal_enter_raw(struct terminal *t, int fd)
{
    t->fd = -1;
    if (tcgetattr(fd, &t->saved) < 0)
        return;
    t->raw = t->saved;
    cfmakeraw(&t->raw);
    if (tcsetattr(fd, TCSADRAIN, &t->raw) == 0)
        t->fd = fd;
}

/* In the background the terminal's mode is another's, and changing it would stop us (SIGTTOU). A
 * terminal that does not control us knows no background. */
static bool is_in_foreground(int fd)
{
    pid_t group = tcgetpgrp(fd);

    return group < 0 || group == getpgrp();
}

void terminal_resume(const struct terminal *t)
{
    if (t->fd >= 0 && is_in_foreground(t->fd))
        (void) tcsetattr(t->fd, TCSADRAIN, &t->raw); /* as for terminal_restore() */
}

void terminal_restore(struct terminal *t)
{
    if (t->fd >= 0 && is_in_foreground(t->fd))
        (void) tcsetattr(t->fd, TCSADRAIN,
                         &t->saved); /* a terminal that went away needs no restoring */
    t->fd = -1;
}

bool terminal_size(uint16_t *ret_rows, uint16_t *ret_cols)
{
    struct winsize ws;

    for (int fd = 0; fd <= 2; fd++)
        if (ioctl(fd, TIOCGWINSZ, &ws) == 0) {
            *ret_rows = ws.ws_row;
            *ret_cols = ws.ws_col;
            return true;
        }
    return false;
}
