/* SPDX-License-Identifier: Apache-2.0 */
/* The WWW-Authenticate header of a registry (RFC 9110, 11.6.1; the Docker token protocol). */
#ifndef IMAGE_REGISTRY_CHALLENGE_H
#define IMAGE_REGISTRY_CHALLENGE_H

#include "base/error.h"
#include "base/mem.h"

enum challenge_scheme {
    CHALLENGE_NONE = 0,
    CHALLENGE_BASIC,
    CHALLENGE_BEARER
};
struct challenge {
    enum challenge_scheme scheme;
    char *realm; /* owned; NULL: unset; so are the others */
    char *service;
    char *scope;
};
/* The first basic or bearer challenge in one header, which may hold several; CHALLENGE_NONE when it
 * has neither. @c must be zeroed or deinitialised. */
int challenge_parse(const char *header, struct challenge *c, mvm_error **err);
void challenge_deinit(struct challenge *c);
MVM_DEFINE_AUTOVALUE(challenge, challenge_deinit)

#endif
