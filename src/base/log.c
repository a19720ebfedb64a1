/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/clock.h"
#include "base/scan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_MESSAGE_MAX 2048

/* Length of the character at the start of the text that may be printed as it is, 0 for a control
 * character or a byte that is no UTF-8. U+0080 to U+009F are controls too: terminals obey them. */
static size_t log_plain(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *) text;
    size_t n = scan_utf8_char(text, len);

    if (n == 1)
        return s[0] >= 0x20 && s[0] != 0x7f;
    if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0)
        return 0;
    return n;
}

void log_escape(const char *text, char *out, unsigned long size)
{
    static const char hex[] = "0123456789abcdef";
    unsigned long at = 0;
    size_t len = strlen(text), n;

    if (size == 0)
        return;
    for (size_t i = 0; i < len; i += n ? n : 1) {
        unsigned char c = (unsigned char) text[i];

        n = log_plain(text + i, len - i);
        if (at + (n ? n : 4) >= size)
            break;
        if (n) {
            memcpy(out + at, text + i, n);
            at += n;
        } else {
            out[at++] = '\\';
            out[at++] = 'x';
            out[at++] = hex[c >> 4];
            out[at++] = hex[c & 15];
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
