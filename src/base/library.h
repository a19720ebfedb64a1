/* SPDX-License-Identifier: Apache-2.0 */
/* A shared library that is loaded when it is first needed: one that brings a dozen others with it
 * costs every start of the program milliseconds. */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>

/* A function, and where its address goes in the table of the library's functions. */
struct library_function {
    const char *symbol;
    size_t offset;
};

/* Why a library cannot be used; "" when it can. */
struct library_reason {
    char text[512];
};
void library_say(struct library_reason *why, const char *text); /* cut where it is too long */

/* Loads @file, for ever, and fills @table with its @n @functions. False: *why has the reason. */
bool library_load(const char *file, const struct library_function *functions, size_t n, void *table,
                  struct library_reason *why);

#endif
