/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file of a directory root is for the guest where the host's file cannot be so: one encoder
 * and one decoder of the extended attribute "user.containers.override_stat" (image.md I-283, I-284)
 * that the file server reads.
 *
 * "UID:GID:0MODE", decimal ids and the octal st_mode with its type bits: "0:0:0100644". Of a device
 * a fourth field follows, as containers/storage writes it: "0:0:020666:char-1-3", "block-8-0".
 */
#ifndef ROOTFS_OVERRIDE_H
#define ROOTFS_OVERRIDE_H

#include "base/error.h"

#include <stddef.h>
#include <sys/types.h>

#define OVERRIDE_STAT "user.containers.override_stat"
/* Before the name of an attribute that the host's file cannot have: the value is kept as it is. */
#define OVERRIDE_XATTR "user.containers.override_xattr."
/* What both begin with. No attribute of an image has such a name here: it would speak for us. */
#define OVERRIDE_PREFIX "user.containers.override_"
/* Longest value, with a NUL: two ids, the mode, "block-" and two numbers. */
#define OVERRIDE_STAT_MAX 64

struct override_stat {
    uid_t uid;
    gid_t gid;
    mode_t mode;  /* with type bits; a decoded one may have none: the file's own type holds */
    dev_t device; /* of S_IFCHR and S_IFBLK */
};

/* Writes the value and a NUL; gives its length. */
size_t override_stat_encode(const struct override_stat *o, char out[OVERRIDE_STAT_MAX]);
/* Others can set the attribute as well, the guest among them. MVM_E_FORMAT. */
int override_stat_decode(const char *text, size_t len, struct override_stat *ret, mvm_error **err);

#endif
