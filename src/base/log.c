/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_MESSAGE_MAX 2048

void log_escape(const char *text, char *out, unsigned long size)
{
    static const char hex[] = "0123456789abcdef";
    unsigned long at = 0;

    if (size == 0)
        return;
    for (const unsigned char *p = (const unsigned char *) text; *p; p++) {
        if (*p >= 0x20 && *p != 0x7f) {
            if (at + 1 >= size)
                break;
            out[at++] = (char) *p;
        } else {
            if (at + 4 >= size)
                break;
            out[at++] = '\\';
            out[at++] = 'x';
            out[at++] = hex[*p >> 4];
            out[at++] = hex[*p & 15];
        }
    }
    out[at] = '\0';
}

void log_write(const struct log *log, enum log_level level, const char *module, const char *fmt,
               ...)
{
    char raw[LOG_MESSAGE_MAX / 2], message[LOG_MESSAGE_MAX];
    int saved = errno;
    va_list ap;

    if (!log || !log->sink || level > log->level)
        return;
    va_start(ap, fmt);
    if (vsnprintf(raw, sizeof(raw), fmt, ap) < 0)
        raw[0] = '\0';
    va_end(ap);
    log_escape(raw, message, sizeof(message));
    log->sink(log->user, level, module, message);
    errno = saved;
}

void log_sink_fd(void *user, enum log_level level, const char *module, const char *message)
{
    static const char *const names[] = { "", "error", "warning", "info", "debug" };
    char line[LOG_MESSAGE_MAX + 128];
    uint64_t now = clock_now_us();
    int n;

    n = snprintf(line, sizeof(line), "%llu.%06llu %s %s: %s\n",
                 (unsigned long long) (now / 1000000), (unsigned long long) (now % 1000000),
                 names[level], module, message);
    if (n < 0)
        return;
    if ((size_t) n >= sizeof(line)) {
        n = sizeof(line) - 1;
        line[n - 1] = '\n';
    }
    /* One write per record keeps the lines of several processes whole; a log that cannot be written
     * has nowhere to say so. */
    if (write(*(const int *) user, line, (size_t) n) < 0)
        return;
}
