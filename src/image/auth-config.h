/* SPDX-License-Identifier: Apache-2.0 */
/* One config file with credentials: {"auths": {KEY: {...}}, "credHelpers": {KEY: NAME},
 * "credsStore": NAME}; what else it holds is not ours. */
#ifndef IMAGE_AUTH_CONFIG_H
#define IMAGE_AUTH_CONFIG_H

#include "image/auth.h"

/* Of a file; of one user name, password or token: tokens of some clouds have 10 KiB. */
#define AUTH_FILE_MAX (1u << 20)
#define AUTH_VALUE_MAX (64u << 10)

/* No control characters, no blanks in tokens, no colon in a user name, nothing too long. */
int credentials_check(const struct credentials *c, mvm_error **err);

struct auth_config;
int auth_config_parse(const char *text, size_t len, struct auth_config **ret, mvm_error **err);
void auth_config_free(struct auth_config *c);
MVM_DEFINE_AUTO(auth_config, auth_config_free)

/* The entry for @key in "auths"; *ret stays empty without one. */
int auth_config_get(const struct auth_config *c, const char *key, struct credentials *ret,
                    mvm_error **err);
/* The name in "credHelpers" for exactly @key, and the one for all; NULL: none. Borrowed. */
const char *auth_config_helper(const struct auth_config *c, const char *key);
const char *auth_config_store(const struct auth_config *c);

#endif
