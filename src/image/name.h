/* SPDX-License-Identifier: Apache-2.0 */
/* What a user types to name an image: a reference, or a transport that the containers tools know,
 * "oci:DIR[:TAG]". */
#ifndef IMAGE_NAME_H
#define IMAGE_NAME_H

#include "oci/reference.h"

struct image_name {
    bool is_layout;
    struct oci_reference ref; /* unless is_layout */
    char *path;               /* owned: of the layout, absolute */
    char *tag;                /* owned: in the layout; NULL: none given */
    char *qualified; /* owned: the same for all spellings of one image; what the store remembers */
};

/* @name must be zeroed or deinitialised. */
int image_name_parse(const char *text, struct image_name *name, mvm_error **err);
void image_name_deinit(struct image_name *name);
MVM_DEFINE_AUTOVALUE(image_name, image_name_deinit)

#endif
