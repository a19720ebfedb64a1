/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials for registries, from where docker and podman keep theirs: config files
 * (docker-login(1), containers-auth.json(5)) and the helper programs that these name.
 */
#ifndef IMAGE_AUTH_H
#define IMAGE_AUTH_H

#include "image/tick.h"

/* What one registry takes. Each is owned, and NULL where unset; none of them may be printed. */
struct credentials {
    char *username; /* with a password, which may be "" */
    char *password;
    char *identity_token; /* gets tokens (OAuth 2's refresh token) */
    char *registry_token; /* is one */
};
bool credentials_are_set(const struct credentials *c);
void credentials_deinit(struct credentials *c); /* wipes them */
MVM_DEFINE_AUTOVALUE(credentials, credentials_deinit)

struct auth_store;
/* Reads the config files that are there: @file alone where it is not NULL, else the usual places.
 * One that cannot be read or understood is an error that names it. */
int auth_store_open(const char *file, struct auth_store **ret, mvm_error **err);
void auth_store_free(struct auth_store *s);
MVM_DEFINE_AUTO(auth_store, auth_store_free)
/* @registry as in a full name ("docker.io", "host:5000"); none found leaves *ret empty. An error of
 * a helper names it, and is told when nothing else was found. Any thread. */
int auth_store_find(const struct auth_store *s, const char *registry, const char *repository,
                    struct image_tick *tick, struct credentials *ret, mvm_error **err);

#endif
