/* SPDX-License-Identifier: Apache-2.0 */
/* What a user types to name an image: a reference, or a transport that the containers tools know:
 * "oci:DIR[:TAG]", "oci-archive:FILE[:TAG]", "docker-archive:FILE[:REF]", "docker-daemon:REF". */
#ifndef IMAGE_NAME_H
#define IMAGE_NAME_H

#include "oci/reference.h"

enum image_transport {
    IMAGE_TRANSPORT_NONE = 0, /* a reference alone */
    IMAGE_TRANSPORT_LAYOUT,
    IMAGE_TRANSPORT_OCI_ARCHIVE,
    IMAGE_TRANSPORT_DOCKER_ARCHIVE,
    IMAGE_TRANSPORT_DAEMON
};

struct image_name {
    enum image_transport transport;
    struct oci_reference ref; /* of a reference alone, of a daemon; its name is NULL where none was
                                 given: an archive's sole image, a daemon's image by its id */
    char *path;               /* owned: of the layout or archive, absolute */
    char *tag;                /* owned: in a layout, as a folder or an archive; NULL: none given */
    char *id;        /* owned: "sha256:..." of a daemon's image; NULL: it has a reference */
    char *qualified; /* owned: the same for all spellings of one image; what the store remembers */
};

/* @name must be zeroed or deinitialised. */
int image_name_parse(const char *text, struct image_name *name, mvm_error **err);
void image_name_deinit(struct image_name *name);
MVM_DEFINE_AUTOVALUE(image_name, image_name_deinit)

#endif
