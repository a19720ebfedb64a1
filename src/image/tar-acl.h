/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX ACLs that a pax header has as text (SCHILY.acl.access and SCHILY.acl.default, as star and
 * GNU tar write them), in the binary form that Linux has them in an extended attribute. */
#ifndef IMAGE_TAR_ACL_H
#define IMAGE_TAR_ACL_H

#include "base/libarchive.h"
#include "base/mem.h"

#include <stdbool.h>
#include <sys/types.h>

struct tar_acl {
    const char *name;    /* of the attribute; borrowed */
    unsigned char *data; /* owned; NULL: there is none */
    size_t len;
    size_t cap;
};
void tar_acl_deinit(struct tar_acl *acl);

/* Encodes the entry's access ACL, or its default one. An ACL that names a user or a group without
 * a number has no meaning here, since names of users are ignored (image.md I-197): it is left out.
 * -1 when out of memory. */
int tar_acl_encode(struct archive_entry *e, bool is_default, struct tar_acl *ret);
/* The mode's permissions, whose group bits are the mask of an access ACL (acl(5), Correspondence
 * between ACL entries and file permission bits), where libarchive has those of the group. */
mode_t tar_acl_mode(struct archive_entry *e);

#endif
