/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log records go to a sink that the caller hands in; nothing here prints by itself and nothing is
 * global. A NULL log drops everything. errno is kept. Control characters in the message are
 * escaped.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level {
    LOG_LEVEL_ERROR = 1,
    LOG_LEVEL_WARNING = 2,
    LOG_LEVEL_INFO = 3,
    LOG_LEVEL_DEBUG = 4
};
typedef void log_sink_fn(void *user, enum log_level level, const char *module, const char *message);

struct log {
    log_sink_fn *sink;
    void *user;
    enum log_level level; /* records above it are dropped */
};

void log_write(const struct log *log, enum log_level level, const char *module, const char *fmt,
               ...) __attribute__((format(printf, 4, 5)));
/* A sink that writes "<seconds of CLOCK_MONOTONIC> level module: message" to the descriptor that
 * @user points at. */
void log_sink_fd(void *user, enum log_level level, const char *module, const char *message);
/* Copies @text, for text from outside: the bytes of control characters and of what is not UTF-8
 * become \xNN; cut, between characters, to at most @size - 1 bytes. What is escaped already stays.
 */
void log_escape(const char *text, char *out, unsigned long size);

#define log_error(l, m, ...) log_write((l), LOG_LEVEL_ERROR, (m), __VA_ARGS__)
#define log_warning(l, m, ...) log_write((l), LOG_LEVEL_WARNING, (m), __VA_ARGS__)
#define log_info(l, m, ...) log_write((l), LOG_LEVEL_INFO, (m), __VA_ARGS__)
#define log_debug(l, m, ...) log_write((l), LOG_LEVEL_DEBUG, (m), __VA_ARGS__)

#endif
