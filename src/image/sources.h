/* SPDX-License-Identifier: Apache-2.0 */
/* Which sources a name has, and their order (image.md, Fallback list). */
#ifndef IMAGE_SOURCES_H
#define IMAGE_SOURCES_H

#include "image/name.h"
#include "image/source.h"

struct sources { /* all borrowed */
    const struct image_name *name;
    const struct image_pull_options *options;
    int dir_fd; /* where temporary files go */
    struct image_tick *tick;
};

/* Whether @source has the image: 0, which may take *source over, or a negative code. */
typedef int sources_try_fn(void *user, struct image_source **source, mvm_error **err);
/* Asks one source after the other, and stops at the first that has the image. When none has it the
 * error has all their reasons. Cancelling, and a lack of memory, stop at once. */
int sources_try(const struct sources *s, sources_try_fn *fn, void *user, mvm_error **err);

#endif
