/* SPDX-License-Identifier: Apache-2.0 */
/* Telling what was removed from the image store. */
#ifndef CLI_REMOVAL_H
#define CLI_REMOVAL_H

#include <microvm/image.h>

struct cli_removal {
    uint64_t bytes;
    unsigned damaged;      /* what was found damaged and removed */
    unsigned kept_damaged; /* and what was left, since it is in use */
};
/* A mvm_image_removal_fn; @user is a struct cli_removal. Prints a line. */
void cli_removal_print(void *user, const mvm_image_removal *removal);

#endif
