/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

void terminal_enter_raw(struct terminal *t, int fd)
{
    struct termios raw;

    t->fd = -1;
    if (tcgetattr(fd, &t->saved) < 0)
        return;
    raw = t->saved;
    cfmakeraw(&raw);
    if (tcsetattr(fd, TCSADRAIN, &raw) == 0)
        t->fd = fd;
}

void terminal_restore(struct terminal *t)
{
    if (t->fd >= 0)
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
