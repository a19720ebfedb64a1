/* SPDX-License-Identifier: Apache-2.0 */
/* The user's terminal while a program with a terminal of its own runs in the guest. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

struct terminal {
    int fd; /* borrowed; negative: nothing was changed */
    struct termios saved, raw;
};

/* Raw mode, when @fd is a terminal: keys such as Ctrl-C are for the guest. */
void terminal_enter_raw(struct terminal *t, int fd);
/* Raw mode again after a stop, during which a shell had the terminal in its own mode. */
void terminal_resume(const struct terminal *t);
void terminal_restore(struct terminal *t); /* twice is fine */
/* False when none of stdin, stdout and stderr is a terminal. */
bool terminal_size(uint16_t *ret_rows, uint16_t *ret_cols);

#endif
