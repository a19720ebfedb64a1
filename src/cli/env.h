/* SPDX-License-Identifier: Apache-2.0 */
/* -e and --env-file, with docker's rules. */
#ifndef CLI_ENV_H
#define CLI_ENV_H

#include "base/error.h"

#include <microvm/options.h>

/* Most bytes of an env file, and of the path's content that is read as one. */
#define ENV_FILE_MAX (1u << 20)

/* "NAME=VALUE", or "NAME" alone: our own value of it, nothing when we have none. */
int env_add(mvm_options *options, const char *entry, mvm_error **err);
/* One entry a line; empty lines and lines that start with '#' are skipped; nothing is unquoted. */
int env_add_file(mvm_options *options, const char *path, mvm_error **err);

#endif
