/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/console.h"

#include "base/log.h"
#include "base/mem.h"

#include <fcntl.h>

/* Bytes at the end of the console log in which the last line is looked for. */
#define CONSOLE_TAIL_MAX 4096

void console_last_line(const char *path, char *out, size_t size)
{
    mvm_autoclose int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char raw[CONSOLE_TAIL_MAX + 1];
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    ssize_t n = 0;
    char *line;

    if (end > 0)
        n = pread(fd, raw, CONSOLE_TAIL_MAX, end > CONSOLE_TAIL_MAX ? end - CONSOLE_TAIL_MAX : 0);
    if (n < 0)
        n = 0;
    while (n > 0 && (raw[n - 1] == '\n' || raw[n - 1] == '\r' || raw[n - 1] == '\0'))
        n--;
    raw[n] = '\0';
    line = strrchr(raw, '\n');
    log_escape(line ? line + 1 : raw, out, size);
}
