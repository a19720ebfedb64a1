/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/removal.h"

#include "base/mem.h"

#include <stdio.h>

void cli_removal_print(void *user, const mvm_image_removal *removal)
{
    /* Docker's words, where it has some. */
    static const char *const words[] = {
        [MVM_REMOVED_NAME] = "Untagged",
        [MVM_REMOVED_IMAGE] = "Deleted",
        [MVM_REMOVED_LAYER] = "Deleted layer",
        [MVM_REMOVED_LITTER] = "Deleted remains of layer",
        [MVM_KEPT_IMAGE] = "Kept, it is in use",
        [MVM_REMOVED_DAMAGED_IMAGE] = "Deleted damaged image",
        [MVM_REMOVED_DAMAGED_LAYER] = "Deleted damaged layer",
        [MVM_REMOVED_DAMAGED_ROOT] = "Deleted damaged root filesystem of image",
        [MVM_REMOVED_DAMAGED_NAME] = "Deleted damaged name in file",
        [MVM_KEPT_DAMAGED] = "Kept though damaged, it is in use",
    };
    struct cli_removal *to = user;

    to->bytes += removal->bytes;
    if (removal->kind == MVM_KEPT_DAMAGED)
        to->kept_damaged++;
    else if (removal->kind >= MVM_REMOVED_DAMAGED_IMAGE)
        to->damaged++;
    if (removal->kind < ARRAY_SIZE(words))
        printf("%s: %s\n", words[removal->kind], removal->name);
}
