/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's console log, as evidence. */
#ifndef RUNNER_CONSOLE_H
#define RUNNER_CONSOLE_H

#include <stddef.h>

/* The last line that the guest's kernel or init wrote, escaped and cut to @size; "" when there is none. */
void console_last_line(const char *path, char *out, size_t size);

#endif
