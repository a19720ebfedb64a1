/* SPDX-License-Identifier: Apache-2.0 */
/* docker-credential-NAME: `get` with the registry's key on stdin answers with JSON on stdout
 * (github.com/docker/docker-credential-helpers, "Development"). */
#ifndef IMAGE_AUTH_HELPER_H
#define IMAGE_AUTH_HELPER_H

#include "image/auth.h"

/* Of the answer; of the time that it may take: it may ask the user (image.md I-70). */
#define AUTH_HELPER_MAX (64u << 10)
#define AUTH_HELPER_MS 30000
#define AUTH_HELPER_NAME_MAX 64

/* *ret stays empty when the helper knows none. An error says how the helper ended, and nothing of
 * what it printed. */
int auth_helper_get(const char *name, const char *key, struct image_tick *tick,
                    struct credentials *ret, mvm_error **err);
int auth_helper_parse(const char *text, size_t len, struct credentials *ret, mvm_error **err);

#endif
