/* SPDX-License-Identifier: Apache-2.0 */
#include "kmsg.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdarg.h>

/* The kernel cuts a record at 1024 bytes less its own prefix (Linux, kernel/printk, LOG_LINE_MAX).
 */
#define KMSG_TEXT_MAX 960
/* "Error", which a quiet console (loglevel=4) still shows: what init has to say ends the guest, or
 * was asked for. */
#define KMSG_LEVEL "<3>"

/* PID 1 has one kernel log. */
static int kmsg_fd = -EBADF;
static bool kmsg_verbose;

void kmsg_open(bool debug)
{
    kmsg_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    kmsg_verbose = debug;
}

__attribute__((format(printf, 1, 0))) static void kmsg_write(const char *fmt, va_list ap)
{
    char raw[KMSG_TEXT_MAX / 2], text[KMSG_TEXT_MAX], line[KMSG_TEXT_MAX + 32];
    int n;

    if (kmsg_fd < 0 || vsnprintf(raw, sizeof(raw), fmt, ap) < 0)
        return;
    log_escape(raw, text, sizeof(text)); /* names from the image must not forge other lines */
    n = snprintf(line, sizeof(line), KMSG_LEVEL "microvm-init: %s\n", text);
    /* One write is one record; a log that cannot be written has nowhere to say so. */
    if (n > 0 && write(kmsg_fd, line, (size_t) n) < 0)
        return;
}

void kmsg_tell(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    kmsg_write(fmt, ap);
    va_end(ap);
}

void kmsg_debug(const char *fmt, ...)
{
    char text[128];
    va_list ap;
    uint64_t now;

    if (!kmsg_verbose)
        return;
    now = clock_now_us();
    va_start(ap, fmt);
    if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
        text[0] = '\0';
    va_end(ap);
    kmsg_tell("%llu us: %s", (unsigned long long) now, text);
}
