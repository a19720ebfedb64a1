/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's console log, as evidence. */
#ifndef RUNNER_CONSOLE_H
#define RUNNER_CONSOLE_H

#include "base/log.h"
#include "base/loop.h"

/* Bytes of console output that are kept. A guest may write without end; what comes later is read
 * and dropped. */
#define CONSOLE_LOG_MAX (8u << 20)

struct console;
/* Copies what arrives on @from_fd to the file @path, made anew (0600). @from_fd is taken over, also
 * on failure. */
int console_new(struct loop *loop, int from_fd, const char *path, const struct log *log,
                struct console **ret, mvm_error **err);
/* Takes in what has arrived by now. */
void console_drain(struct console *c);
/* Takes in all that is left, to its end: for a writer that writes no more. NULL is fine. */
void console_finish(struct console *c);
void console_free(struct console *c);

/* The last line that the guest's kernel or init wrote, escaped and cut to @size; "" when there is
 * none. */
void console_last_line(const char *path, char *out, size_t size);

#endif
