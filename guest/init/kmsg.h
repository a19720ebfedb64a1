/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of PID 1 go to the kernel's log, and so to the console, each with the prefix
 * "microvm-init: ". */
#ifndef INIT_KMSG_H
#define INIT_KMSG_H

#include <stdbool.h>

/* Opens /dev/kmsg; until then, and when there is none, messages are dropped. @debug turns
 * kmsg_debug() on. */
void kmsg_open(bool debug);
void kmsg_tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* With the time since the kernel's start, to see where a boot's time goes. */
void kmsg_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
