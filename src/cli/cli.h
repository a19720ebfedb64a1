/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of the microvm command share: statuses, messages, signals, progress. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/error.h"

#include <getopt.h>
#include <microvm/microvm.h>
#include <stdbool.h>

/* Our own failure, as docker has it; 126, 127 and 128 + n are the program's. */
#define CLI_STATUS_FAILED 125

/* One verb: gets its own argc and argv (argv[0] is the verb) and gives the exit status. */
typedef int cli_verb_fn(int argc, char **argv);
cli_verb_fn cli_run, cli_exec, cli_cp, cli_ps, cli_stats, cli_stop, cli_wait, cli_rm, cli_pull,
    cli_images, cli_rmi, cli_gc, cli_kernel, cli_doctor;

/* "microvm: TEXT" on stderr, one line: control characters and what is not UTF-8 are escaped. */
void cli_print_line(const char *text);
/* The same; gives CLI_STATUS_FAILED. */
int cli_fail(const mvm_error *err);
int cli_usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* For a '?' or ':' from getopt_long(), whose option string begins with ':' so that it prints
 * nothing itself. */
int cli_option_error(const char *verb, int c, const struct option *table, char *const *argv);
/* The exit status of a verb that gave @status: a stdout that did not take all is a failure. */
int cli_finish(int status);

/* The signals that a verb wants to hear of, taken off the default actions: a descriptor for poll(),
 * shared by the whole process. Opened on the first call; negative when that failed. */
int cli_signal_fd(void);
/* The next pending signal, 0 for none; does not block. */
int cli_next_signal(void);

/* A progress bar on stderr where that is a terminal; stops a pull on SIGINT, SIGTERM or SIGHUP.
 * @user: a struct cli_progress. */
struct cli_progress {
    bool terminal;
    bool shown;     /* there is a line to clear */
    int stopped_by; /* the signal that cancelled, 0 for none */
};
void cli_progress_init(struct cli_progress *p);
int cli_progress_update(void *user, const mvm_progress *progress);
void cli_progress_clear(struct cli_progress *p);

/* Log records from the library, as "microvm: MESSAGE" on stderr. */
void cli_log(void *user, int level, const char *module, const char *message);

/* The words of --source; MVM_E_ARG for another one. */
int cli_set_source(mvm_options *options, const char *text);

/* Sizes for people: "12.3 MiB" into @out, which has room for 16 bytes. */
const char *cli_format_size(uint64_t bytes, char out[16]);

#endif
