/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's environment: the config's list, in which a later entry for a variable replaces an
 * earlier one and an entry without a name or without "=" is dropped (H-59), then what a program may
 * expect and the list does not have: PATH, HOME, HOSTNAME, and TERM under a terminal, as docker
 * sets them.
 */
#ifndef INIT_ENVIRONMENT_H
#define INIT_ENVIRONMENT_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>

/* Where programs are looked for when the config's list says nothing. */
#define ENVIRONMENT_PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct environment_defaults {
    const char *home;
    const char *hostname;
    const char *term; /* NULL: none */
};
int environment_build(const struct strv *list, const struct environment_defaults *defaults,
                      struct strv *ret, mvm_error **err);
/* The value of a variable, borrowed; NULL when it is not there. */
const char *environment_get(const struct strv *env, const char *name);

/* The next path to try for executing @name: itself when it has a slash, else one per folder of
 * *@path, which moves on and is NULL after the last. Starts with *@path = the value of PATH. False
 * when there is none left. A path that does not fit is passed over: the kernel would refuse it too
 * when @size is PATH_MAX. */
bool environment_next_program(const char **path, const char *name, char *out, size_t size);

#endif
