/* SPDX-License-Identifier: Apache-2.0 */
#include "base/libarchive.h"

#include "base/library.h"

#include <pthread.h>

#define LIBARCHIVE_FILE "libarchive.so.13"
/* Debian's package of it; Ubuntu 24.04 and Debian 13 say libarchive13t64. */
#define LIBARCHIVE_PACKAGE "libarchive13"

/* Written once, before anybody reads: pthread_once() orders it. */
static struct {
    pthread_once_t once;
    struct libarchive table;
    struct library_reason why;
} loaded = { .once = PTHREAD_ONCE_INIT };

static const struct library_function functions[] = {
#define LIBARCHIVE_ENTRY(name) { "archive_" #name, offsetof(struct libarchive, name) },
    LIBARCHIVE(LIBARCHIVE_ENTRY)
};

static void load(void)
{
    (void) library_load(LIBARCHIVE_FILE, functions, ARRAY_SIZE(functions), &loaded.table,
                        &loaded.why);
}

int libarchive_load(mvm_error **err)
{
    (void) pthread_once(&loaded.once, load); /* fails for no valid argument */
    if (loaded.why.text[0])
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                        "archives need the library " LIBARCHIVE_FILE " (package " LIBARCHIVE_PACKAGE
                        "): %s",
                        loaded.why.text);
    return 0;
}

const struct libarchive *libarchive(void)
{
    return &loaded.table;
}
