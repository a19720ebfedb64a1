/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that prints on stderr: "microvm: MESSAGE", one line, whatever the text holds. */
#include "cli/cli.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdarg.h>

/* Most bytes that log_escape() makes of one: \xNN. */
#define ESCAPED_MAX 4

void cli_print_line(const char *text)
{
    size_t size = strlen(text) * ESCAPED_MAX + 1;
    mvm_autofree char *line = malloc(size);

    if (line)
        log_escape(text, line, size);
    fprintf(stderr, "microvm: %s\n", line ? line : "out of memory");
}

int cli_fail(const mvm_error *err)
{
    cli_print_line(mvm_error_message(err));
    return CLI_STATUS_FAILED;
}

int cli_usage_error(const char *fmt, ...)
{
    mvm_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    cli_print_line(text ? text : "out of memory");
    return CLI_STATUS_FAILED;
}

void cli_log(void *user, int level, const char *module, const char *message)
{
    (void) user;
    (void) level;
    (void) module;
    cli_print_line(message);
}

/* "--quiet=x" for an option that takes no value: getopt_long(3) gives its value, as it gives the
 * character of a short option that it does not know. */
static bool is_value_unwanted(const char *word, int value, const struct option *table)
{
    size_t len = strcspn(word, "=");

    if (strncmp(word, "--", 2) != 0 || word[len] != '=')
        return false;
    for (const struct option *o = table; o->name; o++)
        if (o->val == value && o->has_arg == no_argument &&
            strncmp(o->name, word + 2, len - 2) == 0)
            return true;
    return false;
}

int cli_option_error(const char *verb, int c, const struct option *table, char *const *argv)
{
    const char *word = argv[optind - 1];
    const char letter[] = { '-', (char) optopt, '\0' };
    const char *problem = "is not an option";

    if (c == ':')
        problem = "wants a value";
    else if (optopt && is_value_unwanted(word, optopt, table))
        problem = "takes no value";
    else if (optopt) /* within "-abc" optind still points at the word itself */
        word = letter;
    return cli_usage_error("%s: '%s' %s; 'microvm %s --help' tells", verb, word, problem, verb);
}

int cli_finish(int status)
{
    bool failed = ferror(stdout) != 0;

    errno = 0;
    if (fflush(stdout) == EOF)
        failed = true;
    if (!failed || status != 0) /* a failure was told already, and is one line */
        return status;
    /* Of a write long before the last the reason is not known any more. */
    return cli_usage_error("stdout: %s", errno ? strerrordesc_np(errno) : "it was not all written");
}
